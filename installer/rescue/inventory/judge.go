package inventory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/layouts"
)

// gather puts together what was found on each disk.
func gather(found []disks.Disk, looks []look) *Inventory {
	inv := &Inventory{
		Disks: found, Problems: []Problem{}, Systems: []System{}, Sessions: []Session{}, Backups: []Backup{}, KeyMedia: []KeyMedium{}, Media: []Medium{},
	}
	for i := range looks {
		l := &looks[i]
		for _, e := range l.esps {
			for _, p := range e.problems.list {
				p.System = l.systemOf(e)
				inv.Problems = append(inv.Problems, p)
			}
		}
		inv.Problems = append(inv.Problems, l.problems.list...)
		inv.Systems = append(inv.Systems, l.systems...)
		inv.Sessions = append(inv.Sessions, l.sessions...)
		inv.Backups = append(inv.Backups, l.backups...)
		inv.KeyMedia = append(inv.KeyMedia, l.keys...)
		if l.medium != nil {
			inv.Media = append(inv.Media, *l.medium)
		}
	}
	return inv
}

// systemOf returns the ID of the system that starts from an ESP, "" where several do or
// none.
func (l *look) systemOf(e *esp) string {
	if len(l.systems) == 1 && l.systems[0].ESP == &e.ESP {
		return l.systems[0].ID
	}
	return ""
}

// judge says what of all that is the host's, and what does not fit together.
func (inv *Inventory) judge(host *plan.Plan, looks []look) {
	var media []*plan.Plan
	for i := range looks {
		if looks[i].plan != nil {
			media = append(media, looks[i].plan)
		}
	}
	if host == nil && len(media) == 1 {
		host = media[0]
	}
	for i := range inv.Systems {
		inv.devices(&inv.Systems[i])
	}
	if host == nil {
		return
	}
	inv.Host = &Host{Hostname: host.Profile.Hostname, Profile: host.Profile.Name, Layout: host.Layout.Name}
	inv.match(host)
	inv.wanted(host)
}

// layoutOf returns the layout that the host's disk has.
func layoutOf(host *plan.Plan) layouts.Layout {
	if host.Medium != nil {
		return host.Medium.Layout
	}
	return host.Layout
}

// match finds the host's own system.
func (inv *Inventory) match(host *plan.Plan) {
	best, found := 0, []string(nil)
	for i := range inv.Systems {
		s := &inv.Systems[i]
		score := s.match(host)
		switch {
		case score == 0 || score < best:
		case score > best:
			best, found = score, []string{s.ID}
		default:
			found = append(found, s.ID)
		}
	}
	switch {
	case len(found) == 1:
		inv.Mine = found[0]
	case len(found) > 1:
		inv.Problems = append(inv.Problems, Problem{Severity: Note, Object: host.Profile.Hostname, Means: "say which one is meant", Text: fmt.Sprintf("several systems could be its own: %s", strings.Join(found, ", "))})
	}
}

// match says what a system has in common with the host, and how much that counts. One
// that calls itself otherwise is another machine's, whatever else it has.
func (s *System) match(host *plan.Plan) (score int) {
	add := func(what string, n int) {
		s.Matches = append(s.Matches, what)
		score += n
	}
	if root := host.Partition(plan.RoleRoot); host.Medium == nil && root != nil && strings.EqualFold(root.PARTUUID.String(), s.Root.PARTUUID) {
		add("partuuid", 8)
	}
	want := host.Profile.Hostname
	if score == 0 && want != "" && s.Hostname != "" && s.Hostname != want {
		return 0
	}
	if want != "" && s.Hostname == want {
		add("hostname", 4)
	}
	if s.ESP != nil && s.ESP.Profile != "" && s.ESP.Profile == host.Profile.Name {
		add("profile", 2)
	}
	l := layoutOf(host)
	missing := func(v layouts.Subvolume) bool {
		return !slices.ContainsFunc(s.Subvolumes, func(h Subvolume) bool { return h.Path == v.Name })
	}
	if (s.Label == l.Root.Label || s.Root.PARTLABEL == l.Root.Label) && len(l.Subvolumes) > 0 && !slices.ContainsFunc(l.Subvolumes, missing) {
		add("layout", 1)
	}
	return score
}

// wanted marks the file systems that the host's profile names for its backups, and says
// which of them are not there.
func (inv *Inventory) wanted(host *plan.Plan) {
	want := func(name, why string) {
		if name == "" {
			return // on a server, or none
		}
		if !inv.want(name, why) {
			inv.Problems = append(inv.Problems, Problem{Severity: Note, Object: name, Text: "the disk for " + why + " is not here", Means: "plug it in before you restore from it"})
		}
	}
	want(host.Profile.Restore.Disk, "restore")
	for _, b := range host.Profile.Backup {
		want(b.Disk, "backup "+b.Name)
	}
}

// want marks one, by "LABEL=…" or "UUID=…", and reports whether it is there.
func (inv *Inventory) want(name, why string) (found bool) {
	tag, value, _ := fstab.ParseDevice(name)
	inv.each(func(at Place, c disks.Content) {
		if !nameOf(at, c.UUID, c.Label, tag, value) {
			return
		}
		found = true
		i := slices.IndexFunc(inv.Backups, func(b Backup) bool { return b.Place == at && b.Type == c.Type })
		if i < 0 {
			inv.Backups = append(inv.Backups, Backup{Place: at, Type: c.Type, Label: text(c.Label), UUID: c.UUID, Repositories: []Repository{}})
			i = len(inv.Backups) - 1
		}
		inv.Backups[i].Wanted = append(inv.Backups[i].Wanted, why)
	})
	return found
}

// each calls do for each content of a disk, and for each partition without any.
func (inv *Inventory) each(do func(at Place, c disks.Content)) {
	for i := range inv.Disks {
		d := &inv.Disks[i]
		for _, c := range d.Contents {
			do(Place{Disk: d.Path, Size: d.Size}, c)
		}
		for _, p := range d.Partitions {
			contents := p.Contents
			if len(contents) == 0 {
				contents = []disks.Content{{}}
			}
			for _, c := range contents {
				do(placeOf(d, p), c)
			}
		}
	}
}

// devices says which devices a system asks for that are on no disk.
func (inv *Inventory) devices(s *System) {
	absent := func(format string, args ...any) {
		inv.Problems = append(inv.Problems, Problem{
			Severity: Boot, System: s.ID, Object: s.ID, Means: "the boot waits for it, and then stops", Text: fmt.Sprintf(format, args...) + " is on no disk that was read",
		})
	}
	var names []string
	targets := map[string][]string{}
	for _, m := range s.Mounts {
		l := fstab.Line{Options: m.Options}
		if m.Here || l.Has("nofail", "noauto") || inv.isThere(s, m.What) {
			continue
		}
		if targets[m.What] == nil {
			names = append(names, m.What)
		}
		targets[m.What] = append(targets[m.What], m.Target)
	}
	for _, n := range names {
		absent("fstab: %s, for %s,", n, strings.Join(targets[n], ", "))
	}
	if s.ESP == nil {
		return
	}
	for _, e := range s.ESP.Entries {
		for _, word := range strings.Fields(e.Options) {
			if root, ok := strings.CutPrefix(word, "root="); ok && e.Default && !inv.isThere(s, root) {
				absent("entry %s: its root %s", e.ID, root)
			}
		}
	}
}

// isThere reports whether a device is there, or is named otherwise than by a tag. Where
// the table of the system's disk is gone, nothing can be said of what only that has.
func (inv *Inventory) isThere(s *System, what string) bool {
	tag, value, ok := fstab.ParseDevice(what)
	if !ok || nameOf(s.Root, s.FSID, s.Label, tag, value) || s.ESP != nil && nameOf(s.ESP.Place, s.ESP.UUID, s.ESP.Label, tag, value) {
		return true
	}
	if s.Root.Number == 0 && s.Root.Start > 0 && (tag == fstab.PARTUUID || tag == fstab.PARTLABEL) {
		return true
	}
	found := false
	inv.each(func(at Place, c disks.Content) { found = found || nameOf(at, c.UUID, c.Label, tag, value) })
	return found
}
