// Package plan decides everything about an image before a byte of it exists.
//
// A Plan is pure data: equal arguments give equal plans, with no clock, no
// environment, no disk and no randomness. What only the source can tell (the
// kernel's version, the sizes) is not in it.
package plan

import (
	"time"

	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// Version is the version of the plan's JSON form.
const Version = 1

// Plan is everything decided about an image.
type Plan struct {
	Version    int              `json:"version"`
	Profile    profiles.Profile `json:"profile"` // resolved
	Layout     layouts.Layout   `json:"layout"`  // resolved
	Seed       ids.Seed         `json:"seed"`
	Epoch      time.Time        `json:"epoch"` // UTC; every time stamp that is made, not copied
	Disk       Disk             `json:"disk"`
	Subvolumes []Subvolume      `json:"subvolumes"` // in the order in which they are made
	Snapshots  []Snapshot       `json:"snapshots"`
	Swapfile   *Swapfile        `json:"swapfile,omitempty"`
	Mounts     []Mount          `json:"mounts"`           // parents first, "/" before all
	Cmdline    []string         `json:"cmdline"`          // of the normal entry
	Entries    []Entry          `json:"entries"`          // of the boot menu, the default first
	Medium     *Medium          `json:"medium,omitempty"` // of a medium for another system; nil for a system
}

// Disk is the GPT.
type Disk struct {
	GUID       ids.UUID    `json:"guid"`
	SectorSize int64       `json:"sector_size"` // bytes
	Size       int64       `json:"size"`        // bytes; 0 means as small as fits
	Partitions []Partition `json:"partitions"`  // in the order on the disk
}

// Partition is one partition.
type Partition struct {
	Role     string   `json:"role"` // "esp" or "root"
	Type     ids.UUID `json:"type"` // of the Discoverable Partitions Specification, or TypePayload
	PARTUUID ids.UUID `json:"partuuid"`
	Label    string   `json:"label"`
	Start    int64    `json:"start"`       // bytes
	Size     int64    `json:"size"`        // bytes; 0 means the rest of the disk
	FSType   string   `json:"file_system"` // "vfat" or "btrfs"
	FSID     string   `json:"fsid"`        // as blkid prints it: a UUID, or XXXX-XXXX of vfat
	// FirstBoot says that the entry of the partition has attribute 59,
	// grow-file-system (Discoverable Partitions Specification): to mkimage-init
	// it means that the first boot is not finished.
	FirstBoot bool `json:"first_boot,omitempty"`
}

// attributeFirstBoot is attribute 59 of an entry in the partition table.
const attributeFirstBoot = 1 << 59

// Attributes returns the attributes of the partition's entry, bits as the UEFI
// specification numbers them.
func (p *Partition) Attributes() uint64 {
	if p.FirstBoot {
		return attributeFirstBoot
	}
	return 0
}

// Subvolume is a subvolume that the writer makes.
type Subvolume struct {
	Path      string `json:"path"`   // from the top level
	Source    string `json:"source"` // directory of the source that goes in; "" is its root
	Empty     bool   `json:"empty"`  // nothing of the source goes in
	NoDataCow bool   `json:"nodatacow"`
}

// Snapshot is a read-only snapshot of a subvolume, taken at build.
type Snapshot struct {
	Source string `json:"source"`
	Path   string `json:"path"`
}

// Swapfile is the swapfile of the image.
type Swapfile struct {
	Path string `json:"path"` // from the top level
	File string `json:"file"` // in the running system
	Size int64  `json:"size"` // bytes; 0 when the first boot makes it
}

// Mount is one mount of the running system.
type Mount struct {
	Target  string   `json:"target"`
	Type    string   `json:"type"`             // "btrfs", "vfat", "tmpfs" or "none" (a bind mount)
	What    string   `json:"what"`             // "PARTUUID=…", "tmpfs", or the bound path
	Options []string `json:"options"`          // as in fstab
	Early   bool     `json:"early"`            // made by the initramfs
	Subvol  string   `json:"subvol,omitempty"` // of a btrfs mount; of a tmpfs at "/" what lies below it
	File    bool     `json:"file,omitempty"`   // a bind mount of a file, not of a directory
}

// Entry is one entry of the boot menu.
type Entry struct {
	ID      string   `json:"id"` // the file's name without .conf
	Title   string   `json:"title"`
	SortKey string   `json:"sort_key"`
	Cmdline []string `json:"cmdline"`
}
