// Package diff says what changed between two systems: packages, kernels, kernel
// parameters and units.
//
// It compares values and reads nothing; package installed makes them of disks.
// Packages of NixOS are store objects, grouped by name as nix store diff-closures
// does; those of Debian are what dpkg has installed. A system of one kind cannot be
// compared with one of the other.
//
// What it does not do: it does not compare files that belong to no unit, nor
// partitions and subvolumes.
package diff

// Kind is where the packages of a system come from.
type Kind string

// The kinds of systems.
const (
	NixOS  Kind = "nixos"
	Debian Kind = "debian"
)

// System is one side of a comparison. The order of its lists does not matter, but
// for the words of an entry.
type System struct {
	Name       string // as the user named it
	Kind       Kind
	Generation int    // of the profile "system" of NixOS; 0 for Debian
	Toplevel   string // store path of NixOS; "" for Debian
	Release    string // of the distribution, for people; may be ""
	Packages   []Package
	Kernels    []string // releases, by their modules
	Entries    []Entry  // of the boot menu, or sets of kernel parameters
	Units      []Unit
	Unread     []string // what is left out, and why
}

// Package is a store object, or a package of Debian.
type Package struct {
	Name    string
	Version string // "" where the name has none
	ID      string // store path, or name, version and architecture
	Size    int64  // bytes
	// Selected says that the system's configuration names the package, so that it is
	// not only there because another needs it.
	Selected bool
}

// Entry is a set of kernel parameters with a name.
type Entry struct {
	ID    string
	Words []string
}

// Unit is a unit of systemd.
type Unit struct {
	Name    string
	Text    Digests // zero of a unit that is only referred to, such as an instance
	Enabled bool    // another unit of the configuration asks for it
	Masked  bool    // it cannot be started
}
