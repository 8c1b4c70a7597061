package keephome

import (
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// home is where the data of users is.
const home = "/home"

// Scope says what a reinstallation makes anew.
type Scope struct {
	New       []string        // subvolumes at the top level, with those nested in them
	Snapshots []plan.Snapshot // of those, the factory's
	Stay      []string        // subvolumes, by path, that are not touched
}

const freshHint = `install with mode = "fresh", which erases the disk`

// ScopeOf divides the subvolumes of a plan. Of the system are those that are
// mounted, but not: /home and what is mounted below it; what is restored from a
// backup; what a path of keep has as a whole; and those without copy-on-write,
// which hold swapfiles. What is not mounted is nobody's to replace. Errors are of
// class fault.Config: the layout has /home or another part that stays in a
// subvolume that is made anew, or the other way round.
func ScopeOf(p *plan.Plan, keep []string) (*Scope, error) {
	s := &Scope{}
	stays := map[string]bool{}
	hasHome := false
	for _, v := range p.Layout.Subvolumes {
		stays[v.Name] = v.Mount == "" || v.NoDataCow || isData(p, v.Mount) || slices.ContainsFunc(keep, func(k string) bool { return below(k, v.Mount) })
		hasHome = hasHome || v.Mount == home && stays[v.Name]
	}
	if !hasHome {
		return nil, fault.New(fault.Config, freshHint, "layout %q: %s is in no subvolume of its own, expected one that can stay", p.Layout.Name, home)
	}
	for _, v := range p.Layout.Subvolumes {
		top, _, nested := strings.Cut(v.Name, "/")
		switch {
		case nested && stays[top] != stays[v.Name]:
			return nil, fault.New(fault.Config, freshHint, "layout %q: %s lies in %s, expected both to stay or both to be made anew", p.Layout.Name, v.Name, top)
		case stays[v.Name]:
			s.Stay = append(s.Stay, v.Name)
		case !nested:
			s.New = append(s.New, v.Name)
		}
	}
	for _, shot := range p.Snapshots {
		if slices.Contains(s.New, shot.Source) {
			s.Snapshots = append(s.Snapshots, shot)
		}
	}
	return s, nil
}

// isData reports whether what is mounted somewhere is of users.
func isData(p *plan.Plan, mount string) bool {
	restored := p.Profile.Restore.Path
	return below(home, mount) || restored != "" && below(restored, mount)
}

// below reports whether a path is another one, or below it.
func below(parent, name string) bool {
	return name == parent || strings.HasPrefix(name, strings.TrimSuffix(parent, "/")+"/")
}

// place is where a file of the running system is.
type place struct {
	subvolume string // by path
	name      string // from the top of the subvolume; "." for it
}

// maxBinds is how often a bind mount may lead to another one.
const maxBinds = 8

// locate finds a file of the running system in the subvolumes of a plan, by what
// is mounted where.
func locate(p *plan.Plan, name string) (place, error) {
	for range maxBinds {
		var best *plan.Mount
		for i, m := range p.Mounts {
			if below(m.Target, name) && (best == nil || len(m.Target) >= len(best.Target)) {
				best = &p.Mounts[i]
			}
		}
		switch {
		case best == nil:
			return place{}, fault.New(fault.Config, "", "%s: nothing is mounted at /", name)
		case best.Type == "none":
			name = path.Join(best.What, strings.TrimPrefix(name, best.Target))
			continue
		case best.Subvol == "":
			return place{}, fault.New(fault.Config, "", "%s: is on %s, mounted at %s, expected a subvolume", name, best.Type, best.Target)
		}
		rest := strings.TrimPrefix(strings.TrimPrefix(name, best.Target), "/")
		return place{best.Subvol, path.Clean("./" + rest)}, nil
	}
	return place{}, fault.New(fault.Config, "", "%s: bind mounts lead to each other", name)
}

// isNew reports whether a subvolume is made anew.
func (s *Scope) isNew(subvolume string) bool {
	top, _, _ := strings.Cut(subvolume, "/")
	return slices.Contains(s.New, top)
}
