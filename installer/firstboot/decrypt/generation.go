package decrypt

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// open mounts the memory for generations and returns when no other process
// works in it, until the directory is closed.
func (i *installer) open() (*os.File, error) {
	dir := i.parent()
	lock, err := i.lock(dir)
	if err != nil {
		return nil, problem("", "%s: %w", dir, bare(err))
	}
	note, err := i.dirs.Mount(dir)
	if err != nil {
		lock.Close()
		return nil, err
	}
	if note != "" {
		i.report.Notes = append(i.report.Notes, note)
	}
	lock, err = lockMounted(lock, dir)
	if err != nil {
		return nil, problem("", "%s: %w", dir, bare(err))
	}
	return lock, nil
}

// lock makes a directory, if it is not there, and locks it.
func (i *installer) lock(dir string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	if err := makeDir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return lockDir(dir)
}

// lockMounted locks what has been mounted at a directory since that was locked:
// a process that comes now finds no other. The first lock is given up, or is
// the one that it returns.
func lockMounted(lock *os.File, dir string) (*os.File, error) {
	was, err1 := lock.Stat()
	is, err2 := os.Stat(dir)
	if err := errors.Join(err1, err2); err != nil {
		lock.Close()
		return nil, err
	}
	if os.SameFile(was, is) {
		return lock, nil
	}
	defer lock.Close()
	return lockDir(dir)
}

func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// makeDir makes a directory of this package's, whatever the umask is.
func makeDir(dir string) error {
	if err := os.Mkdir(dir, dirMode); err != nil {
		return err
	}
	return os.Chmod(dir, dirMode)
}

// generation returns the directory of a generation.
func (i *installer) generation(n int) string { return filepath.Join(i.parent(), strconv.Itoa(n)) }

// number reads the name of a generation; 0 is none.
func number(name string) int {
	n, err := strconv.Atoi(name)
	if err != nil || n < 1 || n >= math.MaxInt32 || strconv.Itoa(n) != name {
		return 0
	}
	return n
}

// current returns the generation that is in use, or 0.
func (i *installer) current() int {
	text, err := os.Readlink(i.link())
	if err != nil {
		return 0
	}
	name, ok := strings.CutPrefix(text, i.parent()+"/")
	if !ok {
		return 0
	}
	return number(name)
}

// next sets the number of the new generation, one that none has had yet since
// the boot: who still has the path of an old one must not find other secrets
// there. What a run that was killed has left is removed: it has secrets in it.
func (i *installer) next() error {
	all, err := i.generations()
	if err != nil {
		return problem("", "%s: %w", i.parent(), bare(err))
	}
	now := i.current()
	last := now
	for _, n := range all {
		last = max(last, n)
	}
	i.report.Generation = last + 1
	i.removeOthers(now)
	return nil
}

// generations returns the numbers of all that are there.
func (i *installer) generations() (all []int, err error) {
	entries, err := os.ReadDir(i.parent())
	for _, e := range entries {
		if n := number(e.Name()); n > 0 {
			all = append(all, n)
		}
	}
	return all, err
}

// removeOthers removes all generations but one. What cannot be removed is
// noted: it stands in nobody's way.
func (i *installer) removeOthers(kept int) {
	all, err := i.generations()
	if err != nil {
		i.note("%s: %w", i.parent(), bare(err))
	}
	for _, n := range all {
		if n == kept {
			continue
		}
		if err := os.RemoveAll(i.generation(n)); err != nil {
			i.note("%s: cannot be removed: %w", i.generation(n), bare(err))
		}
	}
}

// switchTo makes a generation the one in use.
func (i *installer) switchTo(dir string) error {
	temporary := filepath.Join(i.dirs.Run, "."+linkName+".new")
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return problem("", "%s: %w", temporary, bare(err))
	}
	if err := os.Symlink(dir, temporary); err != nil {
		return problem("", "%s: %w", temporary, bare(err))
	}
	if err := os.Rename(temporary, i.link()); err != nil {
		return problem("", "%s: cannot be switched to %s: %w", i.link(), dir, errors.Join(bare(err), bare(os.Remove(temporary))))
	}
	return nil
}
