// Package config is what the host tells mkimage-init: one JSON file in the
// initramfs, written at build and read as PID 1.
//
// It names no identity: which partition is the root comes from the kernel's
// command line, so that equal layouts have equal archives.
package config

// Path is where the file is in the archive, Modules the list of modules in
// the order in which they are loaded, one absolute path a line.
const (
	Path    = "/etc/mkimage/init.json"
	Modules = "/etc/mkimage/modules"
)

// Version is the version of the file's form.
const Version = 1

// Config is what mkimage-init does besides what the command line asks.
type Config struct {
	Version int `json:"version"`
	// Mounts of subvolumes of the root file system, parents first. The one
	// whose Target is "/" comes first.
	Mounts []Mount `json:"mounts"`
	// Tmpfs, when set, makes / a tmpfs of these options that lies over the
	// root subvolume, which then is never written.
	Tmpfs *Tmpfs `json:"tmpfs,omitempty"`
	// Binds are mounted last: the same path below Persist.
	Binds []Bind `json:"binds,omitempty"`
	// Factory is used instead of Mounts when the command line has
	// mkimage.factory: read-only snapshots, each below an overlay in memory.
	Factory []Mount `json:"factory,omitempty"`
}

// Mount is a subvolume of the root file system and where it goes.
type Mount struct {
	Subvolume string   `json:"subvolume"`
	Target    string   `json:"target"`
	Options   []string `json:"options"` // without subvol=
}

// Tmpfs is the size and mode of a root in memory.
type Tmpfs struct {
	Size string `json:"size"`
	Mode string `json:"mode"`
}

// Bind is a path that lives in a persistent subvolume.
type Bind struct {
	From string `json:"from"` // absolute in the new root, such as /persist/etc/nixos
	To   string `json:"to"`   // absolute in the new root
	File bool   `json:"file"` // a file, not a directory
}
