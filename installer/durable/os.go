package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// OS returns the file system below a directory. A symlink leads where it would
// if the directory were the root; none leads out of it. Other file systems may
// be mounted below.
func OS(root string) FS { return system(root) }

type system string

// maxLinks is how many symlinks a name may lead over, as in Linux.
const maxLinks = 40

// at calls do with the root and a name below it without symlinks, but for its
// last part unless follow is set. The root is opened each time: another file
// system may have been mounted there since.
func (s system) at(name string, follow bool, do func(r *os.Root, name string) error) error {
	if !path.IsAbs(name) {
		return fmt.Errorf("%s: expected an absolute name", name)
	}
	r, err := os.OpenRoot(string(s))
	if err != nil {
		return err
	}
	defer r.Close()
	real, err := resolve(r, name, follow)
	if err == nil {
		err = do(r, real)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, cause(err))
	}
	return nil
}

// cause is err without the name of a call and of a file below the root.
func cause(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}

// resolve returns where a name leads below r. os.Root refuses symlinks that are
// absolute, which systems have between their own directories.
func resolve(r *os.Root, name string, follow bool) (string, error) {
	rest := strings.Split(path.Clean(name), "/")
	at, links := ".", 0
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..": // at has no symlinks; above the root is the root
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		info, err := r.Lstat(next)
		last := len(rest) == 0
		switch {
		case errors.Is(err, fs.ErrNotExist):
			at = next // and so whoever uses it will say
			continue
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink == 0 || last && !follow:
			at = next
			continue
		}
		target, err := r.Readlink(next)
		if err != nil {
			return "", err
		}
		if links++; links > maxLinks {
			return "", unix.ELOOP
		}
		if path.IsAbs(target) {
			at = "."
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return at, nil
}

func (s system) Open(name string) (file File, err error) {
	err = s.at(name, true, func(r *os.Root, real string) error {
		f, err := r.OpenFile(real, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
			err = errors.New("neither a file nor a directory")
		}
		if err != nil {
			return errors.Join(err, f.Close())
		}
		file = &open{f, name}
		return nil
	})
	return file, err
}

func (s system) Create(name string, perm fs.FileMode) (file File, err error) {
	err = s.at(name, false, func(r *os.Root, real string) error {
		f, err := r.OpenFile(real, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
		if err == nil {
			file = &open{f, name}
		}
		return err
	})
	return file, err
}

func (s system) Mkdir(name string, perm fs.FileMode) error {
	return s.at(name, false, func(r *os.Root, real string) error { return r.Mkdir(real, perm) })
}

func (s system) Remove(name string) error {
	return s.at(name, false, func(r *os.Root, real string) error { return r.Remove(real) })
}

func (s system) Link(old, name string) error {
	return s.two(old, name, (*os.Root).Link)
}

func (s system) Rename(old, name string) error {
	return s.two(old, name, (*os.Root).Rename)
}

// two calls do with two names below the root.
func (s system) two(old, name string, do func(r *os.Root, old, name string) error) error {
	return s.at(name, false, func(r *os.Root, real string) error {
		realOld, err := resolve(r, old, false)
		if err != nil {
			return fmt.Errorf("%s: %w", old, cause(err))
		}
		return do(r, realOld, real)
	})
}

func (s system) Lstat(name string) (info Info, err error) {
	err = s.at(name, false, func(r *os.Root, real string) error {
		i, err := r.Lstat(real)
		if err == nil {
			info = infoOf(i)
		}
		return err
	})
	return info, err
}

func (s system) List(name string) (names []string, err error) {
	err = s.at(name, true, func(r *os.Root, real string) error {
		f, err := r.Open(real)
		if err != nil {
			return err
		}
		defer f.Close()
		names, err = f.Readdirnames(-1)
		slices.Sort(names)
		return err
	})
	return names, err
}

func (s system) Lock(name string) (lock io.Closer, err error) {
	err = s.at(name, true, func(r *os.Root, real string) error {
		f, err := r.Open(real)
		if err != nil {
			return err
		}
		for {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
			if err != unix.EINTR {
				break
			}
		}
		if err != nil {
			return errors.Join(err, f.Close())
		}
		lock = f
		return nil
	})
	return lock, err
}

// open is a File. Its errors begin with the name that the user knows.
type open struct {
	*os.File
	name string
}

func (o *open) fail(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return fmt.Errorf("%s: %w", o.name, cause(err))
}

func (o *open) Read(p []byte) (int, error) {
	n, err := o.File.Read(p)
	return n, o.fail(err)
}

func (o *open) Write(p []byte) (int, error) {
	n, err := o.File.Write(p)
	return n, o.fail(err)
}

func (o *open) Stat() (Info, error) {
	i, err := o.File.Stat()
	if err != nil {
		return Info{}, o.fail(err)
	}
	return infoOf(i), nil
}

func (o *open) Chmod(perm fs.FileMode) error { return o.fail(o.File.Chmod(perm)) }

func (o *open) Chown(uid, gid uint32) error { return o.fail(o.File.Chown(int(uid), int(gid))) }

// Sync lets those file systems pass that have no fsync for directories.
func (o *open) Sync() error {
	err := o.File.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		if info, bad := o.File.Stat(); bad == nil && info.IsDir() {
			return nil
		}
	}
	return o.fail(err)
}

func (o *open) Close() error { return o.fail(o.File.Close()) }

func infoOf(i fs.FileInfo) Info {
	info := Info{Mode: i.Mode(), Size: i.Size()}
	if st, ok := i.Sys().(*syscall.Stat_t); ok {
		info.UID, info.GID = st.Uid, st.Gid
	}
	return info
}
