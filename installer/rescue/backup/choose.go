package backup

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// leastPrefix is how many digits of an ID choose a snapshot.
const leastPrefix = 4

// chosenForms is what a hint says that Choose takes.
const chosenForms = "newest, a date such as 2026-11-20 or 2026-11-20 18:30, or the first digits of an ID"

// moment is a date, with a time to the minute or to the second where it has one.
var moment = regexp.MustCompile(`^\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?$`)

// Choose returns the snapshot of a list that a person means: "" and "newest" the
// newest, a date the newest not after it, and at least four hex digits the one
// whose ID begins with them. A date is one of the clock of who made the backup, as
// the list shows it. The error is a fault of the class Usage where no such form
// can be meant, else a CodeNoSnapshot that names what there is.
func Choose(list []repository.Snapshot, want string) (repository.Snapshot, error) {
	want = strings.TrimSpace(want)
	switch {
	case want == "" || want == "newest":
		return newestOf(list, list, "snapshot")
	case moment.MatchString(want):
		return notAfter(list, want)
	case isHex(want):
		return byID(list, want)
	}
	return repository.Snapshot{}, fault.New(fault.Usage, chosenForms, "snapshot %q: is neither a date nor an ID", want)
}

// shown is the form in which a snapshot's time is shown and compared.
const shown = "2006-01-02 15:04:05"

func notAfter(list []repository.Snapshot, want string) (repository.Snapshot, error) {
	at := strings.Replace(want, "T", " ", 1)
	if _, err := time.Parse(shown[:len(at)], at); err != nil {
		return repository.Snapshot{}, fault.New(fault.Usage, chosenForms, "snapshot %q: no such date", want)
	}
	until := slices.DeleteFunc(slices.Clone(list), func(s repository.Snapshot) bool {
		return s.Time.Format(shown)[:len(at)] > at
	})
	return newestOf(list, until, "snapshot not after "+at)
}

func byID(list []repository.Snapshot, want string) (repository.Snapshot, error) {
	if len(want) < leastPrefix {
		return repository.Snapshot{}, fault.New(fault.Usage, chosenForms, "snapshot %q: %d digits of an ID, expected at least %d", want, len(want), leastPrefix)
	}
	fit := slices.DeleteFunc(slices.Clone(list), func(s repository.Snapshot) bool { return !strings.HasPrefix(s.ID, strings.ToLower(want)) })
	if len(fit) > 1 {
		return repository.Snapshot{}, firstboot.NewProblem(firstboot.CodeNoSnapshot, "name more digits of its ID", "snapshot %s: is one of %d: %s", want, len(fit), overview(fit))
	}
	return newestOf(list, fit, "snapshot "+want)
}

// newestOf returns the newest of those that fit.
func newestOf(list, fit []repository.Snapshot, what string) (repository.Snapshot, error) {
	if len(fit) == 0 {
		return repository.Snapshot{}, firstboot.NewProblem(firstboot.CodeNoSnapshot, "", "no %s: %s", what, overview(list))
	}
	// The list has the newest first, as of two of one time.
	reversed := slices.Clone(fit)
	slices.Reverse(reversed)
	return repository.Newest(reversed), nil
}

// overview names what there is, the newest first.
func overview(list []repository.Snapshot) string {
	if len(list) == 0 {
		return "there is none"
	}
	var names []string
	for _, s := range list {
		names = append(names, fmt.Sprintf("%s of %s on %s", s.Short(), s.Time.Format(shown[:len("2006-01-02 15:04")]), repository.Printable(s.Host)))
	}
	return "there are " + repository.Listed(names)
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdefABCDEF") == "" && len(s) <= 64
}
