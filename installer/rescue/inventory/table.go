package inventory

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/view"
	"github.com/6FaNcY9/mkimage/builder/fstab"
)

// Mount is a line of the system's fstab: what it mounts or swaps to.
type Mount struct {
	Line      int      `json:"line"`   // of the file, from 1
	What      string   `json:"what"`   // as it stands there
	Target    string   `json:"target"` // "none" of what is swapped to
	Type      string   `json:"type"`
	Options   []string `json:"options"`
	Subvolume string   `json:"subvolume,omitempty"` // path from the top level, where it is one of this file system
	Here      bool     `json:"here,omitempty"`      // it is of the system's own file system
}

// maxMounts bounds the lines of a fstab.
const maxMounts = 1000

// fstab reads the table of the system: NixOS has it in its toplevel, and what is in /etc
// of that is made anew by each activation.
func (f *finder) fstab() {
	names := []string{"/etc/fstab"}
	if f.current != nil {
		names = []string{f.current.top + "/etc/fstab", "/etc/fstab"}
	}
	for _, name := range names {
		data, ok := f.text(name)
		if !ok {
			continue
		}
		lines, err := fstab.Parse(data)
		if err != nil {
			f.problems.add(Boot, f.sys.ID, "what the system mounts is not known", "%s: %v", name, err)
			return
		}
		f.mounts(lines[:min(len(lines), maxMounts)])
		return
	}
	if f.isUnread("/etc/fstab") {
		return
	}
	f.problems.add(Note, f.sys.ID, "what the system mounts is taken from its image, or from the names of its subvolumes", "there is no /etc/fstab")
}

// mounts takes in the lines of the table, which say better than a name where a subvolume
// is mounted.
func (f *finder) mounts(lines []fstab.Line) {
	for _, l := range lines {
		m := Mount{Line: l.Number, What: text(l.What), Target: text(l.Target), Type: text(l.Type), Options: l.Options}
		if l.IsMount() && l.Type == "btrfs" && f.isHere(l.What) {
			m.Here = true
			sub, _ := l.Option("subvol")
			m.Subvolume = strings.Trim(path.Clean("/"+sub), "/")
			f.mounted(l.Target, m.Subvolume)
		}
		f.sys.Mounts = append(f.sys.Mounts, m)
	}
	slices.SortFunc(f.dirs, func(a, b view.Mount) int { return cmp.Compare(a.Target, b.Target) })
	f.view = view.New(f.top, f.dirs)
}

// mounted notes that a subvolume is mounted somewhere, if it is there.
func (f *finder) mounted(target, sub string) {
	if !f.isDir(sub) {
		f.problems.add(Boot, f.sys.ID, "the boot stops where it is mounted", "subvolume %s: is not there, and fstab mounts it at %s", sub, target)
		return
	}
	f.dirs = slices.DeleteFunc(f.dirs, func(m view.Mount) bool { return m.Target == target })
	f.dirs = append(f.dirs, view.Mount{Target: target, Dir: sub})
}

// isHere reports whether the first field of a line names this file system.
func (f *finder) isHere(what string) bool {
	tag, value, ok := fstab.ParseDevice(what)
	if !ok {
		return f.at.Node != "" && what == f.at.Node
	}
	return nameOf(f.at.Place, f.sys.FSID, f.sys.Label, tag, value)
}

// nameOf reports whether a tag of fstab means a partition and its file system.
func nameOf(at Place, uuid, label string, tag fstab.Tag, value string) bool {
	switch tag {
	case fstab.UUID:
		return uuid != "" && strings.EqualFold(value, uuid)
	case fstab.Label:
		return label != "" && value == label
	case fstab.PARTUUID:
		return at.PARTUUID != "" && strings.EqualFold(value, at.PARTUUID)
	case fstab.PARTLABEL:
		return at.PARTLABEL != "" && value == at.PARTLABEL
	}
	return false
}
