package keephome

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/treecopy"
)

// journal is what the first boot has written down. The programs and the
// configuration beside it are of the new system.
var journal = Kept{firstboot.StateDir, "state.json", "what was done at the first boot"}

// restored is the file of a restore, see package installer/firstboot/restore.
var restored = Kept{firstboot.StateDir, "restore.json", "what /home was restored from"}

// Carry copies what is kept from the old system into the new one: Defaults, what
// the profile names, and what says that /home was restored, so that the new
// system does not do it again. now is for the journal of the first boot.
//
// What is not there is told to Note. It takes place in the new subvolumes alone.
func (in *Install) Carry(ctx context.Context, now time.Time) error {
	list := slices.Concat(Defaults, []Kept{journal, restored})
	for _, name := range in.Keep {
		list = append(list, Kept{Path: name})
		for _, m := range in.Plan.Mounts { // what is bound to places in it
			if m.Type == "none" && m.Target != name && below(name, m.Target) {
				list = append(list, Kept{Path: m.Target})
			}
		}
	}
	for _, k := range list {
		if err := in.carry(ctx, k); err != nil {
			return fmt.Errorf("keep %s: %w", path.Join(k.Path, k.Names), err)
		}
	}
	if err := in.firstBoot(now); err != nil {
		return fmt.Errorf("keep the state of the first boot: %w", err)
	}
	return nil
}

// carry copies one thing, or those in a directory that have some names.
func (in *Install) carry(ctx context.Context, k Kept) error {
	dir, pattern := k.Path, k.Names
	if pattern == "" {
		dir = path.Dir(k.Path)
	}
	at, err := locate(in.Plan, dir)
	if err != nil {
		return err
	}
	if whole, err := locate(in.Plan, k.Path); err != nil {
		return err
	} else if pattern == "" { // it may be mounted itself
		at = place{whole.subvolume, path.Dir(whole.name)}
		pattern = quoted(path.Base(whole.name))
	}
	if !in.scope.isNew(at.subvolume) {
		return nil // and so it stays
	}
	old, err := in.oldDir(at)
	if err != nil {
		return in.absent(k, err)
	}
	defer old.Close()
	names, err := matching(old, pattern)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return in.absent(k, unix.ENOENT)
	}
	return in.take(ctx, old, at, names)
}

// absent notes that something that is kept is not there. Other errors are
// returned: that it cannot be read must not look as if it was not there.
func (in *Install) absent(k Kept, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		in.note("%s: the old system has none, nothing is kept", path.Join(k.Path, k.Names))
		return nil
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
		in.note("%s: leads to another file system or nowhere, nothing is kept: %v", path.Join(k.Path, k.Names), err)
		return nil
	}
	return err
}

// quoted is a pattern that matches one name.
func quoted(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

func matching(dir *os.File, pattern string) (names []string, err error) {
	all, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	for _, name := range all {
		ok, err := path.Match(pattern, name)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
		if ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// oldDir opens a directory of the old system.
func (in *Install) oldDir(at place) (*os.File, error) {
	return openPlace(filepath.Join(in.Top, at.subvolume), at.name)
}

// newDir opens a directory of the new system.
func (in *Install) newDir(at place) (*os.File, error) {
	return openPlace(filepath.Join(in.Top, in.inNew(at.subvolume)), at.name)
}

// inNew is the path of a subvolume of the new system, which may be nested.
func (in *Install) inNew(subvolume string) string {
	top, rest, nested := strings.Cut(subvolume, "/")
	if nested {
		return path.Join(in.newName(top), rest)
	}
	return in.newName(top)
}

// changed notes that something in the new system is not the payload's any more.
func (in *Install) changed(at place) {
	top, rest, _ := strings.Cut(at.subvolume, "/")
	in.except[top] = append(in.except[top], path.Join(rest, at.name))
}

func openPlace(subvolume, name string) (*os.File, error) {
	top, err := openDir(subvolume)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	fd, err := openIn(int(top.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), filepath.Join(subvolume, name)), nil
}

// take puts things of a directory of the old system into the same directory of
// the new one, in the place of what has their names.
func (in *Install) take(ctx context.Context, old *os.File, at place, names []string) error {
	dir, err := in.makeDirs(at)
	if err != nil {
		return err
	}
	defer dir.Close()
	o := in.options()
	o.KeepTop = true
	o.Except = func(name string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return below(n, name) })
	}
	o.Note = func(name, why string) { in.note("%s: %s: %s, not kept", path.Join(at.subvolume, at.name), name, why) }
	err = keepingTimes(dir, func() error {
		if err := removeAll(dir, names); err != nil {
			return err
		}
		digests, err := treecopy.Copy(ctx, old, dir, o)
		in.copies = append(in.copies, copied{place: &at, digests: digests, options: o})
		return err
	})
	for _, n := range names {
		in.changed(place{at.subvolume, path.Join(at.name, n)})
	}
	return err
}

// removeAll removes what the new system has of some names.
func removeAll(dir *os.File, names []string) error {
	root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
	if err != nil {
		return err
	}
	defer root.Close()
	for _, n := range names {
		if err := root.RemoveAll(n); err != nil {
			return err
		}
	}
	return nil
}

// makeDirs opens a directory of the new system, and makes those that it has not
// with the attributes that they have in the old one.
func (in *Install) makeDirs(at place) (*os.File, error) {
	dir, err := in.newDir(at)
	if err == nil || !errors.Is(err, unix.ENOENT) || at.name == "." {
		return dir, err
	}
	up := place{at.subvolume, path.Dir(at.name)}
	parent, err := in.makeDirs(up)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	err = keepingTimes(parent, func() error { return unix.Mkdirat(int(parent.Fd()), path.Base(at.name), 0o755) })
	if err != nil {
		return nil, fmt.Errorf("%s: mkdir: %w", at.name, err)
	}
	in.changed(at)
	if dir, err = in.newDir(at); err != nil {
		return nil, err
	}
	old, err := in.oldDir(at)
	if err != nil { // what is put there is of the new system
		return dir, unix.Fchmod(int(dir.Fd()), 0o755)
	}
	defer old.Close()
	if err := treecopy.CopyAttributes(old, dir, at.name); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}

// openIn opens a path as if a directory were the root: no symlink leads out of
// it.
func openIn(at int, name string, flags uint64) (int, error) {
	how := unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	for {
		fd, err := unix.Openat2(at, name, &how)
		if err != unix.EINTR && err != unix.EAGAIN { // EAGAIN: something was renamed meanwhile
			return fd, err
		}
	}
}
