package adjust

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/strict"
)

// units disables, masks and enables what the profile asks for, in this order,
// and sets the default target. The symlinks are those that "systemctl disable",
// "mask", "enable" and "set-default" make; like these it refuses to enable a
// unit that is an alias, masked or without an [Install] section, and masks one
// that does not exist.
func (e *editor) units() error {
	u := &e.plan.Profile.Units
	for i, name := range u.Disable {
		if err := e.onUnit(strict.Index("units.disable", i), name, e.disable); err != nil {
			return err
		}
	}
	for i, name := range u.Mask {
		if _, err := parseUnitName(name); err != nil {
			e.Add(strict.Index("units.mask", i), "%v", err)
		} else if err := e.symlink(configDir+"/"+name, "/dev/null"); err != nil {
			return err
		}
	}
	for i, name := range u.Enable {
		if err := e.onUnit(strict.Index("units.enable", i), name, e.enable); err != nil {
			return err
		}
	}
	if u.Target == "" {
		return nil
	}
	return e.onUnit("units.target", u.Target, e.setDefault)
}

// onUnit does something with a unit that the profile names under key. A name
// that cannot be used is noted, not returned.
func (e *editor) onUnit(key, name string, do func(key string, u *unit) error) error {
	n, err := parseUnitName(name)
	if err != nil {
		e.Add(key, "%v", err)
		return nil
	}
	u, err := e.loadUnit(n)
	switch {
	case err != nil:
		return err
	case u == nil:
		e.Add(key, "%s: the source has no such unit%s", name, strict.DidYouMean(name, e.unitNames()))
		return nil
	case u.alias != "":
		e.Add(key, "%s: is another name of %s, which is the one to use", name, u.alias)
		return nil
	}
	return do(key, u)
}

func (e *editor) setDefault(key string, u *unit) error {
	if u.masked || u.name.suffix != ".target" {
		e.Add(key, "%s: is masked or no target", u.name)
		return nil
	}
	return e.symlink(configDir+"/default.target", u.path)
}

// enable makes the symlinks of a unit and of those that are enabled with it.
func (e *editor) enable(key string, u *unit) error {
	switch {
	case u.masked:
		e.Add(key, "%s: is masked in the source (%s)", u.name, u.path)
		return nil
	case u.install.isEmpty():
		e.Add(key, "%s: has no [Install] section, other units start it (%s)", u.name, u.path)
		return nil
	}
	all, err := e.withAlso(u)
	if err != nil {
		return err
	}
	for _, one := range all {
		if err := e.link(key, one); err != nil {
			return err
		}
	}
	return nil
}

// withAlso returns a unit and all that its Also= leads to, each once. Those
// that the source lacks are left out, as systemctl does.
func (e *editor) withAlso(u *unit) ([]*unit, error) {
	all := []*unit{u}
	for i := 0; i < len(all); i++ {
		for _, also := range all[i].install.Also {
			name, err := all[i].name.expand(also)
			if err != nil {
				return nil, fmt.Errorf("%s: Also=%w", all[i].path, err)
			}
			n, err := parseUnitName(name)
			if err != nil {
				return nil, fmt.Errorf("%s: Also=%w", all[i].path, err)
			}
			if slices.ContainsFunc(all, func(o *unit) bool { return o.name == n }) {
				continue
			}
			next, err := e.loadUnit(n)
			if err != nil {
				return nil, err
			}
			if next != nil && next.alias == "" && !next.masked {
				all = append(all, next)
			}
		}
	}
	return all, nil
}

// link makes the symlinks of one unit.
func (e *editor) link(key string, u *unit) error {
	name := u.name
	if name.isTemplate() && u.install.DefaultInstance != "" {
		name.instance = u.install.DefaultInstance
	}
	for _, by := range []struct {
		units []string
		dir   string
	}{{u.install.WantedBy, ".wants/"}, {u.install.RequiredBy, ".requires/"}, {u.install.UpheldBy, ".upholds/"}} {
		if len(by.units) > 0 && name.isTemplate() {
			e.Add(key, "%s: is a template without a default instance; name one, such as %s", name, unitName{name.prefix, true, "NAME", name.suffix})
			return nil
		}
		for _, text := range by.units {
			target, err := name.expand(text)
			if err != nil {
				return fmt.Errorf("%s: %w", u.path, err)
			}
			if _, err := parseUnitName(target); err != nil {
				return fmt.Errorf("%s: %w", u.path, err)
			}
			if err := e.linkTo(key, configDir+"/"+target+by.dir+name.String(), u); err != nil {
				return err
			}
		}
	}
	return e.linkAliases(key, u)
}

// linkAliases makes the other names of a unit. An alias that is a template
// gets the instance of a unit that is one.
func (e *editor) linkAliases(key string, u *unit) error {
	for _, text := range u.install.Alias {
		alias, err := u.name.expand(text)
		if err != nil {
			return fmt.Errorf("%s: Alias=%w", u.path, err)
		}
		n, err := parseUnitName(alias)
		if err != nil || n.suffix != u.name.suffix {
			return fmt.Errorf("%s: Alias=%s: expected the name of a %s unit", u.path, alias, u.name.suffix)
		}
		if n.isTemplate() {
			n.instance = u.name.instance
		}
		if n == u.name {
			continue
		}
		if err := e.linkTo(key, configDir+"/"+n.String(), u); err != nil {
			return err
		}
	}
	return nil
}

// linkTo makes a symlink to a unit's file. One that leads there already stays
// as it is; one that leads elsewhere gives the name to another unit.
func (e *editor) linkTo(key, p string, u *unit) error {
	old := e.lookup(p)
	switch {
	case old == nil:
		return e.symlink(p, u.path)
	case e.find(p) == nil || e.find(p) != e.find(u.path):
		e.Add(key, "%s: %s is there already and leads to %q", u.name, p, old.Link)
	}
	return nil
}

// disable removes the symlinks in configDir that are named after a unit or
// lead to it, and those of units that are enabled with it. A template goes
// with its instances.
func (e *editor) disable(_ string, u *unit) error {
	all, err := e.withAlso(u)
	if err != nil {
		return err
	}
	gone := map[string]bool{}
	for _, one := range all {
		gone[one.name.String()] = true
	}
	for again := true; again; {
		again = false
		for _, c := range e.symlinks() {
			n, err := parseUnitName(c.Name)
			if err != nil || !gone[c.Name] && !gone[n.template().String()] && !gone[path.Base(c.Link)] {
				continue
			}
			dir := c.Parent()
			dir.Remove(c)
			if len(dir.Children()) == 0 {
				dir.Parent().Remove(dir)
			}
			// What led to the unit was a name of it.
			gone[c.Name], again = true, true
		}
	}
	return nil
}

// symlinks returns the symlinks in configDir and in the directories in it that
// hold what units want, require and uphold.
func (e *editor) symlinks() []*fstree.Entry {
	var list []*fstree.Entry
	top := e.find(configDir)
	if top == nil {
		return nil
	}
	for _, c := range top.Children() {
		switch {
		case c.IsSymlink() && c.Link != "/dev/null":
			list = append(list, c)
		case strings.HasSuffix(c.Name, ".wants"), strings.HasSuffix(c.Name, ".requires"), strings.HasSuffix(c.Name, ".upholds"):
			for _, in := range c.Children() {
				if in.IsSymlink() {
					list = append(list, in)
				}
			}
		}
	}
	return list
}
