// Package stick says what has changed since a medium with a rescue environment was made, so
// that its owner learns of it while the machine still runs: whether the medium is as it was
// built, and whether it still fits the machine, its key, its disk, its memory and its profile.
//
// What the medium holds (Stick) and what the machine is (Machine) are gathered apart, and
// each check is a function of both: it reads nothing, mounts nothing and writes nothing.
//
// What it does not do: it does not open a backup, for which it would need the secret key's
// passphrase and minutes; it does not start the medium.
package stick

// Kind is what a finding is about.
type Kind string

// The kinds of findings, in the order in which they are reported.
const (
	Damage  Kind = "damage"  // the medium is not as it was built
	Trust   Kind = "trust"   // its signature
	Key     Kind = "key"     // the machine's key of age, which must open the secrets on the medium
	Secrets Kind = "secrets" // the files of secrets of the profile and those on the medium
	Profile Kind = "profile" // the profile, as it is now, and the one on the medium
	Layout  Kind = "layout"  // the disk of the machine and the layout on the medium
	Memory  Kind = "memory"  // RAM and swapfile
	Backup  Kind = "backup"  // restic, and the age of the newest snapshot
	Version Kind = "version" // kernel and mkimage
)

// Severity is how bad a finding is.
type Severity string

// The severities. Only a note leaves the medium good for what it is for.
const (
	Broken Severity = "broken" // the medium may fail when it is needed
	Drift  Severity = "drift"  // it would bring back something else than there is
	Note   Severity = "note"   // worth to know, or not looked at
)

// Finding is something that has changed, or that could not be looked at.
type Finding struct {
	Kind     Kind     `json:"kind"`
	Severity Severity `json:"severity"`
	What     string   `json:"what"`          // one line, without a full stop
	Was      string   `json:"was,omitempty"` // on the medium
	Is       string   `json:"is,omitempty"`  // now
	Do       string   `json:"do,omitempty"`  // what can be typed or done, "" where there is nothing to do
}

// checks are all of them, in the order of the kinds.
var checks = []func(*Stick, *Machine) []Finding{damage, trust, key, encrypted, profile, layout, memory, backup, version}

// Check returns what has changed; an empty list when nothing has.
func Check(s *Stick, m *Machine) []Finding {
	list := []Finding{}
	for _, check := range checks {
		list = append(list, check(s, m)...)
	}
	return list
}

// Drifted reports whether one of the findings is more than a note.
func Drifted(list []Finding) bool {
	for _, f := range list {
		if f.Severity != Note {
			return true
		}
	}
	return false
}
