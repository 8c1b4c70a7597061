// Package profiles holds what a user asks for: one TOML file says which
// system is built, from where, onto which layout, and how it boots. One of kind
// "installer" says which other profile a medium installs, and onto which disk; one of
// kind "rescue" which other profile a medium brings back.
//
// Built-in profiles are embedded; a user's own come from folders. Decoding is
// strict, see package strict.
package profiles

// Profile is what is asked.
type Profile struct {
	Name        string    `toml:"-" json:"name"` // of its file, without .toml
	Description string    `toml:"description" json:"description"`
	Extends     string    `toml:"extends" json:"-"`                 // another profile, which this one changes; empty once resolved
	Kind        string    `toml:"kind" json:"kind,omitempty"`       // "" for a system, which a file may call "system" too, "installer" or "rescue"
	Payload     string    `toml:"payload" json:"payload,omitempty"` // of a medium: the profile of what it installs or brings back
	Installer   Installer `toml:"installer" json:"installer,omitzero"`
	Rescue      Rescue    `toml:"rescue" json:"rescue,omitzero"`
	Hostname    string    `toml:"hostname" json:"hostname"` // a DNS label
	Roles       []string  `toml:"roles" json:"roles"`       // of "desktop", "laptop", "server"
	Source      string    `toml:"source" json:"source"`     // "debian:SUITE", "tar:FILE", "dir:PATH", "cache:URL#STOREPATH", "nix:STOREPATH" or "nix:FLAKE#HOST"
	Nix         Nix       `toml:"nix" json:"nix,omitzero"`
	Layout      string    `toml:"layout" json:"layout"` // name of a layout
	Kernel      Kernel    `toml:"kernel" json:"kernel"`
	Initramfs   Initramfs `toml:"initramfs" json:"initramfs"`
	Boot        Boot      `toml:"boot" json:"boot"`
	Locale      Locale    `toml:"locale" json:"locale"`
	Users       []User    `toml:"users" json:"users"`
	Packages    []string  `toml:"packages" json:"packages"` // of a source that has packages, in its names
	Units       Units     `toml:"units" json:"units"`
	FirstBoot   FirstBoot `toml:"first_boot" json:"first_boot"`
	Swap        Swap      `toml:"swap" json:"swap"`
	Zram        Zram      `toml:"zram" json:"zram"`
	Age         Age       `toml:"age" json:"age,omitzero"`
	Secrets     []Secret  `toml:"secrets" json:"secrets,omitempty"`
	Restore     Restore   `toml:"restore" json:"restore,omitzero"`
	Backup      []Backup  `toml:"backup" json:"backup,omitempty"`
	Tests       Tests     `toml:"tests" json:"tests"`
}

// IsInstaller reports whether the profile is one of a medium that installs
// another.
func (p *Profile) IsInstaller() bool { return p.Kind == KindInstaller }

// IsRescue reports whether the profile is one of a medium that brings another back, and
// installs nothing.
func (p *Profile) IsRescue() bool { return p.Kind == KindRescue }

// IsMedium reports whether the profile is one of a medium for another, its payload.
func (p *Profile) IsMedium() bool { return p.IsInstaller() || p.IsRescue() }

// Nix says where store objects come from, in the words of nix.conf and with their
// meaning. Nothing that is built depends on it, but for AutoOptimiseStore.
type Nix struct {
	Substituters      []string `toml:"substituters" json:"substituters,omitempty"`               // URLs of binary caches, besides the one that the source names
	TrustedPublicKeys []string `toml:"trusted-public-keys" json:"trusted_public_keys,omitempty"` // NAME:BASE64; none means that of cache.nixos.org
	Store             string   `toml:"store" json:"store,omitempty"`                             // directory of this host that has nix/store; "" means "/"
	AutoOptimiseStore *bool    `toml:"auto-optimise-store" json:"auto_optimise_store,omitempty"` // equal files become hard links; nil: as the system says
}

// Kernel is what the kernel is started with.
type Kernel struct {
	Parameters []string `toml:"parameters" json:"parameters"` // besides those that the layout asks for
}

// Initramfs says what a system starts by, and what our initramfs carries besides what
// every one does.
type Initramfs struct {
	From      string   `toml:"from" json:"from,omitempty"` // "own" or "source"; "" is own, and what that is once resolved
	Modules   []string `toml:"modules" json:"modules"`     // kernel modules, with what they depend on
	Firmware  []string `toml:"firmware" json:"firmware"`   // files below /usr/lib/firmware; glob patterns
	Microcode bool     `toml:"microcode" json:"microcode"` // early CPU microcode from the source, where it has it
	Shell     bool     `toml:"shell" json:"shell"`         // the rescue shell
}

// The values of Initramfs.From.
const (
	InitramfsOwn    = "own"    // the initramfs of mkimage
	InitramfsSource = "source" // the initrd of the source's own system, and before it what a first boot needs of ours
)

// OfSource reports whether the source's own system starts by its own initrd.
func (i Initramfs) OfSource() bool { return i.From == InitramfsSource }

// Boot says how the firmware gets to the kernel.
type Boot struct {
	Loader  string `toml:"loader" json:"loader"`       // "systemd-boot", "grub" or "uki"
	GRUB    string `toml:"grub" json:"grub,omitempty"` // on the host: the EFI program of GRUB; "" takes that of the source
	Timeout int    `toml:"timeout" json:"timeout"`     // seconds that the menu waits; 0 hides it
	Rescue  bool   `toml:"rescue" json:"rescue"`       // an entry that ends in a shell of the initramfs
}

// Locale is the system's language, time zone and keyboard.
type Locale struct {
	Lang     string `toml:"lang" json:"lang"`         // such as "en_US.UTF-8"
	Timezone string `toml:"timezone" json:"timezone"` // such as "Europe/Vienna"
	Keymap   string `toml:"keymap" json:"keymap"`     // of the console, such as "us"
}

// User is an account of the system.
type User struct {
	Name         string   `toml:"name" json:"name"`
	UID          uint32   `toml:"uid" json:"uid"`       // also the id of the group of the same name
	Gecos        string   `toml:"gecos" json:"gecos"`   // full name
	Groups       []string `toml:"groups" json:"groups"` // supplementary; those that the source lacks are an error
	Shell        string   `toml:"shell" json:"shell"`
	PasswordFile string   `toml:"password_file" json:"password_file"` // on the host: holds one crypt(5) hash, mode 0600; "" locks the password
	SSHKeys      []string `toml:"ssh_keys" json:"ssh_keys"`           // public keys for authorized_keys
	Autologin    bool     `toml:"autologin" json:"autologin"`         // on the console, without a password
}

// Units says which systemd units run.
type Units struct {
	Enable  []string `toml:"enable" json:"enable"`
	Disable []string `toml:"disable" json:"disable"`
	Mask    []string `toml:"mask" json:"mask"`
	Target  string   `toml:"target" json:"target"` // the default target, such as "multi-user.target"
}

// FirstBoot says what the first boot does.
type FirstBoot struct {
	Steps []string `toml:"steps" json:"steps"` // of "machine-id", "host-keys", "grow", "swapfile"
}

// Swap says whether the swapfile of the layout is used.
type Swap struct {
	Policy string `toml:"policy" json:"policy"` // "none", "swapfile" (no hibernation) or "hibernate"
}

// Zram is a compressed swap area in memory.
type Zram struct {
	Enable  bool `toml:"enable" json:"enable"`
	Percent int  `toml:"percent" json:"percent"` // of RAM, 1 to 100
}

// Tests names the checks that a profile promises to pass.
type Tests struct {
	Promises []string `toml:"promises" json:"promises"` // see package qemutests
}
