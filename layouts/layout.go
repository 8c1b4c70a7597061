// Package layouts holds the shapes of disks: which partitions, which
// subvolumes, and where they are mounted with what options.
//
// A layout names roles and sizes, never a device: which disk it goes to is
// decided elsewhere. Built-in layouts are embedded; a user's own come from
// folders. Decoding is strict, see package strict.
package layouts

// Layout is the shape of a disk.
type Layout struct {
	Name        string      `toml:"-" json:"name"` // of its file, without .toml
	Description string      `toml:"description" json:"description"`
	Extends     string      `toml:"extends" json:"-"` // another layout, which this one changes; empty once resolved
	ESP         ESP         `toml:"esp" json:"esp"`
	Root        Root        `toml:"root" json:"root"`
	Subvolumes  []Subvolume `toml:"subvolumes" json:"subvolumes"`
	Swapfile    Swapfile    `toml:"swapfile" json:"swapfile"`
	Tmpfs       TmpfsRoot   `toml:"tmpfs_root" json:"tmpfs_root"`
	Persist     Persist     `toml:"persist" json:"persist"`
	Factory     Factory     `toml:"factory" json:"factory"`
}

// ESP is the EFI system partition, a FAT32 file system, always the first.
type ESP struct {
	Size  Size   `toml:"size" json:"size"`   // bytes; 0, with Only, is as small as fits
	Label string `toml:"label" json:"label"` // of the file system and of the partition; at most 11 bytes, upper case
	Mount string `toml:"mount" json:"mount"` // absolute path, such as /boot
	// Only says that the disk has nothing else, as that of a medium which starts in memory.
	Only bool `toml:"only" json:"only,omitempty"`
}

// Root is the Linux root partition, one btrfs file system on the rest of the disk.
type Root struct {
	Label    string   `toml:"label" json:"label"`       // of the file system and of the partition
	Options  []string `toml:"options" json:"options"`   // of every mount of it, such as "compress=zstd:3"
	Metadata string   `toml:"metadata" json:"metadata"` // profile of metadata: "dup" or "single"
	Free     Size     `toml:"free" json:"free"`         // bytes of free space that an image of size "auto" keeps
}

// Subvolume is one subvolume of the root file system.
type Subvolume struct {
	Name      string   `toml:"name" json:"name"`           // path from the top level, such as "@home"
	Mount     string   `toml:"mount" json:"mount"`         // absolute path; "" when it is not mounted
	Options   []string `toml:"options" json:"options"`     // besides those of Root
	NoDataCow bool     `toml:"nodatacow" json:"nodatacow"` // files are not copied on write: no checksums, no compression
	Early     bool     `toml:"early" json:"early"`         // mounted by the initramfs, not only by the system's fstab
	Snapshots bool     `toml:"snapshots" json:"snapshots"` // has a nested subvolume ".snapshots" for them
}

// Swapfile is the swap area for hibernation. An empty Subvolume means none.
type Swapfile struct {
	Subvolume string `toml:"subvolume" json:"subvolume"` // one of Subvolumes, with NoDataCow
	Name      string `toml:"name" json:"name"`           // of the file in it
	Size      string `toml:"size" json:"size"`           // "none", a size, "ram" or "ram+SIZE": on the target
	Image     Size   `toml:"image" json:"image"`         // bytes of it in a built image; 0 leaves it out
}

// TmpfsRoot makes / forget everything at power-off. An empty Size means that
// / is a subvolume as usual.
type TmpfsRoot struct {
	Size string `toml:"size" json:"size"` // of the tmpfs, such as "2G"
	Mode string `toml:"mode" json:"mode"` // of its root directory, in octal, such as "755"
}

// Persist says what survives when / is a tmpfs: each path is bind-mounted from
// the same path below the mount point of Subvolume.
type Persist struct {
	Subvolume   string   `toml:"subvolume" json:"subvolume"`     // one of Subvolumes; "" means none
	Directories []string `toml:"directories" json:"directories"` // absolute paths
	Files       []string `toml:"files" json:"files"`             // absolute paths
}

// Factory names the subvolumes that a read-only snapshot is taken of at build,
// for a menu entry that boots the system as it was built.
type Factory struct {
	Subvolumes []string `toml:"subvolumes" json:"subvolumes"` // names; the snapshot of "@x" is "@factory-x", of "@" "@factory"
}

// Size is a number of bytes, written in TOML as an integer or as text with a
// unit of powers of 1024: "64MiB", "1GiB", "512K".
type Size int64
