package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// snapshotsDir is where snapshots of a subvolume lie, by custom.
const snapshotsDir = ".snapshots"

// isReserved reports whether a name at the top is of the system or of a restore:
// what is there of that name is never exchanged.
func isReserved(name string) bool {
	for _, prefix := range []string{stagingPrefix, besidePrefix, keptPrefix, homePrefix} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return name == snapshotsDir || name == "lost+found"
}

// place puts everything that lies in the staging directory to its place. Each
// entry goes by one rename, so that at every instant all of it is in one place
// or in the other. The pin has the inodes of what was staged: what is there with
// another one was exchanged by an earlier run, and is what lay in the way.
func (r *run) place() error {
	entries, err := os.ReadDir(r.staging())
	if errors.Is(err, fs.ErrNotExist) { // an earlier run came as far, see isLost
		return nil
	}
	if err != nil {
		return plain(err)
	}
	for _, e := range entries {
		name := e.Name()
		info, stat := lstat(filepath.Join(r.staging(), name))
		if info == nil {
			return fmt.Errorf("%s: cannot be looked at", path.Join(r.c.Restore.Path, r.pin.Staging, name))
		}
		if slices.Contains(r.pin.Staged, stat.Ino) {
			if err := r.move(name); err != nil {
				return err
			}
			if err := r.cut("moved " + name); err != nil {
				return err
			}
		}
		if err := r.discard(name); err != nil {
			return err
		}
		if err := r.cut("discarded " + name); err != nil {
			return err
		}
	}
	return nil
}

// isLost reports whether what a pin says is being placed is not there: the directory
// was made anew since, and the pin, on another disk, was not. While there is a staging
// directory, something has to be left of it; after that was removed, all of it has to
// be at its place or beside, as numbers of inodes come again.
func (r *run) isLost() bool {
	_, err := os.Lstat(r.staging())
	removed := errors.Is(err, fs.ErrNotExist)
	missing := map[uint64]bool{}
	for _, inode := range r.pin.Staged {
		missing[inode] = true
	}
	staged := len(missing)
	for _, dir := range []string{r.staging(), r.path, filepath.Join(r.path, r.pin.besideDir())} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !removed {
			return false // place will say
		}
		for _, e := range entries {
			if info, stat := lstat(filepath.Join(dir, e.Name())); info != nil {
				delete(missing, stat.Ino)
			}
		}
	}
	if removed {
		return len(missing) > 0
	}
	return staged > 0 && len(missing) == staged
}

// move puts an entry to its place, in exchange for what is there if that is
// pristine, and beside it if it is not.
func (r *run) move(name string) error {
	staged, at := filepath.Join(r.staging(), name), filepath.Join(r.path, name)
	err := unix.Renameat2(unix.AT_FDCWD, staged, unix.AT_FDCWD, at, unix.RENAME_NOREPLACE)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%s: rename to its place: %w", path.Join(r.c.Restore.Path, r.pin.Staging, name), err)
	}
	if isReserved(name) {
		if unix.Rmdir(staged) == nil { // it was empty, such as a place for mounts
			return nil
		}
		return r.aside(r.pin.besideDir(), name)
	}
	if !isPristine(r.path, name, staged, r.Skel) {
		return r.aside(r.pin.besideDir(), name)
	}
	// What lay in the way leaves the users' reach with it: the staging directory
	// is root's alone.
	err = unix.Renameat2(unix.AT_FDCWD, staged, unix.AT_FDCWD, at, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EXDEV) { // something is mounted there
		return r.aside(r.pin.besideDir(), name)
	}
	if err != nil {
		return fmt.Errorf("%s: exchange with what was restored: %w", path.Join(r.c.Restore.Path, name), err)
	}
	return nil
}

// discard removes from the staging directory what lay in the way of an entry,
// if it is pristine still. A user who was logged in may have written something
// meanwhile, or may yet: what is there then is kept.
func (r *run) discard(name string) error {
	if info, _ := lstat(filepath.Join(r.staging(), name)); info == nil {
		return nil
	}
	if removePristine(r.staging(), name, filepath.Join(r.path, name), r.Skel) {
		return nil
	}
	return r.aside(r.pin.keptDir(), name)
}

// aside moves an entry of the staging directory to a directory beside, under
// the first name that is free there.
func (r *run) aside(dir, name string) error {
	where := filepath.Join(r.path, dir)
	if err := os.Mkdir(where, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return plain(err)
	}
	to := name
	for n := 2; ; n++ {
		err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(r.staging(), name), unix.AT_FDCWD, filepath.Join(where, to), unix.RENAME_NOREPLACE)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("%s: rename to %s: %w", path.Join(r.c.Restore.Path, r.pin.Staging, name), path.Join(dir, to), err)
		}
		to = fmt.Sprintf("%s.%d", name, n)
	}
	r.Log(fmt.Sprintf("%s is not pristine: %s", path.Join(r.c.Restore.Path, name), path.Join(r.c.Restore.Path, dir, to)))
	return nil
}

// removeStaging removes the staging directory, in which nothing is left.
func (r *run) removeStaging() error {
	err := os.Remove(r.staging())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return plain(err)
}

// lstat returns nil for what cannot be looked at.
func lstat(path string) (fs.FileInfo, *syscall.Stat_t) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, nil
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, nil
	}
	return info, stat
}
