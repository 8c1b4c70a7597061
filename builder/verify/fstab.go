package verify

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/plan"
)

// mountLine is a line of fstab(5): what, where, type and options.
type mountLine struct {
	what, target, kind string
	options            []string // sorted
}

func (l mountLine) String() string {
	return strings.Join([]string{l.what, l.target, l.kind, strings.Join(l.options, ",")}, " ")
}

// checkFstab compares the fstab of the root subvolume with the plan, and looks
// for the directories that the file systems are mounted on.
func (v *run) checkFstab() error {
	c := v.check("fstab", "/etc/fstab and mount points")
	switch {
	case v.manifest == nil:
		c.Skipped = "there is no manifest"
	case v.rootPart == nil && v.withoutRoot():
		c.Subject = "none"
	case v.top == nil:
		c.Skipped = "the root file system cannot be read"
	default:
		v.compareFstab(c)
		v.checkMountPoints(c)
	}
	return nil
}

// rootSubvolume returns the subvolume that / is, or lies over.
func rootSubvolume(p *plan.Plan) string {
	for _, m := range p.Mounts {
		if m.Target == "/" {
			return m.Subvol
		}
	}
	return ""
}

func (v *run) compareFstab(c *Check) {
	file := path.Join(rootSubvolume(v.manifest.Plan), "etc/fstab")
	where := "root: " + file
	text, err := v.top.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && v.isNixOS() {
		c.Subject = "mount points; NixOS makes /etc/fstab when it is activated"
		return
	}
	if err != nil {
		c.problem(where, "%v", err)
		return
	}
	found := parseFstab(string(text))
	for _, want := range wantedFstab(v.manifest.Plan) {
		same := func(l mountLine) bool {
			return l.what == want.what && l.target == want.target && l.kind == want.kind && slices.Equal(l.options, want.options)
		}
		if i := slices.IndexFunc(found, same); i >= 0 {
			found = slices.Delete(found, i, i+1)
			continue
		}
		c.problem(where, "has no line %q, which the plan asks for", want)
	}
	for _, extra := range found {
		c.problem(where, "has a line %q, which the plan does not ask for", extra)
	}
}

// isNixOS reports whether the system is one that package adjust makes no
// fstab for: there is a store, and no systemd below /usr.
func (v *run) isNixOS() bool {
	p := v.manifest.Plan
	store, rest := holder(p.Mounts, "/nix/store")
	info, err := v.top.Stat(path.Join(store, rest))
	if err != nil || !info.IsDir() {
		return false
	}
	_, err = v.top.Stat(path.Join(rootSubvolume(p), "usr/lib/systemd/systemd"))
	return errors.Is(err, fs.ErrNotExist)
}

// wantedFstab returns the lines that follow from a plan. A root in memory has
// none: the initramfs makes it.
func wantedFstab(p *plan.Plan) (lines []mountLine) {
	for _, m := range p.Mounts {
		if m.Target == "/" && m.Type == "tmpfs" {
			continue
		}
		lines = append(lines, mountLine{m.What, m.Target, m.Type, slices.Sorted(slices.Values(m.Options))})
	}
	if p.Swapfile != nil {
		lines = append(lines, mountLine{p.Swapfile.File, "none", "swap", []string{"defaults"}})
	}
	return lines
}

// parseFstab reads the lines of a table. One with less than three fields is
// kept as it is, so that it is found to be wrong.
func parseFstab(text string) (lines []mountLine) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		f = append(f, "", "", "")
		options := strings.Split(f[3], ",")
		slices.Sort(options)
		lines = append(lines, mountLine{f[0], f[1], f[2], options})
	}
	return lines
}

// checkMountPoints wants a directory for each mount, or a file where one is
// bound, in the subvolume that is mounted above it.
func (v *run) checkMountPoints(c *Check) {
	mounts := v.manifest.Plan.Mounts
	for _, m := range mounts {
		if m.Target == "/" || m.Type == "none" {
			continue // what is bound is made by the initramfs where it is missing
		}
		above, rest := holder(mounts, m.Target)
		at := path.Join(above, rest)
		info, err := v.top.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			c.problem("root: "+at, "is not there, %s is to be mounted on it", m.What)
		case err != nil:
			c.problem("root: "+at, "%v", err)
		case !info.IsDir():
			c.problem("root: "+at, "is no directory, %s is to be mounted on it", m.What)
		}
	}
}

// holder returns the subvolume that a path of the running system is in, and
// the path from there, when nothing is mounted on the path itself yet.
func holder(mounts []plan.Mount, target string) (subvolume, rest string) {
	best := -1
	for _, m := range mounts {
		if m.Subvol == "" || m.Target == target {
			continue
		}
		below, ok := strings.CutPrefix(target, strings.TrimSuffix(m.Target, "/")+"/")
		if ok && len(m.Target) > best {
			best, subvolume, rest = len(m.Target), m.Subvol, below
		}
	}
	return subvolume, rest
}
