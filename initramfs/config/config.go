// Package config is what the host tells mkimage-init: one JSON file in the
// initramfs, written at build and read as PID 1.
//
// It names no identity: which partition is the root comes from the kernel's
// command line, so that equal layouts have equal archives.
package config

// Path is where the file is in the archive.
const Path = "/etc/mkimage/init.json"

// Modules is where the list of modules is in the archive, one module a line:
//
//	PATH[ DEPENDENCY...]
//
// PATH is absolute and ends in .ko; each DEPENDENCY is the name of a module
// ("-" written as "_") that is on an earlier line and must be loaded before
// this one, be it by modules.dep or by modules.softdep. What is built into the
// kernel is not listed. Modules without a path between them are loaded at the
// same time; otherwise earlier lines go first, so that loading the list from
// top to bottom is right too. For example:
//
//	/lib/modules/6.12.0/kernel/lib/raid6/raid6_pq.ko
//	/lib/modules/6.12.0/kernel/fs/btrfs/btrfs.ko raid6_pq xor libcrc32c
const Modules = "/etc/mkimage/modules"

// HibernateProgram is where the archive of a machine that hibernates has the
// program that mkimage-init leaves in the running system.
const HibernateProgram = "/lib/mkimage/mkimage-hibernate"

// InstallProgram is where the archive of an installer medium has the program
// that mkimage-init runs for mkimage.install on the command line, and InstallKey
// the public key of minisign that the medium is signed with.
const (
	InstallProgram = "/lib/mkimage/mkimage-install"
	InstallKey     = "/etc/mkimage/medium.pub"
)

// RescueProgram is where the archive of a rescue environment has the program that
// mkimage-init runs for mkimage.rescue on the command line, again and again.
const RescueProgram = "/lib/mkimage/mkimage-rescue"

// DeviceModules is where that archive has a second list of modules, in the form of the
// one at Modules, whose modules it has too. The others are loaded when DeviceAliases
// names them for a device: there, a line is
//
//	PATTERN NAME
//
// where PATTERN matches a modalias of the kernel as fnmatch(3) does without flags, and
// NAME is a module of the list.
const (
	DeviceModules = "/etc/mkimage/device-modules"
	DeviceAliases = "/etc/mkimage/device-aliases"
)

// RescuePlan is where that archive has the plan of the medium, in the form of the
// manifest's.
const RescuePlan = "/etc/mkimage/plan.json"

// PreludeDir is the root directory of an archive that comes before the initrd of a
// system itself: paths as above are below it, and nothing is outside. The kernel starts
// PreludeInit there, mkimage-init, which runs itself a second time as PreludeDuties
// with PreludeDir as its root directory, and then starts the /init of the system.
const (
	PreludeDir    = "/mkimage"
	PreludeInit   = PreludeDir + "/init"
	PreludeDuties = "mkimage-prelude"
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
	// Swapfile is what the machine swaps and hibernates to, nil when there is
	// none.
	Swapfile *Swapfile `json:"swapfile,omitempty"`
	// FirstBoot are the steps of the first boot that are left to mkimage-init:
	// StepGrow and StepSwapfile.
	FirstBoot []string `json:"first_boot,omitempty"`
	// AgeKey is the key of the system's secrets, nil when it has none.
	AgeKey *AgeKey `json:"age_key,omitempty"`
	// EtcImage is set where a system that the kernel starts has its /etc as an image.
	EtcImage bool `json:"etc_image,omitempty"`
}

// EtcImageModules are the names of the modules that an /etc takes that is an image.
var EtcImageModules = []string{"erofs", "loop", "overlay"}

// AgeKey says which key of age the system needs before its init runs, and where
// to look for it.
type AgeKey struct {
	Recipients []string `json:"recipients"` // public keys, any of which opens all secrets
	Sources    []string `json:"sources"`    // in the order of trying: of the Key… names
	Timeout    int      `json:"timeout"`    // seconds that the console asks
	Path       string   `json:"path"`       // where it goes in the running system, such as /var/lib/sops-nix/key.txt
	Image      string   `json:"image"`      // which image says so, for the state of the first boot
}

// The sources of the key.
const (
	KeyMedium     = "medium"     // a partition of the label KeyLabel
	KeyESP        = "esp"        // the ESP of the disk with the root, encrypted only
	KeyCredential = "credential" // from the firmware of a virtual machine
	KeyConsole    = "console"    // somebody at the keyboard
)

// KeyLabel is the label of the partition of a key medium.
const KeyLabel = "MKIMAGE-KEYS"

// KeyFile and KeyFileEncrypted are the names of the key's file on a key medium
// and, encrypted, in the top directory of an ESP.
const (
	KeyFile          = "age-key.txt"
	KeyFileEncrypted = "age-key.txt.age"
)

// KeyPath is where the key is in the running system: where sops-nix is usually
// told to look for it, on every system.
const KeyPath = "/var/lib/sops-nix/key.txt"

// StateDir is what the running system keeps of its first boot.
const StateDir = "/var/lib/mkimage"

// KeyCredentialName is the name of the system credential that holds a key, see
// systemd.system-credentials(7).
const KeyCredentialName = "mkimage.age-key"

// The steps of a first boot that mkimage-init does, since they must be done
// before the system runs.
const (
	StepGrow     = "grow"     // partition and file system as large as the disk
	StepSwapfile = "swapfile" // the swapfile as large as Swapfile.Size says
)

// Swapfile is the swapfile of the layout.
type Swapfile struct {
	Path      string `json:"path"`      // from the top level, such as @swap/swapfile
	Target    string `json:"target"`    // in the running system, such as /swap/swapfile
	Size      string `json:"size"`      // on the target: "none", a number of bytes, "ram" or "ram+BYTES"
	Hibernate bool   `json:"hibernate"` // the machine hibernates to it
}

// SwapKeepsFree is the part of the file system, one in so many, that the first
// boot leaves free beside a swapfile that it makes.
const SwapKeepsFree = 8

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

// Needs returns the names of the modules without which c cannot be carried
// out, wherever they are: built in, or on the list at Modules. A failure to
// load one of them is a failure to boot.
func (c Config) Needs() []string {
	needs := []string{"btrfs"}
	if c.Tmpfs != nil || len(c.Factory) > 0 {
		needs = append(needs, "overlay")
	}
	if c.EtcImage {
		needs = append(needs, EtcImageModules...)
	}
	return needs
}

// Wants returns the names of the modules that c is better carried out with, if
// the kernel has them.
func (c Config) Wants() []string {
	if c.Swapfile != nil {
		return []string{"efivarfs"}
	}
	return nil
}

// Hibernates reports whether the machine hibernates to its swapfile.
func (c Config) Hibernates() bool { return c.Swapfile != nil && c.Swapfile.Hibernate }
