// Package hardware describes what an installed system must be told of its disk:
// what is mounted where, what it swaps to, and where it resumes from. It is
// what nixos-generate-config finds out on the machine, taken from a plan or
// read from a disk, also that of the running system.
//
// A Hardware is a pure value with three encodings: Hardware.Nix, a module of
// NixOS; Hardware.Fstab; and its JSON form, which is what the fields say. What
// is not known is absent from all of them.
package hardware

import (
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/plan"
)

// Where the mounts are from.
const (
	FromPlan     = "plan"     // of a profile: there is no disk yet
	FromFstab    = "fstab"    // /etc/fstab of the root subvolume
	FromManifest = "manifest" // the manifest on the ESP: NixOS makes its fstab when it is activated
)

// Hardware is a disk as the system on it is to use it.
type Hardware struct {
	From       string      `json:"from"`                 // FromPlan, FromFstab or FromManifest
	Partitions []Partition `json:"partitions,omitempty"` // in the order on the disk; none of a file system without a partition table
	Mounts     []Mount     `json:"mounts"`               // in the order of the table, parents first
	Swaps      []Swap      `json:"swaps"`
	Swapfile   *Swapfile   `json:"swapfile,omitempty"` // the first of Swaps that is a file of the root file system
	Resume     *Resume     `json:"resume,omitempty"`   // nil when the system does not hibernate
	Modules    []string    `json:"modules,omitempty"`  // kernel modules of the initramfs; none where nobody wrote down which
	Unread     []string    `json:"unread,omitempty"`   // what could not be read or is damaged, and how
}

// Partition is a partition and the file system in it.
type Partition struct {
	Number   int    `json:"number"` // from 1
	PARTUUID string `json:"partuuid"`
	Label    string `json:"label"`                 // PARTLABEL
	FSType   string `json:"file_system,omitempty"` // "vfat" or "btrfs"
	FSID     string `json:"fsid,omitempty"`        // as blkid prints it
	FSLabel  string `json:"fs_label,omitempty"`
}

// Mount is a line of fstab(5), with its escapes undone.
type Mount struct {
	What    string   `json:"what"` // such as "PARTUUID=…", "tmpfs", or the path that is bound
	Target  string   `json:"target"`
	Type    string   `json:"type"`    // of the file system; "none" of a bind mount
	Options []string `json:"options"` // as in fstab
	Pass    int      `json:"pass"`    // the turn of its check at boot, 0 for none
}

// Swap is a swap area: a device, or a file.
type Swap struct {
	What    string   `json:"what"`    // as in fstab
	Options []string `json:"options"` // as in fstab
}

// Swapfile is a swapfile of the root file system.
type Swapfile struct {
	Path      string `json:"path"`                // from the top level of the file system
	Target    string `json:"target"`              // in the running system
	Size      int64  `json:"size,omitempty"`      // bytes; 0 where it was not read, or is made at the first boot
	Fragments int    `json:"fragments,omitempty"` // physically contiguous pieces; 0 where it was not read
}

// Resume is where a hibernated system is.
type Resume struct {
	Device string `json:"device"` // as in fstab: the file system of the swapfile
	// Offset is the value of resume_offset=, in pages of 4096 bytes from the
	// start of the device; 0, where no file can be, when it is not known.
	Offset  int64  `json:"offset,omitempty"`
	Unknown string `json:"offset_unknown,omitempty"` // why Offset is not known
}

// Reasons for an offset that is not known.
const (
	unknownPlanned   = "the swapfile is not made yet"
	unknownFirstBoot = "the first boot, which is still to come, makes the swapfile anew"
)

// Plan returns what the system of a plan is to be told.
func Plan(p *plan.Plan) *Hardware {
	h := &Hardware{From: FromPlan, Mounts: planMounts(p), Swaps: planSwaps(p), Modules: slices.Clone(p.Profile.Initramfs.Modules)}
	for i, part := range p.Disk.Partitions {
		h.Partitions = append(h.Partitions, Partition{
			Number: i + 1, PARTUUID: part.PARTUUID.String(), Label: part.Label, FSType: part.FSType, FSID: part.FSID, FSLabel: part.Label,
		})
	}
	if s := p.Swapfile; s != nil {
		h.Swapfile = &Swapfile{Path: s.Path, Target: s.File}
		if holder := h.holder(s.File); holder != nil && hibernates(p) {
			h.Resume = &Resume{Device: holder.What, Unknown: unknownPlanned}
		}
	}
	return h
}

func hibernates(p *plan.Plan) bool { return p.Profile.Swap.Policy == plan.SwapHibernate }

func planMounts(p *plan.Plan) []Mount {
	mounts := []Mount{}
	for _, m := range p.Mounts {
		out := Mount{What: m.What, Target: m.Target, Type: m.Type, Options: slices.Clone(m.Options)}
		if m.Type == "vfat" {
			out.Pass = 2 // btrfs has no check to make at boot, see fsck.btrfs(8)
		}
		mounts = append(mounts, out)
	}
	return mounts
}

func planSwaps(p *plan.Plan) []Swap {
	swaps := []Swap{}
	if p.Swapfile != nil {
		swaps = append(swaps, Swap{What: p.Swapfile.File, Options: []string{"defaults"}})
	}
	return swaps
}

// holder returns the mount that a path of the running system is in, nil when
// there is none. Of mounts on one directory the last one holds.
func (h *Hardware) holder(name string) *Mount {
	var best *Mount
	for i := range h.Mounts {
		m := &h.Mounts[i]
		if within(name, m.Target) && (best == nil || len(m.Target) >= len(best.Target)) {
			best = m
		}
	}
	return best
}

// within reports whether name is dir or below it, both clean and absolute.
func within(name, dir string) bool {
	return name == dir || dir == "/" || strings.HasPrefix(name, dir+"/")
}

// option returns the value of the last option KEY=VALUE, as mount(8) takes it.
func option(options []string, key string) (value string, ok bool) {
	for _, o := range options {
		if k, v, has := strings.Cut(o, "="); has && k == key {
			value, ok = v, true
		}
	}
	return value, ok
}

// isSwapfile reports whether a swap area is a file, not a device.
func (s Swap) isSwapfile() bool {
	return path.IsAbs(s.What) && !within(path.Clean(s.What), "/dev")
}
