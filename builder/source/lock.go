package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// LockVersion is the version of the lock file's form.
const LockVersion = 1

// Limits of a lock file. A desktop of Debian has some 3,000 packages.
const (
	maxLock       = 64 << 20
	maxLockNumber = 200_000
)

// Lock pins what a Debian source is made of: the file that a user keeps beside
// a profile, so that the same image can be built again.
type Lock struct {
	Version      int       `json:"version"`
	Source       string    `json:"source"`       // as Spec.String has it
	Architecture string    `json:"architecture"` // of the image
	Packages     []Package `json:"packages"`     // with their digests; sorted by name and architecture
}

// Encode returns the lock file's bytes: JSON, one line for each value, ending in
// a newline. Equal locks give equal bytes. Only what pins a package is written.
func (l *Lock) Encode() ([]byte, error) {
	out := *l
	out.Packages = make([]Package, len(l.Packages))
	for i, p := range l.Packages {
		out.Packages[i] = p.pin()
	}
	slices.SortFunc(out.Packages, comparePackages)
	if err := out.check(); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(out, "", "  ")
	return append(data, '\n'), err
}

// pin returns what identifies the package and nothing that describes it.
func (p Package) pin() Package {
	return Package{Name: p.Name, Version: p.Version, Architecture: p.Architecture, SHA256: p.SHA256}
}

// DecodeLock reads a lock file; name says in messages which. Errors are of class
// fault.Input.
func DecodeLock(name string, data []byte) (*Lock, error) {
	const hint = "lock files are written by mkimage; build without one to get a new one"
	if len(data) > maxLock {
		return nil, fault.New(fault.Input, hint, "%s: has %d bytes, expected at most %d", name, len(data), maxLock)
	}
	var l Lock
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(&l)
	if err == nil && l.Version == LockVersion {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more behind the lock")
		}
	}
	if err == nil {
		err = l.check()
	}
	if err != nil {
		return nil, fault.New(fault.Input, hint, "%s: %w", name, err)
	}
	return &l, nil
}

// check says what is wrong with the lock.
func (l *Lock) check() error {
	if l.Version != LockVersion {
		return fmt.Errorf("version %d of lock files; this program knows %d", l.Version, LockVersion)
	}
	if s, err := Parse(l.Source); err != nil || s.Kind != Debian {
		return fmt.Errorf("source %.80q: expected one that has packages, such as debian:trixie", l.Source)
	}
	if !validArch.MatchString(l.Architecture) {
		return fmt.Errorf("architecture %.80q: not a name of one", l.Architecture)
	}
	if n := len(l.Packages); n == 0 || n > maxLockNumber {
		return fmt.Errorf("%d packages, expected 1 to %d", n, maxLockNumber)
	}
	for i, p := range l.Packages {
		if err := p.valid(); err != nil {
			return err
		}
		if !validSHA256.MatchString(p.SHA256) {
			return fmt.Errorf("package %s: sha256 %.80q: expected 64 hexadecimal digits", p.Name, p.SHA256)
		}
		if i > 0 && comparePackages(l.Packages[i-1], p) >= 0 {
			return fmt.Errorf("package %s: is out of order or occurs twice", p.Name)
		}
	}
	return nil
}

// maxListed is how many differences an error lists.
const maxListed = 20

// drift returns an error of class fault.Input that lists how the packages
// found, which must be sorted, differ from the locked ones; nil when they are
// the same.
func (l *Lock) drift(found []Package) error {
	var lines []string
	locked := l.Packages
	for len(locked) > 0 || len(found) > 0 {
		switch {
		case len(found) == 0 || len(locked) > 0 && comparePackages(locked[0], found[0]) < 0:
			lines = append(lines, fmt.Sprintf("%s %s: locked %s, found none", locked[0].Name, locked[0].Architecture, locked[0].Version))
			locked = locked[1:]
		case len(locked) == 0 || comparePackages(locked[0], found[0]) > 0:
			lines = append(lines, fmt.Sprintf("%s %s: not locked, found %s", found[0].Name, found[0].Architecture, found[0].Version))
			found = found[1:]
		default:
			if line := difference(locked[0], found[0]); line != "" {
				lines = append(lines, line)
			}
			locked, found = locked[1:], found[1:]
		}
	}
	if len(lines) == 0 {
		return nil
	}
	n := len(lines)
	if n > maxListed {
		lines = append(lines[:maxListed], fmt.Sprintf("and %d more", n-maxListed))
	}
	return fault.New(fault.Input,
		"take the packages from an archive that still has them, such as https://snapshot.debian.org, or build without the lock and keep the new one",
		"%s: %d packages differ from the lock:\n  %s", l.Source, n, strings.Join(lines, "\n  "))
}

// difference says how a package differs from the locked one of the same name.
func difference(locked, found Package) string {
	name := locked.Name + " " + locked.Architecture
	if locked.Version != found.Version {
		return fmt.Sprintf("%s: locked %s, found %s", name, locked.Version, found.Version)
	}
	if locked.SHA256 != found.SHA256 {
		return fmt.Sprintf("%s: %s: locked SHA-256 %s, found %s", name, locked.Version, locked.SHA256, found.SHA256)
	}
	return ""
}
