package bootrepair

import (
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/esp"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/source"
	"github.com/6FaNcY9/mkimage/builder/uki"
)

// Stick is what a repair may take from elsewhere. What is not there is nil.
type Stick struct {
	// Plan is that of the host, with any identities. It is needed where the ESP of the
	// disk has no manifest, as that of an installed system has none.
	Plan *plan.Plan
	// Loader is the EFI program of the boot loader that Plan asks for.
	Loader []byte
	// Kernels are those of the payload.
	Kernels []Kernel
	// Initramfs makes the initramfs for a kernel of the system out of the modules that
	// are in its tree. Errors are of class fault.Input where the tree is to blame.
	Initramfs func(ctx context.Context, t *fstree.Tree, p *plan.Plan, k source.Kernel) ([]byte, error)
	// Files below /mkimage are put on an ESP that is made anew, by their paths from its
	// root: such as the marker of an installation, without which its medium takes the disk
	// for a blank one.
	Files map[string][]byte
}

// Kernel is a kernel of a stick with the initramfs that was made for it.
type Kernel struct {
	Version          string // as "uname -r" prints it
	Image, Initramfs []byte
}

// maxKernel bounds a kernel or an archive on an ESP, in bytes.
const maxKernel = 512 << 20

// What a finding needs from the stick, in words.
const (
	needPlan      = "the plan of this host"
	needLoader    = "the boot loader"
	needKernel    = "the kernel"
	needInitramfs = "the initramfs"
)

// menu is the content that the ESP of a system should have.
type menu struct {
	disk    *system
	stick   Stick
	esp     *espreader.FS // nil where it cannot be read
	rebuilt bool          // generations start by their own initrds
	tree    *tree
	plan    *plan.Plan
	boot    loader.System
	files   *fstree.Tree
	needs   []string // what came from the stick
	notes   []string
}

// makeMenu makes the content of the ESP of a system. identity is that of its disk, and
// started says whether the system has finished its first boot. Errors of class
// fault.Input say what cannot be made and what would help.
func makeMenu(ctx context.Context, s *system, stick Stick, files *espreader.FS, identity plan.Identity, started bool, params esp.Params) (*menu, error) {
	m := &menu{disk: s, stick: stick, esp: files, tree: newTree(s)}
	p, err := m.findPlan()
	if err != nil {
		return nil, err
	}
	m.plan = plan.Adopt(p, identity)
	if err := m.tree.bootable(); err != nil {
		return nil, err
	}
	if err := m.findLoader(); err != nil {
		return nil, err
	}
	found, err := m.findSystem(started)
	if err != nil {
		return nil, err
	}
	if err := m.findArchives(ctx, found); err != nil {
		return nil, err
	}
	m.tree.Freeze()
	return m, m.fit(found, params)
}

func (m *menu) need(what string) {
	if !slices.Contains(m.needs, what) {
		m.needs = append(m.needs, what)
	}
}

// findPlan returns the plan of the system: that of the image that it came from, or that of
// the stick.
func (m *menu) findPlan() (*plan.Plan, error) {
	if m.esp != nil {
		text, err := m.esp.ReadAtMost(manifest.ESPPath, manifest.MaxSize)
		if err == nil {
			if said, err := manifest.Decode(text); err == nil && said.Plan.Medium == nil {
				return said.Plan, nil
			}
		}
	}
	if m.stick.Plan == nil {
		return nil, fault.New(fault.Input, "take the stick that was made for this host", "boot menu: nothing on the disk says how it was made, and no stick has the plan of this host")
	}
	if err := m.disk.fits(m.stick.Plan); err != nil {
		return nil, err
	}
	m.need(needPlan)
	return m.stick.Plan, nil
}

// fits refuses a plan of another system: the labels and the mounts of this one are those
// of its layout.
func (s *system) fits(p *plan.Plan) error {
	const hint = "take the stick that was made for this host"
	if got := s.fsys.Super().Label; got != p.Layout.Root.Label {
		return fault.New(fault.Target, hint, "boot menu: the file system is called %q, that of %s is %q", got, p.Profile.Name, p.Layout.Root.Label)
	}
	for _, m := range p.Mounts {
		if m.Type == kindBtrfs && !slices.Contains(s.mounts, mount{m.Target, m.Subvol}) {
			return fault.New(fault.Target, hint, "boot menu: the system does not mount subvolume %s at %s, %s does", m.Subvol, m.Target, p.Profile.Name)
		}
	}
	return nil
}

// findLoader puts the EFI program of the boot loader into the tree, where the system has
// none itself.
func (m *menu) findLoader() error {
	kind := m.plan.Profile.Boot.Loader
	if kind == loader.GRUB && m.plan.Profile.Boot.GRUB != "" || kind == loader.GRUB && m.disk.nixos {
		return m.ownGRUB()
	}
	if kind != loader.SystemdBoot {
		return nil // what a system with GRUB or a unified kernel image lacks, loader says
	}
	const name = "systemd-bootx64.efi"
	for _, dir := range []string{bootDirs[0], profileLink + "/systemd/lib/systemd/boot/efi"} {
		if e, err := m.tree.follow(path.Join(dir, name)); err == nil && e != nil {
			return nil
		}
	}
	program, err := m.programOfESP()
	if err != nil {
		return err
	}
	return loader.Put(m.tree.Tree, path.Join(bootDirs[0], name), program, m.plan.Epoch)
}

func (m *menu) ownGRUB() (err error) {
	m.boot.GRUB, err = m.programOfESP()
	return err
}

// programOfESP returns the boot loader that is on the ESP, or that of the stick.
func (m *menu) programOfESP() ([]byte, error) {
	if m.esp != nil {
		for _, name := range []string{bls.FallbackPath, loader.SystemdBootPath} {
			data, err := m.esp.ReadAtMost(name, maxKernel)
			if err == nil && isProgram(data) {
				return data, nil
			}
		}
	}
	if m.stick.Loader == nil {
		return nil, fault.New(fault.Input, "take the stick that was made for this host", "boot loader: neither the system nor a stick has one")
	}
	m.need(needLoader)
	return m.stick.Loader, nil
}

func isProgram(data []byte) bool {
	_, err := uki.ImageSize(data)
	return err == nil
}

// findSystem returns what the system can start by.
func (m *menu) findSystem(started bool) (*source.System, error) {
	if !m.disk.nixos {
		if err := m.findKernels(); err != nil {
			return nil, err
		}
		return source.SystemOf(m.tree.Tree, m.plan.Epoch)
	}
	m.rebuilt = m.startsByItself(started)
	s, skipped, err := m.tree.generations()
	for _, why := range skipped {
		m.notes = append(m.notes, "generation left out: "+why)
	}
	return s, err
}

// startsByItself reports whether the generations of a NixOS are to start by their own
// initrds, as after each nixos-rebuild: unless the menu that is there has our initramfs, or
// there is none and the first boot is not finished.
func (m *menu) startsByItself(started bool) bool {
	if m.plan.Profile.Initramfs.OfSource() { // the prelude was for the first boot
		return true
	}
	if m.esp == nil {
		return started || m.stick.Initramfs == nil && m.stick.Kernels == nil
	}
	known := false
	for _, e := range readEntries(m.esp) {
		for _, archive := range e.Initrd {
			if strings.HasPrefix(archive, "/"+loader.NixOSDir+"/mkimage-") {
				return false
			}
			known = known || strings.HasPrefix(archive, "/"+loader.NixOSDir+"/")
		}
	}
	if files, err := m.esp.ReadDir(loader.NixOSDir); err == nil && !known {
		return !slices.ContainsFunc(files, func(f fs.DirEntry) bool { return strings.HasPrefix(f.Name(), "mkimage-") })
	}
	return known || started
}

// fit makes the files, with as many generations as the ESP has room for.
func (m *menu) fit(s *source.System, params esp.Params) error {
	capacity, err := esp.Capacity(params)
	if err != nil {
		return err
	}
	for n := len(s.Generations); ; n-- {
		m.boot.Rebuilt = m.rebuilt
		m.boot.Generations, m.boot.Initrds = m.generations(s.Generations[:n])
		if m.files, err = loader.Tree(m.plan, m.tree.Tree, m.boot); err != nil {
			return err
		}
		for name, data := range m.stick.Files {
			if err := loader.Put(m.files, name, data, m.plan.Epoch); err != nil {
				return err
			}
		}
		m.files.Freeze()
		need, err := esp.Need(m.files, params)
		if err != nil {
			return err
		}
		if need <= capacity {
			return nil
		}
		if n <= 1 {
			return loader.Fits(m.files, need, capacity)
		}
		m.notes = append(m.notes, "entry "+s.Generations[n-1].FileName+" left out: there is no room for it on the ESP")
	}
}

// generations returns the entries that a NixOS names itself, and their initrds.
func (m *menu) generations(list []source.Generation) (entries []manifest.Generation, initrds map[string]*fstree.Entry) {
	initrds = map[string]*fstree.Entry{}
	for _, g := range list {
		e := manifest.Generation{
			File: g.FileName, Title: g.Title, SortKey: g.SortKey, Version: g.Version, Kernel: g.Kernel, Linux: g.Entry.Kernel, Words: g.Words,
		}
		if m.rebuilt && g.Initrd != nil {
			e.Initrd, e.Words = g.Entry.Initrd, g.AllWords
			initrds[e.Initrd] = g.Initrd
		}
		entries = append(entries, e)
	}
	return entries, initrds
}
