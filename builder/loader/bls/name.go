package bls

import (
	"fmt"
	"regexp"
	"strings"
)

// maxName is the longest file name of an entry, in bytes: FAT holds 255
// characters, and ours are one byte each.
const maxName = 255

var (
	validID = regexp.MustCompile(`^[A-Za-z0-9+_.-]+$`)
	counter = regexp.MustCompile(`\+[0-9]+(-[0-9]+)?$`)
)

// FileName returns the file name of the entry called id. It refuses an id
// that the specification does not allow or that would be read as counting
// boots ("id+3").
func FileName(id string) (string, error) {
	switch {
	case !validID.MatchString(id):
		return "", fmt.Errorf("entry %q: expected letters, digits, dots and any of + - _", id)
	case counter.MatchString(id):
		return "", fmt.Errorf("entry %q: its end would be read as a count of boots", id)
	case len(id) > maxName-len(".conf"):
		return "", fmt.Errorf("entry %q: %d bytes, expected at most %d", id, len(id), maxName-len(".conf"))
	}
	return id + ".conf", nil
}

// ParseName returns the id of an entry from its file name, without the count
// of boots that a loader may have put there. It reports false for a file that
// is not an entry.
func ParseName(file string) (id string, ok bool) {
	id, ok = strings.CutSuffix(file, ".conf")
	if !ok || !validID.MatchString(id) {
		return "", false
	}
	if bare := counter.ReplaceAllString(id, ""); bare != "" {
		id = bare
	}
	return id, true
}
