package plan

import (
	"crypto/sha256"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// InstallWord is the word of the kernel command line that hands the machine to
// the program of an installer medium.
const InstallWord = "mkimage.install"

// RescueWord is the word that hands it to the program of a rescue environment.
const RescueWord = "mkimage.rescue"

// TypePayload is the partition type of a medium's payload, Linux file system
// data: it holds a root file system, which no system must take for its own
// because of its type.
var TypePayload = ids.UUID{0x0f, 0xc6, 0x3d, 0xaf, 0x84, 0x83, 0x47, 0x72, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4}

// SystemType returns the type of the partition that holds the system on a disk
// that has partitions of some types: on an installer medium that is the payload.
func SystemType(has func(kind ids.UUID) bool) ids.UUID {
	if has(TypePayload) && !has(TypeRootX86_64) {
		return TypePayload
	}
	return TypeRootX86_64
}

// Medium says that a plan is one of a medium for its profile, the payload, and what that
// is for.
//
// Profile and layout of the plan of an installer are the payload's, but for what of the
// layout shapes the medium itself; its swapfile has no size, as the first boot of an
// installed system makes it. The plan of a medium that only brings back has the layout of
// the medium, which has no subvolumes and mounts nothing.
type Medium struct {
	Name        string             `json:"name"` // of the medium's profile
	Description string             `json:"description"`
	Kind        string             `json:"kind,omitempty"` // "" for an installer, or profiles.KindRescue
	Layout      layouts.Layout     `json:"layout"`         // of what is installed or brought back
	Installer   profiles.Installer `json:"installer,omitzero"`
	Rescue      profiles.Rescue    `json:"rescue,omitzero"` // what the rescue environment has, where there is one
}

// Installs reports whether the plan is one of a medium that installs its payload, which it
// carries.
func (p *Plan) Installs() bool { return p.Medium != nil && p.Medium.Kind == "" }

// IsRescue reports whether the plan is one of a medium that has the rescue environment, and
// carries no payload.
func (p *Plan) IsRescue() bool { return p.Medium != nil && p.Medium.Kind == profiles.KindRescue }

// Name returns the name of the profile that was asked for.
func (p *Plan) Name() string {
	if p.Medium != nil {
		return p.Medium.Name
	}
	return p.Profile.Name
}

// The domains of the seeds of media. Neither a system that is built of the same
// payload nor one with the same seed shares an identity with the medium.
const (
	mediumDomain       = "mkimage medium seed 1\n"
	mediumDomainOfSeed = "mkimage medium of seed 1\n"
)

// MakeMedium decides everything about a medium with a layout medium that
// installs payload on layout as the profile installer says; of a profile of kind
// "rescue", about one that brings it back. All are as their sets resolve them. Errors are
// those of Make; keys of the medium's profile begin with its kind, others are of the
// payload.
func MakeMedium(installer profiles.Profile, medium layouts.Layout, payload profiles.Profile, layout layouts.Layout, o Options) (*Plan, error) {
	if installer.IsRescue() {
		return makeRescueMedium(installer, medium, payload, layout, o)
	}
	if err := mediumContradictions(&installer, &medium, &payload, &layout); err != nil {
		return nil, err
	}
	epoch, err := EpochOf(o.Epoch)
	if err != nil {
		return nil, err
	}
	p := &Plan{Version: Version, Epoch: epoch, Medium: &Medium{Name: installer.Name, Description: installer.Description}}
	if p.Profile, err = canonical(withoutFolders(payload)); err != nil {
		return nil, err
	}
	if p.Layout, err = canonical(onMedium(layout, &medium)); err != nil {
		return nil, err
	}
	if err := checkSize(&p.Profile, &p.Layout, o.Size); err != nil {
		return nil, err
	}
	if p.Medium.Layout, err = canonical(layout); err != nil {
		return nil, err
	}
	if p.Medium.Installer, err = canonical(installer.Installer); err != nil {
		return nil, err
	}
	if p.Medium.Rescue, err = canonical(installer.Rescue); err != nil {
		return nil, err
	}
	if o.Seed == nil && o.Like.sameName(p) {
		p.Seed = o.Like.Seed
	} else if p.Seed, err = mediumSeed(p, o.Seed); err != nil {
		return nil, err
	}
	p.Disk = mediumDisk(p, o.Size)
	p.Subvolumes, p.Snapshots = makeSubvolumes(&p.Layout)
	p.Swapfile = laterSwapfile(p)
	p.Mounts = makeMounts(p)
	p.Cmdline = slices.Concat([]string{InstallWord, "root=" + partuuid(p, RoleRoot)}, p.Profile.Kernel.Parameters)
	p.Entries = mediumEntries(p)
	return p, checkCmdlines(p)
}

// onMedium returns the layout of a payload on a medium: as small as it can be.
func onMedium(l layouts.Layout, medium *layouts.Layout) layouts.Layout {
	l.ESP.Size, l.ESP.Label = medium.ESP.Size, medium.ESP.Label
	l.Root.Label, l.Root.Free = medium.Root.Label, medium.Root.Free
	l.Swapfile.Image = 0
	return l
}

// mediumSeed derives the seed of a medium from all that it is made of, or from
// the seed that somebody names.
func mediumSeed(p *Plan, named *ids.Seed) (ids.Seed, error) {
	if named != nil {
		return sha256.Sum256(append([]byte(mediumDomainOfSeed), named[:]...)), nil
	}
	data, err := marshal(struct {
		Medium  *Medium          `json:"medium"`
		Profile profiles.Profile `json:"profile"`
		Layout  layouts.Layout   `json:"layout"`
	}{p.Medium, p.Profile, p.Layout})
	if err != nil {
		return ids.Seed{}, err
	}
	return sha256.Sum256(append([]byte(mediumDomain), data...)), nil
}

// mediumDisk is the disk of a medium. It is never grown: nothing boots from its
// payload.
func mediumDisk(p *Plan, size int64) Disk {
	d := makeDisk(p, size)
	for i := range d.Partitions {
		if part := &d.Partitions[i]; part.Role == RoleRoot {
			part.Type, part.FirstBoot = TypePayload, false
		}
	}
	return d
}

// laterSwapfile is the swapfile of an installed system, which the image of the
// medium does not have: so the payload's fstab and initramfs are the system's.
func laterSwapfile(p *Plan) *Swapfile {
	s := p.Medium.Layout.Swapfile
	holder := subvolumeOf(&p.Layout, s.Subvolume)
	if p.Profile.Swap.Policy == SwapNone || holder == nil {
		return nil
	}
	return &Swapfile{Path: path.Join(s.Subvolume, s.Name), File: path.Join(holder.Mount, s.Name)}
}

// rescueTitle is the title of the entry that brings a machine back.
const rescueTitle = "Rescue and recovery"

// mediumEntries returns the entries of a medium's menu. The shell ends in the
// installer too: without that word it would boot the payload, and write to it.
func mediumEntries(p *Plan) []Entry {
	title := "Install " + p.Profile.Name + " (erases a disk)"
	if p.Medium.Installer.Mode == "keep-home" {
		title = "Install " + p.Profile.Name + " (replaces the system, keeps /home)"
	}
	entries := []Entry{{ID: "mkimage-" + p.Medium.Name, Title: title, SortKey: "mkimage-1", Cmdline: slices.Clone(p.Cmdline)}}
	if p.Medium.Rescue.Enabled() {
		words := slices.Clone(p.Cmdline)
		words[0] = RescueWord
		entries = append(entries, Entry{ID: "mkimage-" + p.Medium.Name + "-recovery", Title: rescueTitle, SortKey: "mkimage-2-recovery", Cmdline: words})
	}
	if p.Profile.Initramfs.Shell {
		entries = append(entries, Entry{
			ID: "mkimage-" + p.Medium.Name + "-rescue", Title: p.Medium.Name + " (rescue shell)", SortKey: "mkimage-3-rescue",
			Cmdline: slices.Concat(p.Cmdline, []string{ShellWord}),
		})
	}
	return entries
}

// Target returns the plan of the system that a medium, of which p is the plan,
// installs or brings back on a disk of size bytes; 0 leaves the size to who writes it. Every
// identity comes from seed, which must be of this installation alone. The error
// is of class fault.Input when p is not of a medium, and of fault.Target when the
// disk is too small.
func Target(p *Plan, seed ids.Seed, size int64) (*Plan, error) {
	if p.Medium == nil {
		return nil, fault.New(fault.Input, "build one from a profile of kind installer", "plan of %s: expected one of a medium", p.Profile.Name)
	}
	size -= size % sectorSize
	target, err := Make(p.Profile, p.Medium.Layout, Options{Seed: &seed, Epoch: p.Epoch, Size: size})
	if fault.ClassOf(err) == fault.Usage && err != nil {
		return nil, fault.New(fault.Target, "use a larger disk", "%w", err)
	}
	return target, err
}

// mediumContradictions returns everything in which an installer, its payload and
// their layouts do not fit each other, as one error.
func mediumContradictions(installer *profiles.Profile, medium *layouts.Layout, payload *profiles.Profile, layout *layouts.Layout) error {
	c := newChecker(payload, layout)
	if !installer.IsInstaller() {
		c.Add("installer.kind", "%s is of kind %q, expected an installer", installer.Name, profiles.KindSystem)
	}
	if medium.ESP.Only {
		c.Add("installer.layout", "%s has an ESP and nothing else, expected one with room for the payload, such as usb-installer", medium.Name)
	}
	c.ofMedium("installer", installer, medium)
	c.all()
	c.startable()
	c.installable()
	if mode := installer.Installer.Mode; payload.Boot.Loader == loaderGRUB && mode != "fresh" {
		c.Add("installer.mode", `%q: expected "fresh" for a payload with boot.loader = "grub": an entry for the system before is kept in the menu of systemd-boot alone`, mode)
	}
	c.wifi(installer.Rescue.Network.WiFi)
	for i, name := range installer.Installer.Keep {
		c.kept(strict.Index("installer.keep", i), name)
	}
	return c.Err()
}

// ofMedium refuses a medium's profile whose name is none for entries, and one that names
// another payload or layout than there is. Its keys begin with kind.
func (c *checker) ofMedium(kind string, of *profiles.Profile, medium *layouts.Layout) {
	if of.Name == "" || strings.ContainsFunc(of.Name, notInID) {
		c.Add(kind+".name", "%q: expected letters, digits and + - _ . since boot entries are named after it", of.Name)
	}
	if name := strict.PlainName(of.Payload); name != c.profile.Name {
		c.Add(kind+".payload", "got profile %q, expected %q, which %s names", c.profile.Name, name, of.Name)
	}
	if name := strict.PlainName(of.Layout); name != medium.Name {
		c.Add(kind+".layout", "got layout %q, expected %q, which %s names", medium.Name, name, of.Name)
	}
}

// startable refuses payloads whose kernel a medium cannot start.
func (c *checker) startable() {
	if c.profile.Boot.Loader == loaderUKI {
		c.Add("boot.loader", `"uki": expected "systemd-boot": the menu of a medium starts the payload's own kernel with another command line`)
	}
}

// installable refuses payloads that an installed system cannot come of.
func (c *checker) installable() {
	steps := c.profile.FirstBoot.Steps
	if !slices.Contains(steps, config.StepGrow) {
		c.Add("first_boot.steps", "expected %q among them: what is installed is as small as it can be, and the disk is not", config.StepGrow)
	}
	if c.profile.Swap.Policy != SwapNone && !slices.Contains(steps, config.StepSwapfile) {
		c.Add("first_boot.steps", "expected %q among them: it makes the swapfile, which a medium does not carry", config.StepSwapfile)
	}
}

// wifi refuses a passphrase that none of the payload's secrets is.
func (c *checker) wifi(w profiles.WiFi) {
	known := slices.ContainsFunc(c.profile.Secrets, func(s profiles.Secret) bool { return s.Name == w.Passphrase })
	if w.Passphrase != "" && !known {
		c.Add("rescue.network.wifi.passphrase", "%q is none of the secrets of %s", w.Passphrase, c.profile.Name)
	}
}

// kept refuses to keep what is not of the system that is replaced.
func (c *checker) kept(key, name string) {
	below := func(parent string) bool { return name == parent || strings.HasPrefix(name, parent+"/") }
	if below(c.layout.ESP.Mount) {
		c.Add(key, "%s is on the ESP, mounted at %s, which is made anew", name, c.layout.ESP.Mount)
	}
	for _, s := range c.layout.Subvolumes {
		switch {
		case s.Mount == "" || s.Mount == "/":
		case name == s.Mount:
			c.Add(key, "%s is where %s is mounted: name what is in it", name, s.Name)
		case s.NoDataCow && below(s.Mount):
			c.Add(key, "%s is on %s, mounted at %s, which holds no files of the system", name, s.Name, s.Mount)
		}
	}
}
