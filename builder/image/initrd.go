package image

import (
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/source"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/profiles"
)

// hintOwn is what helps against everything that the initrd of a system cannot do.
const hintOwn = `start it by the initramfs of mkimage: --set initramfs.from=own`

// unitsOf is where a toplevel has the units of its system.
const unitsOf = "/etc/systemd/system/"

// checkInitrds refuses what cannot start by its own initrd, if the plan asks for that. The
// tree is adjusted. Errors are of class fault.Config or fault.Input.
func checkInitrds(t *fstree.Tree, p *plan.Plan, s *source.System) error {
	if !p.Profile.Initramfs.OfSource() {
		return nil
	}
	if len(s.Generations) == 0 {
		return fault.New(fault.Config, hintOwn, "initramfs.from %q: the source is no NixOS, whose initrd is known", profiles.InitramfsSource)
	}
	for _, g := range s.Generations {
		if g.Initrd == nil || !g.Initrd.IsRegular() {
			return fault.New(fault.Input, hintOwn, "%s: its initrd is no regular file", g.Toplevel)
		}
		if len(g.ExtraInitrds) > 0 {
			return fault.New(fault.Input, hintOwn, "%s: wants %s, which nobody but the machine has", g.Toplevel, strings.Join(g.ExtraInitrds, ", "))
		}
		if err := checkUnits(t, unitsDir(t, p), g); err != nil {
			return err
		}
	}
	return nil
}

// unitsDir returns the directory of the units that the image brings, nil where there is
// none. What persists beside a root in memory lies where it is bound from.
func unitsDir(t *fstree.Tree, p *plan.Plan) *fstree.Entry {
	for _, m := range p.Mounts {
		if rest, ok := strings.CutPrefix(firstboot.UnitsDir, m.Target+"/"); ok && m.Type == "none" {
			return t.Lookup(m.What + "/" + rest)
		}
	}
	return t.Lookup(firstboot.UnitsDir)
}

// checkUnits refuses a system whose initrd would hide the units that the image has for it,
// unless the system has them itself.
func checkUnits(t *fstree.Tree, dir *fstree.Entry, g source.Generation) error {
	if !g.Scripted || dir == nil {
		return nil
	}
	var missing []string
	for _, unit := range dir.Children() {
		if !unit.IsRegular() {
			continue
		}
		e, err := t.Follow(g.Toplevel.String() + unitsOf + unit.Name)
		if err != nil {
			return fault.New(fault.Input, "", "%s: %w", g.Toplevel, err)
		}
		if e == nil {
			missing = append(missing, unit.Name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return fault.New(fault.Config, "set boot.initrd.systemd.enable or mkimage.units.enable in the configuration of the system; or "+hintOwn,
		"%s: its stage 1 is a script, which hides the units that the image brings, and it has none of its own: %s", g.Toplevel, strings.Join(missing, ", "))
}

// initrds returns the initrds of the systems that start by their own, by where they go on
// the ESP.
func (b *build) initrds() map[string]*fstree.Entry {
	files := map[string]*fstree.Entry{}
	if b.plan.Profile.Initramfs.OfSource() {
		for _, g := range b.system.Generations {
			files[g.Entry.Initrd] = g.Initrd
		}
	}
	return files
}
