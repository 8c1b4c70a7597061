package decrypt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// isPath reports whether a name is absolute, below / and in its one form.
func isPath(name string) bool {
	return filepath.IsAbs(name) && name != "/" && filepath.Clean(name) == name && !strings.Contains(name, "\x00")
}

// checkPath refuses a path where something is that is not a symlink. It is
// never deleted: it may be somebody's only key.
func (i *installer) checkPath(name string) error {
	if !isPath(name) {
		return problem("", "path %q, expected an absolute one that is clean", name)
	}
	full := i.in(name)
	for _, own := range []string{i.link(), i.parent()} {
		if full == own || strings.HasPrefix(full, own+"/") {
			return problem("", "path %s: is where the secrets themselves are", name)
		}
	}
	for _, at := range []string{full, temporary(full)} {
		info, err := os.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return problem("", "path %s: %w", name, bare(err))
		case info.Mode()&fs.ModeSymlink == 0:
			return problem("move it away", "path %s: %s is %s, which no symlink replaces", name, at, describe(info))
		}
	}
	return nil
}

// describe says what is at a name.
func describe(info fs.FileInfo) string {
	switch {
	case info.IsDir():
		return "a directory"
	case info.Mode().IsRegular():
		return "a file"
	}
	return "neither a file nor a symlink"
}

// temporary returns the name of a symlink before it is put into its place.
func temporary(name string) string {
	return filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".mkimage-new")
}

// links are the symlinks from the paths of secrets.
type links struct {
	*installer
	was    []string           // in the record
	staged []firstboot.Secret // whose symlink is made and not in its place yet
}

// stage makes all symlinks beside their places, so that after the switch little
// can go wrong. Those that are right already stay.
func (l *links) stage() error {
	l.readRecord()
	if err := l.writeRecord(slices.Concat(l.was, l.wanted())); err != nil {
		l.note("symlinks to secrets are not recorded, so that they will not be removed: %w", err)
	}
	for _, s := range l.c.Secrets {
		if s.Path == "" || l.isLink(s) {
			continue
		}
		if err := l.make(s); err != nil {
			return located(s, fmt.Errorf("path %s: %w", s.Path, bare(err)))
		}
		l.staged = append(l.staged, s)
	}
	return nil
}

// target is the text of the symlink to a secret.
func (l *links) target(s firstboot.Secret) string { return filepath.Join(l.link(), s.Name) }

func (l *links) isLink(s firstboot.Secret) bool {
	text, err := os.Readlink(l.in(s.Path))
	return err == nil && text == l.target(s)
}

func (l *links) make(s firstboot.Secret) error {
	if err := durable.MkdirAll(l.files, filepath.Dir(s.Path), 0o755); err != nil {
		return err
	}
	at := temporary(l.in(s.Path))
	if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(l.target(s), at)
}

// unstage takes back what stage has made. What cannot be removed the next run
// replaces.
func (l *links) unstage() {
	for _, s := range l.staged {
		_ = os.Remove(temporary(l.in(s.Path)))
	}
}

// commit puts the symlinks into their places and removes those of secrets that
// are gone.
func (l *links) commit() error {
	var errs []error
	for _, s := range l.staged {
		at := temporary(l.in(s.Path))
		err := l.checkPath(s.Path)
		if err == nil {
			err = os.Rename(at, l.in(s.Path))
		}
		if err != nil {
			errs = append(errs, located(s, fmt.Errorf("path %s: %w", s.Path, errors.Join(bare(err), bare(os.Remove(at))))))
		}
	}
	left := l.wanted()
	for _, name := range l.was {
		if !slices.Contains(left, name) && !l.remove(name) {
			left = append(left, name)
		}
	}
	if err := l.writeRecord(left); err != nil {
		l.note("symlinks to secrets: %w", err)
	}
	return errors.Join(errs...)
}

// remove removes a symlink of a secret that is gone, if it is still one to a
// secret, and reports whether nothing is left to be done.
func (l *links) remove(name string) bool {
	text, err := os.Readlink(l.in(name))
	if err != nil || !strings.HasPrefix(text, l.link()+"/") {
		return true // somebody has removed it, or put something else there
	}
	if err := os.Remove(l.in(name)); err != nil {
		l.note("%s: cannot be removed: %w", name, bare(err))
		return false
	}
	l.report.Removed = append(l.report.Removed, name)
	return true
}

// wanted returns the paths that the configuration has.
func (l *links) wanted() (paths []string) {
	for _, s := range l.c.Secrets {
		if s.Path != "" {
			paths = append(paths, s.Path)
		}
	}
	return paths
}

// note adds to what the report tells.
func (i *installer) note(format string, args ...any) {
	i.report.Notes = append(i.report.Notes, fmt.Errorf(format, args...).Error())
}
