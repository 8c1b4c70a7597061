package mounts

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nixos"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// Check refuses a tree with a NixOS system that would not find on the disk of a plan what
// it mounts and swaps to, and one that would not mount what the plan keeps data in. Every
// generation and specialisation is compared. Of a mount the device, the type and the
// subvolume count, other options may differ, unless the kernel would not mount the root
// with one. A tree without a NixOS system is not
// compared.
//
// These differ never:
//
//   - What the system needs: every mount and swap area without "nofail" and "noauto",
//     and every one with "x-initrd.mount"; but no swapfile that it makes itself.
//   - What the plan has: its root, its ESP and its subvolumes, but not the one of the
//     swapfile where the system does not swap to that.
//   - What both have, whatever its options; only a mount that the system can do
//     without, and that the initramfs does not make, may be of another disk.
//   - When it is mounted: what the system has before its activation (neededForBoot) the
//     initramfs of the plan must mount too, or what the activation writes there would be
//     out of sight as soon as the system has mounted it.
//
// All differences are one error of class fault.Config; a table that is missing or cannot
// be read is one of class fault.Input.
func Check(t *fstree.Tree, p *plan.Plan) error {
	if !nixos.IsSystem(t) {
		return nil
	}
	all, err := tables(t)
	if err != nil {
		return err
	}
	return check(all, p)
}

func check(all []table, p *plan.Plan) error {
	c := &checker{plan: p}
	for _, one := range all {
		c.table(one)
	}
	if len(c.problems) == 0 {
		return nil
	}
	return &fault.Error{Class: fault.Config, Hint: c.hint(all[0]), Err: c.problems}
}

// hint says what to do about all differences; the table is that of the current generation.
func (c *checker) hint(current table) string {
	var all []string
	if _, err := document(current); err == nil && c.plan.Layout.Name != LayoutName {
		key := "layout"
		if c.plan.Medium != nil {
			key = "payload.layout"
		}
		all = append(all, "take the disk that the system asks for, --set "+key+"="+LayoutName)
	}
	if c.untimely {
		all = append(all, "start the system by its own initrd, --set initramfs.from="+profiles.InitramfsSource)
	}
	if len(c.fixes) > 0 {
		all = append(all, "write in the configuration of the system: "+strings.Join(c.fixes, " "))
	}
	return strings.Join(all, "; or ")
}

// maxFixes bounds the hint of a table that fits nothing: nobody reads more, and each is
// compared with all others.
const maxFixes = 100

// checker collects what differs.
type checker struct {
	plan     *plan.Plan
	problems strict.Problems
	fixes    []string // lines of a configuration, once each
	untimely bool     // something would be mounted too late
}

// add notes a difference, and what mends it. Line 0 is of no line.
func (c *checker) add(file string, line int, key, fix, format string, args ...any) {
	at := strict.Position{File: file, Line: line}
	if line > 0 {
		at.Column = 1
	}
	c.problems = append(c.problems, strict.Problem{Position: at, Key: key, Text: fmt.Sprintf(format, args...)})
	if fix != "" && len(c.fixes) < maxFixes && !slices.Contains(c.fixes, fix) {
		c.fixes = append(c.fixes, fix)
	}
}

// table compares the table of one system.
func (c *checker) table(t table) {
	swaps := false
	for _, l := range t.lines {
		switch {
		case l.IsSwap():
			c.swap(t, l)
			swaps = swaps || c.isSwapfile(l)
		case l.IsMount():
			c.mount(t.file, l)
		}
	}
	for _, m := range c.plan.Mounts {
		mounted := slices.ContainsFunc(t.lines, func(l fstab.Line) bool { return l.IsMount() && l.Target == m.Target })
		if !mounted && c.keepsData(m, swaps) {
			c.add(t.file, 0, attribute(m.Target), c.fixMount(m), "is not mounted; layout %s has %s there", c.plan.Layout.Name, c.show(m, ""))
		}
	}
}

// keepsData reports whether a system that does not mount m would lose sight of data.
func (c *checker) keepsData(m plan.Mount, swaps bool) bool {
	if s := c.plan.Layout.Swapfile.Subvolume; m.Type == btrfs && m.Subvol == s && s != "" {
		return swaps
	}
	return m.Type == btrfs || m.Type == vfat || m.Target == "/"
}

// mount compares a line with what the plan has at its place.
func (c *checker) mount(file string, l fstab.Line) {
	i := slices.IndexFunc(c.plan.Mounts, func(m plan.Mount) bool { return m.Target == l.Target })
	if i < 0 {
		c.unplanned(file, l)
		return
	}
	m := c.plan.Mounts[i]
	foreign := isDisk(l) && c.role(l.What) == ""
	if c.same(l, m) {
		c.options(file, l, m)
		c.early(file, l, m)
		return
	}
	if optional(l) && !m.Early && foreign {
		return
	}
	tag, _, _ := fstab.ParseDevice(l.What)
	c.add(file, l.Number, attribute(l.Target), c.fixMount(m), "mounts %s; layout %s has %s there%s", show(l), c.plan.Layout.Name, c.show(m, tag), c.why(l))
}

// options looks at those of the mount by which the kernel gets to know the file system: of
// later ones it takes no notice. It is that of /, and over a root in memory any that the
// initramfs makes.
func (c *checker) options(file string, l fstab.Line, m plan.Mount) {
	if m.Type != btrfs || m.Target != "/" && (c.plan.Layout.Tmpfs.Size == "" || !m.Early) {
		return
	}
	if option, why := layouts.Unmountable(l.Options); option != "" {
		c.add(file, l.Number, attribute(l.Target), c.fixMount(m), "has the option %s, with which it cannot be mounted: %s", option, why)
	}
}

// early looks at when a mount is made, by an initramfs that mounts what the plan says.
func (c *checker) early(file string, l fstab.Line, m plan.Mount) {
	if m.Early || m.Type != btrfs || !isNeededForBoot(l) || c.plan.Profile.Initramfs.OfSource() {
		return
	}
	c.untimely = true
	c.add(file, l.Number, attribute(l.Target), "", "is mounted before the system is activated; layout %s has it mounted later, expected layout.subvolumes.%s.early = true", c.plan.Layout.Name, m.Subvol)
}

// late refuses what the plan has nothing for where the system mounts it, on its disk, before
// its activation.
func (c *checker) late(file string, l fstab.Line) {
	if !isNeededForBoot(l) || c.plan.Profile.Initramfs.OfSource() {
		return
	}
	c.untimely = true
	expected, fix := "nothing there", ""
	if isBind(l) && c.plan.Layout.Tmpfs.Size != "" {
		expected = "nothing there, expected it in layout.persist.directories or layout.persist.files"
	}
	if !slices.Contains(neededForBoot, l.Target) {
		fix = attribute(l.Target) + ".neededForBoot = false;"
	}
	c.add(file, l.Number, attribute(l.Target), fix, "mounts %s before the system is activated; layout %s has %s", show(l), c.plan.Layout.Name, expected)
}

// same reports whether a line mounts what the plan has there.
func (c *checker) same(l fstab.Line, m plan.Mount) bool {
	switch m.Type {
	case tmpfs:
		return l.Type == tmpfs
	case btrfs:
		name, known := subvolume(l)
		return c.role(l.What) == plan.RoleRoot && l.Type == btrfs && known && name == m.Subvol
	case vfat:
		return c.role(l.What) == plan.RoleESP && (l.Type == vfat || l.Type == "auto")
	}
	return isBind(l) && path.Clean(l.What) == m.What
}

// unplanned looks at a line for which the plan has nothing. What is on the root file
// system in any case can be mounted: its top level, and subvolumes that nothing is said
// of but their names.
func (c *checker) unplanned(file string, l fstab.Line) {
	if isBind(l) {
		c.late(file, l)
		return
	}
	if optional(l) || !isDisk(l) {
		return
	}
	name, known := subvolume(l)
	there := name == "" || slices.ContainsFunc(c.plan.Subvolumes, func(s plan.Subvolume) bool { return s.Path == name })
	if c.role(l.What) == plan.RoleRoot && l.Type == btrfs && known && there {
		c.late(file, l)
		return
	}
	c.add(file, l.Number, attribute(l.Target), fixOptional(l.Target), "mounts %s; layout %s has nothing there%s", show(l), c.plan.Layout.Name, c.why(l))
}

// swap compares a swap area.
func (c *checker) swap(t table, l fstab.Line) {
	if optional(l) || c.isSwapfile(l) || strings.HasPrefix(l.What, "/dev/zram") {
		return
	}
	where := ""
	if slices.Contains(t.makes, l.What) {
		if c.onDisk(l.What) {
			return
		}
		where = ", which it would make outside the root file system"
	}
	has := "no swap area"
	if s := c.plan.Swapfile; s != nil {
		has = "the swapfile " + s.File
	}
	c.add(t.file, l.Number, "swapDevices", c.fixSwap(l), "swaps to %s%s; the image has %s (layout %s, swap.policy %q)", l.What, where, has, c.plan.Layout.Name, c.plan.Profile.Swap.Policy)
}

// onDisk reports whether a path of the running system is on the root file system.
func (c *checker) onDisk(name string) bool {
	name = path.Clean(name)
	var best plan.Mount
	for _, m := range c.plan.Mounts {
		inside := m.Target == "/" || name == m.Target || strings.HasPrefix(name, m.Target+"/")
		if inside && len(m.Target) > len(best.Target) {
			best = m
		}
	}
	bound := best.Target != "" && !slices.Contains([]string{btrfs, vfat, tmpfs}, best.Type) && best.What != best.Target
	return best.Type == btrfs || bound && c.onDisk(best.What)
}

// isSwapfile reports whether a line swaps to the swapfile of the plan.
func (c *checker) isSwapfile(l fstab.Line) bool {
	return c.plan.Swapfile != nil && path.IsAbs(l.What) && path.Clean(l.What) == c.plan.Swapfile.File
}
