// Package beside names a system that stands beside another one in the same btrfs:
// the subvolumes of the new one are NAME.new-ID until they take the place of NAME,
// which becomes NAME.old-ID. ID is of one installation.
//
// The switch is renames, one for each subvolume and side, and none of them undoes
// what another has done: it can be cut anywhere and begun again.
package beside

import (
	"fmt"
	"slices"
	"strings"
)

// The marks in front of an ID.
const (
	newMark = ".new-"
	oldMark = ".old-"
)

// Words of the kernel command line, each with an ID: one boots the new system,
// for which names are switched first, the other the system that was there before.
const (
	SwitchWord = "mkimage.switch"
	BackWord   = "mkimage.back"
)

// maxID bounds an ID, in bytes.
const maxID = 32

// CheckID refuses what is no ID: letters and digits, so that a name can hold it.
func CheckID(id string) error {
	bad := func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'z') }
	if id == "" || len(id) > maxID || strings.ContainsFunc(id, bad) {
		return fmt.Errorf("%q: expected 1 to %d lower case letters and digits", id, maxID)
	}
	return nil
}

// New returns the name of a subvolume while its system is not switched to.
func New(name, id string) string { return name + newMark + id }

// Old returns the name of a subvolume whose system was switched from.
func Old(name, id string) string { return name + oldMark + id }

// Top is the top level of a btrfs.
type Top interface {
	// Rename gives an entry another name that is free.
	Rename(old, new string) error
}

// Pending returns the names, in order, that a switch has to do with, out of all
// that are in the top level.
func Pending(all []string, id string) []string {
	var names []string
	for _, n := range all {
		if name, ok := strings.CutSuffix(n, newMark+id); ok && name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Switch puts the new system in the place of the old one. all is what is in the
// top level. Where a name is taken that must be free, nothing is renamed.
func Switch(top Top, all []string, id string) error {
	type rename struct{ from, to string }
	var renames []rename
	has := func(name string) bool { return slices.Contains(all, name) }
	for _, name := range Pending(all, id) {
		switch {
		case has(name) && has(Old(name, id)):
			return fmt.Errorf("%s, %s and %s are there, expected two of them at most", name, Old(name, id), New(name, id))
		case has(name):
			renames = append(renames, rename{name, Old(name, id)})
		}
		renames = append(renames, rename{New(name, id), name})
	}
	for _, r := range renames {
		if err := top.Rename(r.from, r.to); err != nil {
			return fmt.Errorf("rename %s to %s: %w", r.from, r.to, err)
		}
	}
	return nil
}

// Before returns the subvolume that had a name before the switch: its old one, or
// itself where the switch left it alone or was not finished for it.
func Before(all []string, name, id string) string {
	if old := Old(name, id); slices.Contains(all, old) {
		return old
	}
	return name
}

// IDs returns the installations of which something old is left, sorted.
func IDs(all []string) []string {
	var ids []string
	for _, n := range all {
		if i := strings.LastIndex(n, oldMark); i > 0 && CheckID(n[i+len(oldMark):]) == nil {
			ids = append(ids, n[i+len(oldMark):])
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
