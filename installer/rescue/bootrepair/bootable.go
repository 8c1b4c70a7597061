package bootrepair

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nixos"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// What the boot of a system without a store is made of, but for its modules.
var bootDirs = []string{"usr/lib/systemd/boot/efi", "usr/lib/grub/x86_64-efi-signed", "usr/lib/grub/x86_64-efi/monolithic"}

// moduleDirs are where the modules of kernels lie.
var moduleDirs = []string{"usr/lib/modules", "lib/modules"}

// linkName is the form of the links of the profile of NixOS.
var linkName = regexp.MustCompile(`^system-[1-9][0-9]{0,8}-link$`)

// storeName finds the files of a store that a text names.
var storeName = regexp.MustCompile(`/nix/store/[0-9a-z]{32}-[^"\s\\]+`)

// maxGenerations bounds the generations that are put into a menu: their initrds are in
// memory meanwhile, of which a machine may have 1 GiB. What is in the menu already stays.
const maxGenerations = 5

// bootable loads what a system starts by.
func (t *tree) bootable() error {
	if t.system.nixos {
		return nil // one generation at a time
	}
	for _, name := range slices.Concat(bootDirs, moduleDirs, []string{"usr/lib/firmware", "lib/firmware"}) {
		if err := t.whole(name); err != nil {
			return err
		}
	}
	for _, name := range []string{"etc/os-release", "usr/lib/os-release", "boot", "vmlinuz"} {
		e, err := t.follow(name)
		if err == nil && e != nil {
			err = t.list(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// generations returns what a NixOS starts by, the current generation first, and why others
// were left out: a generation whose files are gone must not keep the rest from starting.
func (t *tree) generations() (s *source.System, skipped []string, err error) {
	profiles, err := t.follow(path.Dir(profileLink))
	if err != nil || profiles == nil {
		return nil, nil, fault.New(fault.Input, "", "/%s: not there: %w", path.Dir(profileLink), err)
	}
	current, err := t.child(profiles, path.Base(profileLink))
	if err == nil {
		err = t.list(profiles)
	}
	if err != nil || current == nil || !current.IsSymlink() {
		return nil, nil, fault.New(fault.Input, "", "/%s: expected a symlink: %w", profileLink, err)
	}
	first := current.Link
	links := map[string]*fstree.Inode{}
	for _, e := range slices.Clone(profiles.Children()) {
		if linkName.MatchString(e.Name) && e.IsSymlink() {
			links[e.Name] = e.Copy()
			profiles.Remove(e)
		}
	}
	for _, name := range newestFirst(links, first) {
		if len(kept(profiles)) == maxGenerations {
			skipped = append(skipped, name+": more than are put into a menu")
			continue
		}
		if err := t.generation(profiles, current, name, links[name]); err != nil {
			if fault.ClassOf(err) != fault.Input {
				return nil, nil, err
			}
			skipped = append(skipped, name+": "+err.Error())
		}
	}
	good := kept(profiles)
	if len(good) == 0 {
		return nil, nil, fault.New(fault.Input, "go back to a snapshot of the store", "no generation has all that it starts by: %s", strings.Join(skipped, "; "))
	}
	current.Link = first
	if profiles.Child(first) == nil { // the current one does not start: the newest that does
		current.Link = newestFirst(good, "")[0]
	}
	current.Size = int64(len(current.Link))
	s, err = t.dated()
	return s, skipped, err
}

// kept are the links of generations that are there.
func kept(profiles *fstree.Entry) map[string]*fstree.Inode {
	list := map[string]*fstree.Inode{}
	for _, e := range profiles.Children() {
		if linkName.MatchString(e.Name) {
			list[e.Name] = e.Inode
		}
	}
	return list
}

// newestFirst returns the names of links, one before all, then the highest number first.
func newestFirst(links map[string]*fstree.Inode, first string) []string {
	var names []string
	for name := range links {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		switch {
		case (a == first) != (b == first):
			return map[bool]int{true: -1, false: 1}[a == first]
		case len(a) != len(b): // numbers have no zeros in front
			return len(b) - len(a)
		}
		return strings.Compare(b, a)
	})
	return names
}

// generation loads a generation, and adds its link if it can be started.
func (t *tree) generation(profiles, current *fstree.Entry, name string, link *fstree.Inode) error {
	if err := t.toplevel(link.Link, true); err != nil {
		return err
	}
	others := kept(profiles)
	for other := range others {
		profiles.Remove(profiles.Child(other))
	}
	e, err := profiles.Add(name, link)
	if err != nil {
		return err
	}
	current.Link, current.Size = name, int64(len(name))
	if _, err = source.SystemOf(t.Tree, time.Unix(0, 0)); err != nil {
		profiles.Remove(e)
	}
	for other, n := range others {
		if _, err := profiles.Add(other, n); err != nil {
			return err
		}
	}
	return err
}

// toplevel loads what a system starts by, and its specialisations, which have none
// themselves.
func (t *tree) toplevel(top string, outer bool) error {
	for _, dir := range []string{"", "kernel-modules/lib/modules", "firmware", "systemd/lib/systemd/boot/efi"} {
		if err := t.whole(path.Join(top, dir)); err != nil {
			return err
		}
	}
	if _, err := t.follow(path.Join(top, "etc/os-release")); err != nil {
		return err
	}
	if spec, err := t.follow(path.Join(top, "boot.json")); err == nil && spec != nil && spec.IsRegular() {
		text, err := spec.Read(maxText)
		if err != nil {
			return fault.New(fault.Input, "", "%s/boot.json: %w", top, err)
		}
		for _, name := range storeName.FindAllString(string(text), -1) {
			if _, err := t.follow(name); err != nil {
				return err
			}
		}
	}
	special, err := t.follow(path.Join(top, "specialisation"))
	if err != nil || special == nil || !outer {
		return err
	}
	for _, c := range special.Children() {
		if !c.IsSymlink() {
			continue
		}
		if err := t.toplevel(c.Link, false); err != nil {
			return err
		}
	}
	return nil
}

// dated returns the system of the tree, with the date of each generation, as NixOS has it:
// when its store object came to be on this disk.
func (t *tree) dated() (*source.System, error) {
	s, err := source.SystemOf(t.Tree, time.Unix(0, 0))
	if err != nil {
		return nil, err
	}
	generations, err := nixos.Generations(t.Tree)
	if err != nil {
		return nil, err
	}
	i := 0
	for _, g := range generations {
		entries, err := nixos.Menu(t.Tree, []nixos.Generation{g}, t.made(g.Spec.Toplevel.String()))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			s.Generations[i].Entry = e
			i++
		}
	}
	return s, nil
}

// made returns when a file came to be on the disk.
func (t *tree) made(name string) time.Time {
	at, ok := t.system.place(name)
	if !ok {
		return time.Unix(0, 0)
	}
	info, err := t.system.top.Lstat(at)
	if err != nil {
		return time.Unix(0, 0)
	}
	return changed(info)
}

func changed(info fs.FileInfo) time.Time {
	if s, ok := info.Sys().(*reader.Stat); ok {
		return time.Unix(int64(s.Inode.Ctime.Sec), int64(s.Inode.Ctime.Nsec)).UTC()
	}
	return info.ModTime().UTC()
}
