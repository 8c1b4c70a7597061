package installed

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/view"
	"github.com/6FaNcY9/mkimage/builder/diff"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// unitTypes are what the names of units end in, systemd.unit(5).
var unitTypes = []string{".service", ".socket", ".target", ".timer", ".path", ".mount", ".automount", ".swap", ".slice", ".scope", ".device"}

// dependencyDirs are what the names of directories end in whose links make one unit ask
// for another.
var dependencyDirs = []string{".wants", ".requires", ".upholds"}

// unit is a unit whose files are being gathered.
type unit struct {
	main            string            // what the unit file says, with its form in front
	dropins         map[string]string // by name of the file
	enabled, masked bool
}

// maxUnits bounds the texts of all units, in bytes. Those of a large system have 2 MB.
const maxUnits = 64 << 20

// unitReader gathers units.
type unitReader struct {
	view *view.View
	all  map[string]*unit
	size int // bytes of their texts so far
}

// text reads a file of a unit.
func (r *unitReader) text(name string) (string, error) {
	text, err := r.view.Text(name)
	if r.size += len(text); r.size > maxUnits {
		return "", fault.New(fault.Input, "", "%s: the texts of all units up to this have %d bytes, expected at most %d", name, r.size, maxUnits)
	}
	return text, err
}

// units reads the units below directories. What the first ones have counts: they
// override the others, and only links in the first enable a unit, those of the others
// being a matter of packages.
func (d *disk) units(ctx context.Context, dirs ...string) error {
	r := &unitReader{view: d.view, all: map[string]*unit{}}
	for i, dir := range dirs {
		list, err := d.view.List(dir)
		if err != nil {
			return err
		}
		for _, e := range list {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := r.entry(path.Join(dir, e.Name()), i == 0); err != nil {
				return err
			}
		}
	}
	for name, u := range r.all {
		d.out.Units = append(d.out.Units, u.unit(name))
	}
	slices.SortFunc(d.out.Units, func(a, b diff.Unit) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// get returns the unit of a name, a new one if need be.
func (r *unitReader) get(name string) *unit {
	if r.all[name] == nil {
		r.all[name] = &unit{dropins: map[string]string{}}
	}
	return r.all[name]
}

// entry takes what is in a directory of units.
func (r *unitReader) entry(name string, first bool) error {
	base := path.Base(name)
	if of, ok := strings.CutSuffix(base, ".d"); ok {
		return r.dropinDir(name, of)
	}
	for _, suffix := range dependencyDirs {
		if strings.HasSuffix(base, suffix) {
			if !first {
				return nil
			}
			return r.enable(name)
		}
	}
	if isUnit(base) {
		return r.file(name, base)
	}
	return nil
}

func isUnit(name string) bool {
	return slices.ContainsFunc(unitTypes, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
}

// file takes a unit file, or what stands for one: a link to /dev/null masks the unit,
// one to another name is an alias.
func (r *unitReader) file(name, base string) error {
	u := r.get(base)
	if u.main != "" {
		return nil
	}
	target, err := r.view.Link(name)
	if err != nil {
		return err
	}
	// NixOS masks a unit by a link to an object that is such a link.
	masked, err := r.view.LeadsTo(name, "/dev/null")
	switch {
	case err != nil:
		return err
	case masked:
		u.masked = true
		return nil
	case target != "" && path.Base(target) != base:
		u.main = "alias of " + path.Base(target)
		return nil
	}
	text, err := r.text(name)
	if target != "" && errors.Is(err, fs.ErrNotExist) {
		u.main = "link to " + target // which is made when the system runs
		return nil
	}
	u.main = "file " + text
	return err
}

// dropinDir takes the files that add to a unit. A directory for all units of a type,
// such as "service.d", counts as a unit of that name.
func (r *unitReader) dropinDir(dir, of string) error {
	if !isUnit(of) {
		of = path.Base(dir)
	}
	list, err := r.view.List(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if !strings.HasSuffix(e.Name(), ".conf") {
			continue
		}
		u := r.get(of)
		if _, overridden := u.dropins[e.Name()]; overridden {
			continue
		}
		text, err := r.text(path.Join(dir, e.Name()))
		if ignoreAbsent(err) != nil {
			return err
		}
		u.dropins[e.Name()] = text
	}
	return nil
}

// enable takes the links of a directory of dependencies.
func (r *unitReader) enable(dir string) error {
	list, err := r.view.List(dir)
	for _, e := range list {
		if isUnit(e.Name()) {
			r.get(e.Name()).enabled = true
		}
	}
	return err
}

// unit returns what package diff compares.
func (u *unit) unit(name string) diff.Unit {
	out := diff.Unit{Name: name, Enabled: u.enabled, Masked: u.masked}
	if u.main == "" && len(u.dropins) == 0 {
		return out
	}
	var text strings.Builder
	text.WriteString(u.main)
	names := make([]string, 0, len(u.dropins))
	for n := range u.dropins {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		text.WriteString("\x00" + n + "\x00" + u.dropins[n])
	}
	out.Text = diff.Digest(text.String())
	return out
}

// kernels adds the releases whose modules are in a directory.
func (d *disk) kernels(modules string) error {
	list, err := d.view.List(modules)
	for _, e := range list {
		d.out.Kernels = append(d.out.Kernels, e.Name())
	}
	return err
}
