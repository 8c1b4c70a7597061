package restore

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// look is a look at an entry that may hold only what a new system has there:
// directories, files with the content of the same file in the skeleton of homes,
// and what is in the backup as well. Whatever else there is, is somebody's.
//
// It goes through os.Root: the entry may be the home of a user who is logged in,
// and no symlink that is put in its way leads out of it.
type look struct {
	root *os.Root
	dev  uint64
	skel string
	list []string // all that is there; what a directory has stands before it
}

// isPristine looks at the entry of a directory. copy is where the backup of it
// is, and skel the skeleton, in which the entry would be the top.
func isPristine(dir, name, copy, skel string) bool {
	_, ok := lookAt(dir, name, copy, skel)
	return ok
}

// lookAt returns what is there; false if it is not pristine, or cannot be read.
func lookAt(dir, name, copy, skel string) (list []string, ok bool) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, false
	}
	defer root.Close()
	info, err := root.Stat(".")
	if err != nil {
		return nil, false
	}
	l := &look{root: root, dev: deviceOf(info), skel: skel}
	if !l.entry(name, copy, skel) {
		return nil, false
	}
	return l.list, true
}

func deviceOf(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Dev
	}
	return 0
}

// entry reports whether an entry and all below it is pristine. Another file
// system or subvolume is not.
func (l *look) entry(name string, same ...string) bool {
	info, err := l.root.Lstat(name)
	if err != nil || deviceOf(info) != l.dev {
		return false
	}
	ok := false
	if info.IsDir() {
		ok = l.directory(name, same)
	} else {
		ok = slices.ContainsFunc(same, func(other string) bool { return l.equal(name, info, other) })
	}
	l.list = append(l.list, name)
	return ok
}

func (l *look) directory(name string, same []string) bool {
	f, err := l.root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_DIRECTORY, 0)
	if err != nil {
		return false
	}
	names, err := f.Readdirnames(-1)
	if errors.Join(err, f.Close()) != nil {
		return false
	}
	for _, child := range names {
		below := make([]string, len(same))
		for i, other := range same {
			below[i] = filepath.Join(other, child)
		}
		if !l.entry(path.Join(name, child), below...) {
			return false
		}
	}
	return true
}

// equal reports whether a file or symlink has the content of another.
func (l *look) equal(name string, info fs.FileInfo, other string) bool {
	wanted, err := os.Lstat(other)
	if err != nil || wanted.Mode().Type() != info.Mode().Type() {
		return false
	}
	switch info.Mode().Type() {
	case 0:
		return info.Size() == wanted.Size() && l.sameContent(name, other)
	case fs.ModeSymlink:
		a, err := l.root.Readlink(name)
		if err != nil {
			return false
		}
		b, err := os.Readlink(other)
		return err == nil && a == b
	}
	return false
}

// comparePiece is how much of a file is compared at a time, in bytes.
const comparePiece = 128 << 10

func (l *look) sameContent(name, other string) bool {
	const flags = os.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK
	a, err := l.root.OpenFile(name, flags, 0)
	if err != nil {
		return false
	}
	defer a.Close()
	b, err := os.OpenFile(other, flags, 0)
	if err != nil {
		return false
	}
	defer b.Close()
	x, y := make([]byte, comparePiece), make([]byte, comparePiece)
	for {
		n, err1 := io.ReadFull(a, x)
		m, err2 := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return false
		}
		if err1 != nil || err2 != nil {
			return isEnd(err1) && isEnd(err2)
		}
	}
}

func isEnd(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

// removePristine removes an entry of a directory if it is pristine, and nothing
// that came after the look at it: then, or if it is not, it returns false.
func removePristine(dir, name, copy, skel string) bool {
	list, ok := lookAt(dir, name, copy, skel)
	if !ok {
		return false
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false
	}
	defer root.Close()
	for _, n := range list {
		if err := root.Remove(n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}
