package mounts

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/layouts"
)

// LayoutName is the layout of a profile that asks for the disk that its system mounts.
const LayoutName = "from-closure"

// Layout makes a layout of what the current generation of a tree mounts, as the file of
// one: an ESP, one btrfs file system with subvolumes, or a root in memory over it, and
// a swapfile. What no table says is as in the built-in layouts: the sizes, two copies of
// metadata, snapshots of the root and /var for the factory entry.
//
// Errors are of class fault.Config for what a layout cannot say, all of it at once, and
// of fault.Input for a table that is missing or cannot be read. Whether the values are
// right for a layout the set that it is read into finds out.
func Layout(t *fstree.Tree) ([]byte, error) {
	all, err := tables(t)
	if err != nil {
		return nil, err
	}
	return document(all[0])
}

// document makes the layout of a table.
func document(t table) ([]byte, error) {
	d := &deriver{table: t, layout: layouts.Layout{
		Description: "as the system of the source mounts it",
		ESP:         layouts.ESP{Size: 1 << 30},
		Root:        layouts.Root{Metadata: "dup", Free: 1 << 30},
	}}
	for _, step := range []func(){d.esp, d.root, d.mounts, d.options, d.swap, d.persist, d.factory} {
		step()
	}
	if len(d.problems) > 0 {
		return nil, &fault.Error{Class: fault.Config, Hint: d.hint, Err: d.problems}
	}
	return encode(&d.layout), nil
}

// deriver makes a layout of a table.
type deriver struct {
	table
	layout   layouts.Layout
	device   string       // of the btrfs file system, by what names it
	btrfs    []fstab.Line // its mounts, that of the root first
	problems strict.Problems
	hint     string
}

// refuse notes what a layout cannot say of a line, or of the table where l is nil.
func (d *deriver) refuse(l *fstab.Line, key, text string) {
	at := strict.Position{File: d.file}
	if l != nil {
		at.Line, at.Column = l.Number, 1
	}
	d.problems = append(d.problems, strict.Problem{Position: at, Key: key, Text: text})
}

// label returns the label that a line names its device by: file system and partition have
// the same one in a layout.
func (d *deriver) label(l fstab.Line) string {
	tag, value, _ := fstab.ParseDevice(l.What)
	if tag == fstab.Label || tag == fstab.PARTLABEL {
		return value
	}
	reason := onOneMachine(l.What)
	if tag != "" {
		reason = "an image gets its UUIDs when it is made"
	}
	d.refuse(&l, attribute(l.Target), "is on "+l.What+", expected one named by its label: "+reason)
	if d.hint == "" {
		example := map[bool]string{true: "ESP", false: "nixos"}[l.Type == vfat]
		d.hint = "name it by its label: " + attribute(l.Target) + `.device = "/dev/disk/by-label/` + example + `";`
	}
	return ""
}

// espTargets are where an ESP is mounted that a system can do without.
var espTargets = []string{"/boot", "/boot/efi", "/efi"}

// fatLabel is what an ESP can be named by.
var fatLabel = regexp.MustCompile(`^[A-Z0-9_-]{1,11}$`)

func (d *deriver) esp() {
	var found []fstab.Line
	for _, l := range d.lines {
		if l.IsMount() && l.Type == vfat && (!optional(l) || slices.Contains(espTargets, l.Target)) {
			found = append(found, l)
		}
	}
	if len(found) == 0 {
		d.refuse(nil, "", "mounts no ESP; a layout has one, expected a file system of type vfat at /boot")
		return
	}
	for _, l := range found[1:] {
		d.refuse(&l, attribute(l.Target), "mounts "+show(l)+"; a layout has one file system of type vfat, here that at "+found[0].Target)
	}
	esp := &d.layout.ESP
	esp.Mount, esp.Label = found[0].Target, d.label(found[0])
	if esp.Label != "" && !fatLabel.MatchString(esp.Label) {
		d.refuse(&found[0], attribute(esp.Mount), "is on "+found[0].What+"; in a layout the partition of an ESP has the label of its file system, expected 1 to 11 of A-Z 0-9 _ -")
		d.hint = `name it by such a label: ` + attribute(esp.Mount) + `.device = "/dev/disk/by-label/ESP";`
	}
}

// root finds the btrfs file system: that of /, or of /nix where / is in memory.
func (d *deriver) root() {
	at := func(target string) *fstab.Line {
		i := slices.IndexFunc(d.lines, func(l fstab.Line) bool { return l.IsMount() && l.Target == target })
		if i < 0 {
			return nil
		}
		return &d.lines[i]
	}
	root := at("/")
	if root != nil && root.Type == tmpfs {
		d.memory(root)
		root = at("/nix")
	}
	if root == nil || root.Type != btrfs {
		text := "mounts nothing there; a layout has a btrfs file system for / and /nix"
		if root != nil {
			text = "mounts " + show(*root) + "; a layout has a btrfs file system for / and /nix"
		}
		d.refuse(root, attribute("/"), text)
		return
	}
	d.layout.Root.Label, d.device = d.label(*root), root.What
}

// memory makes the root one in memory. Below it is a subvolume that the system knows
// nothing of.
func (d *deriver) memory(root *fstab.Line) {
	m := &d.layout.Tmpfs
	m.Size, m.Mode = "50%", "755" // the size that the kernel would take, and the usual mode of a root
	if size, ok := root.Option("size"); ok {
		m.Size = size
	}
	if mode, ok := root.Option("mode"); ok {
		m.Mode = mode
	}
	below := layouts.Subvolume{Name: "@", Mount: "/", Early: true}
	for slices.ContainsFunc(d.lines, func(l fstab.Line) bool { name, _ := subvolume(l); return l.Type == btrfs && name == below.Name }) {
		below.Name += "root"
	}
	d.layout.Subvolumes = append(d.layout.Subvolumes, below)
}

// same reports whether a line is of the btrfs file system.
func (d *deriver) same(l fstab.Line) bool {
	_, a, _ := fstab.ParseDevice(l.What)
	_, b, tagged := fstab.ParseDevice(d.device)
	return l.Type == btrfs && (l.What == d.device || tagged && a == b)
}

// mounts makes subvolumes of the mounts of the btrfs file system, and refuses other disks
// without which the system does not start.
func (d *deriver) mounts() {
	taken := map[string]string{}
	for _, l := range d.lines {
		name, known := subvolume(l)
		switch {
		case !l.IsMount() || l.Type == vfat || !isDisk(l):
		case d.device == "":
			// It is said already that there is no file system.
		case !d.same(l):
			if !optional(l) {
				d.refuse(&l, attribute(l.Target), "mounts "+show(l)+"; a layout has one file system besides the ESP, here "+d.device)
			}
		case !known || name == "":
			if !optional(l) {
				d.refuse(&l, attribute(l.Target), "mounts "+show(l)+`; a layout mounts subvolumes by their names, expected an option such as "subvol=@home"`)
			}
		case taken[name] != "":
			d.refuse(&l, attribute(l.Target), "mounts "+show(l)+"; a layout mounts a subvolume once, and this one is at "+taken[name])
		default:
			taken[name] = l.Target
			d.btrfs = append(d.btrfs, l)
			d.layout.Subvolumes = append(d.layout.Subvolumes, layouts.Subvolume{
				Name: name, Mount: l.Target, Early: l.Has(initrdOption) || layouts.IsEarly(l.Target),
			})
		}
	}
	slices.SortStableFunc(d.btrfs, func(a, b fstab.Line) int { return depth(a.Target) - depth(b.Target) })
}

// depth orders mounts as they are made.
func depth(target string) int {
	if target == "/" {
		return 0
	}
	return strings.Count(target, "/")
}

// persist makes what is bound before the system starts a part of the layout: a root in
// memory would be without it.
func (d *deriver) persist() {
	for _, l := range d.lines {
		if !l.IsMount() || !isBind(l) || !l.Has(initrdOption) {
			continue
		}
		p := &d.layout.Persist
		holder := d.holder(l.What)
		if d.layout.Tmpfs.Size == "" || holder == nil || path.Clean(l.What) != path.Join(holder.Mount, l.Target) || p.Subvolume != "" && p.Subvolume != holder.Name {
			d.refuse(&l, attribute(l.Target), "binds "+l.What+" before the system starts; a layout does so over a root in memory, from the same path below one subvolume")
			continue
		}
		p.Subvolume = holder.Name
		if l.Target == machineID {
			p.Files = append(p.Files, l.Target)
		} else {
			p.Directories = append(p.Directories, l.Target)
		}
	}
}

// machineID is the one file that is bound often: whether a bound path is a file no table
// says.
const machineID = "/etc/machine-id"

// holder returns the subvolume that a path of the running system is in, or nil.
func (d *deriver) holder(name string) *layouts.Subvolume {
	var best *layouts.Subvolume
	for i := range d.layout.Subvolumes {
		s := &d.layout.Subvolumes[i]
		inside := s.Mount == "/" || strings.HasPrefix(name, s.Mount+"/")
		if inside && (best == nil || len(s.Mount) > len(best.Mount)) {
			best = s
		}
	}
	return best
}

// factory asks for snapshots of what the built-in layouts have them of.
func (d *deriver) factory() {
	for _, s := range d.layout.Subvolumes {
		if (s.Mount == "/" || s.Mount == "/var") && !strings.Contains(s.Name, "/") && !s.NoDataCow {
			d.layout.Factory.Subvolumes = append(d.layout.Factory.Subvolumes, s.Name)
		}
	}
	if !slices.ContainsFunc(d.layout.Subvolumes, func(s layouts.Subvolume) bool {
		return s.Mount == "/" && slices.Contains(d.layout.Factory.Subvolumes, s.Name)
	}) {
		d.layout.Factory.Subvolumes = nil // the root must be among them
	}
}
