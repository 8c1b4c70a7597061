package fstree

import (
	"errors"
	"hash/maphash"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// hostSource is a host directory that was scanned. It stays open as long as
// something of its tree is in use, and is closed by the garbage collector.
type hostSource struct {
	name string // as the caller named it
	root *os.File
}

// hostDir is the Content of all files with one link that were scanned in one
// host directory; it takes the name from the entry. So content costs nothing
// per file, and an entry may be moved to another directory or tree, with its
// parents or without. Only its name must stay; Entry.Copy is for other names.
//
// It knows its files by stamps, not by their inodes' times, because those are
// for others to change, for instance to clamp them.
type hostDir struct {
	src    *hostSource
	parent *hostDir
	name   string
	stamps []uint64 // sorted, one for every regular file
}

// hostName is the Content of one file whatever it is called in the tree.
type hostName struct {
	dir  *hostDir
	name string
}

// Copy returns a copy of the inode of e that has no name yet: for another
// tree, or another name that shall be no hard link.
func (e *Entry) Copy() *Inode {
	i := *e.Inode
	i.links = 0
	if dir, ok := i.Content.(*hostDir); ok {
		i.Content = &hostName{dir, e.Name}
	}
	return &i
}

var stampSeed = maphash.MakeSeed()

// stampOf condenses what must not change between scan and use of a file.
func stampOf(name string, st *unix.Stat_t) uint64 {
	type stamp struct {
		name            string
		size, sec, nsec int64
	}
	return maphash.Comparable(stampSeed, stamp{name, st.Size, st.Mtim.Sec, st.Mtim.Nsec})
}

// relative returns the path of the file called name, or with an empty name of
// the directory itself, below the scanned root.
func (d *hostDir) relative(name string) string {
	elements := []string{name}
	for ; d.parent != nil; d = d.parent {
		elements = append(elements, d.name)
	}
	slices.Reverse(elements)
	return path.Join(elements...)
}

// path is relative's path on the host.
func (d *hostDir) path(name string) string {
	rel := d.relative(name)
	if rel == "" {
		return d.src.name
	}
	return strings.TrimSuffix(d.src.name, "/") + "/" + rel
}

func (d *hostDir) Open(e *Entry) (File, error) { return d.open(e.Name, e.Size) }

func (n *hostName) Open(e *Entry) (File, error) { return n.dir.open(n.name, e.Size) }

func (d *hostDir) open(name string, size int64) (File, error) {
	fd, err := openBeneath(int(d.src.root.Fd()), d.relative(name))
	if err != nil {
		return nil, hostError(d.path(name), err)
	}
	f := &hostFile{fd: fd, size: size, dir: d, name: name}
	if err := f.check(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return f, nil
}

// openBeneath opens the file at a relative path that must not lead through
// symlinks, for one may have taken the place of a directory since the scan.
// O_NONBLOCK, since a FIFO may have taken the place of the file.
func openBeneath(root int, rel string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	how := unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := ignoringEINTR(func() (int, error) { return unix.Openat2(root, rel, &how) })
	// Kernels before 5.6 lack openat2, and filters of container engines
	// answer EPERM to calls that they do not know.
	if err == unix.ENOSYS || err == unix.EPERM {
		return ignoringEINTR(func() (int, error) { return unix.Openat(root, rel, flags, 0) })
	}
	return fd, err
}

// hostFile is an open file of the host.
type hostFile struct {
	fd   int
	size int64
	dir  *hostDir
	name string
}

// check tells whether the open file is still the one that was scanned.
func (f *hostFile) check() error {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return hostError(f.dir.path(f.name), err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return f.changed("it is no regular file any more")
	}
	if _, found := slices.BinarySearch(f.dir.stamps, stampOf(f.name, &st)); !found || st.Size != f.size {
		return f.changed("%d bytes, modified at %s; it had %d bytes", st.Size,
			time.Unix(st.Mtim.Unix()).UTC().Format(time.RFC3339Nano), f.size)
	}
	return nil
}

func (f *hostFile) changed(format string, args ...any) error {
	return fault.New(fault.Input, "let nothing change the source while it is read",
		"%s: changed since it was scanned: "+format, append([]any{f.dir.path(f.name)}, args...)...)
}

func (f *hostFile) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= f.size {
		return 0, io.EOF
	}
	var end error
	if left := f.size - off; int64(len(p)) > left {
		p, end = p[:left], io.EOF
	}
	for done := 0; done < len(p); {
		n, err := ignoringEINTR(func() (int, error) { return unix.Pread(f.fd, p[done:], off+int64(done)) })
		switch {
		case err != nil:
			return done, hostError(f.dir.path(f.name), err)
		case n == 0:
			return done, f.changed("it ends at byte %d; it had %d bytes", off+int64(done), f.size)
		}
		done += n
	}
	return len(p), end
}

// Segments asks the file system for holes only where there are fewer blocks
// than the size needs, which is rare.
func (f *hostFile) Segments() ([]Segment, error) {
	if f.size == 0 {
		return nil, nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return nil, hostError(f.dir.path(f.name), err)
	}
	whole := []Segment{{0, f.size}}
	const statBlock = 512 // the unit of st_blocks whatever the file system
	if st.Blocks >= (f.size+statBlock-1)/statBlock {
		return whole, nil
	}
	var segments []Segment
	for off := int64(0); off < f.size; {
		data, err := unix.Seek(f.fd, off, unix.SEEK_DATA)
		switch {
		case errors.Is(err, unix.ENXIO): // a hole up to the end
			return segments, nil
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTSUP):
			return whole, nil // the file system cannot tell
		case err != nil:
			return nil, hostError(f.dir.path(f.name), err)
		}
		hole, err := unix.Seek(f.fd, data, unix.SEEK_HOLE)
		if err != nil {
			return nil, hostError(f.dir.path(f.name), err)
		}
		off = min(hole, f.size)
		if data < off {
			segments = append(segments, Segment{data, off - data})
		}
	}
	return segments, nil
}

func (f *hostFile) Close() error {
	err := f.check()
	if cerr := unix.Close(f.fd); err == nil && cerr != nil {
		err = hostError(f.dir.path(f.name), cerr)
	}
	return err
}
