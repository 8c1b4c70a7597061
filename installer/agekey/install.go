package agekey

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Outcome is what Install has done.
type Outcome int

// The outcomes.
const (
	Kept      Outcome = iota // the same key was there
	Installed                // none was
	Replaced                 // another was: it is kept as PATH.old-20060102T150405Z
)

// String returns the outcome for a message.
func (o Outcome) String() string {
	switch o {
	case Kept:
		return "kept"
	case Installed:
		return "installed"
	case Replaced:
		return "replaced"
	}
	return fmt.Sprintf("outcome %d", int(o))
}

// maxOld is how many names are tried for a key that is replaced.
const maxOld = 1000

// Read reads the key file at a path. The error is a *firstboot.Problem with
// CodeNoKey when there is none and CodeBadKey when it does not parse.
func Read(f durable.FS, name string) (*Key, error) {
	text, err := durable.Read(f, name, maxText+1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, firstboot.NewProblem(firstboot.CodeNoKey, "", "%w", err)
	}
	if err != nil {
		return nil, err
	}
	k, err := Parse(text)
	if err != nil {
		return nil, firstboot.Located(name, err)
	}
	return k, nil
}

// Install puts a key at a path, mode 0600 and root's, in a directory that has
// mode 0700 if it must be made. At every instant the old key or the new one is
// there. When Install returns everything is on the disk.
//
// A file that is there and has all of k stays as it is, but for mode and owner.
// Any other is kept beside it, even one that is no key or cannot be read: sops-nix
// makes a key of its own when it finds none, which opens nothing.
func Install(f durable.FS, name string, k *Key, now time.Time) (Outcome, error) {
	dir := path.Dir(name)
	if err := durable.MkdirAll(f, dir, 0o700); err != nil {
		return 0, err
	}
	lock, err := f.Lock(dir)
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	info, err := f.Lstat(name)
	outcome := Replaced
	switch {
	case errors.Is(err, fs.ErrNotExist):
		outcome = Installed
	case err != nil:
		return 0, err
	case info.Mode.IsDir():
		return 0, firstboot.NewProblem(firstboot.CodeSecret, fmt.Sprintf("mv %s %s.directory", name, name), "%s: a directory, expected the file of the key", name)
	default:
		if old, err := Read(f, name); err == nil && old.has(k) {
			return Kept, errors.Join(durable.Repair(f, name, 0o600), durable.Sync(f, dir))
		}
		if err := keepOld(f, name, now); err != nil {
			return 0, err
		}
	}
	return outcome, durable.Write(f, name, k.Text(), 0o600)
}

// keepOld gives what is at a path a second name, unless it has one: that of an
// Install that was interrupted.
func keepOld(f durable.FS, name string, now time.Time) error {
	dir := path.Dir(name)
	kept, err := isKept(f, name)
	if err != nil {
		return err
	}
	if !kept {
		if err := linkOld(f, name, now); err != nil {
			return err
		}
	}
	return durable.Sync(f, dir)
}

// linkOld makes the second name. What has it is private from now on, and on the
// disk.
func linkOld(f durable.FS, name string, now time.Time) error {
	info, err := f.Lstat(name)
	if err != nil {
		return err
	}
	if info.Mode.IsRegular() {
		if err := durable.Repair(f, name, 0o600); err != nil {
			return err
		}
	}
	old := name + oldSuffix + now.UTC().Format("20060102T150405Z")
	to := old
	for n := 2; n <= maxOld; n++ {
		err := f.Link(name, to)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		to = fmt.Sprintf("%s-%d", old, n)
	}
	return fmt.Errorf("%s: %d of that name, expected fewer", old, maxOld)
}

// oldSuffix comes between the path of a key and the time it was replaced at.
const oldSuffix = ".old-"

// isKept reports whether a file beside the key has all that it has.
func isKept(f durable.FS, name string) (bool, error) {
	text, err := durable.Read(f, name, maxText+1)
	if err != nil || len(text) > maxText {
		return false, nil // a second name costs little
	}
	names, err := f.List(path.Dir(name))
	if err != nil {
		return false, err
	}
	for _, other := range names {
		if !strings.HasPrefix(other, path.Base(name)+oldSuffix) {
			continue
		}
		old, err := durable.Read(f, path.Join(path.Dir(name), other), maxText+1)
		if err == nil && bytes.Equal(old, text) {
			return true, durable.Sync(f, path.Join(path.Dir(name), other))
		}
	}
	return false, nil
}
