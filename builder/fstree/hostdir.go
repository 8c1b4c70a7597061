package fstree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Owner is a user and a group by number.
type Owner struct{ UID, GID uint32 }

// DirOptions says how ScanDir takes a host directory. The zero value takes
// everything as it is.
type DirOptions struct {
	// Owner, when not nil, owns every entry whatever the host says: for trees
	// made by an ordinary user.
	Owner *Owner
}

// ScanDir returns the tree below a host directory, which it does not keep in
// memory: files are opened when the tree's Content is, and are refused if they
// have changed by then. A symlink named by root itself is followed, none below
// it is. File systems mounted below root are part of the tree; hard links are
// what has the same device and inode number there.
//
// Every extended attribute that the caller may see is taken, so trusted.* ones
// by root only. Access and change times, and attributes in the sense of
// chattr(1), are not. All errors are of class fault.Input and name the path.
func ScanDir(ctx context.Context, root string, opts DirOptions) (*Tree, error) {
	fd, err := openDir(unix.AT_FDCWD, root, 0)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%s: %w", root, err)
	}
	src := &hostSource{name: root, root: os.NewFile(uintptr(fd), root)}
	s := &dirScan{owner: opts.Owner, src: src, links: map[fileID]*Inode{}, buf: make([]byte, maxXattr)}
	t := New()
	inode, err := s.rootInode(fd)
	if err != nil {
		return nil, hostError(root, err)
	}
	t.root.become(inode)
	// A second descriptor, since the one in src stays open with the tree.
	if fd, err = openDir(fd, ".", 0); err != nil {
		return nil, hostError(root, err)
	}
	if err := s.fill(ctx, t.root, &hostDir{src: src}, fd); err != nil {
		return nil, err
	}
	return t, nil
}

// maxXattr is the kernel's limit for the value of one extended attribute and
// for the list of all names of a file (XATTR_SIZE_MAX, XATTR_LIST_MAX).
const maxXattr = 65536

type fileID struct{ dev, ino uint64 }

type dirScan struct {
	owner *Owner
	src   *hostSource
	links map[fileID]*Inode // of what has more than one link
	buf   []byte            // for extended attributes
}

func openDir(at int, name string, flags int) (int, error) {
	return ignoringEINTR(func() (int, error) {
		return unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|flags, 0)
	})
}

// fill reads the directory open at fd into e and closes fd. The descriptors of
// all parents stay open meanwhile, so that no path is resolved twice and depth
// is bound by the limit of open files, not by PATH_MAX.
func (s *dirScan) fill(ctx context.Context, e *Entry, host *hostDir, fd int) error {
	dir := os.NewFile(uintptr(fd), host.path(""))
	defer dir.Close()
	if err := ctx.Err(); err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return hostError(host.path(""), cmp.Or(errors.Unwrap(err), err)) // without os's path
	}
	slices.Sort(names) // equal trees give equal first errors
	if err := s.addAll(e, host, fd, names); err != nil {
		return err
	}
	for _, c := range e.dir.children {
		if !c.IsDir() {
			continue
		}
		sub, err := openDir(fd, c.Name, unix.O_NOFOLLOW)
		if err != nil {
			return hostError(host.path(c.Name), err)
		}
		if err := s.fill(ctx, c, &hostDir{src: s.src, parent: host, name: c.Name}, sub); err != nil {
			return err
		}
	}
	return nil
}

// addAll adds the sorted names to the empty directory e. Its entries are one
// allocation.
func (s *dirScan) addAll(e *Entry, host *hostDir, fd int, names []string) error {
	entries := make([]Entry, len(names))
	e.dir.children = make([]*Entry, len(names))
	proc := "/proc/self/fd/" + strconv.Itoa(fd) + "/"
	for i, name := range names {
		c := &entries[i]
		inode, err := s.inode(host, fd, proc, name)
		if err != nil {
			return hostError(host.path(name), err)
		}
		*c = Entry{Name: name, Inode: inode, parent: e}
		inode.links++
		if c.IsDir() {
			c.dir = &directory{}
		}
		e.dir.children[i] = c
	}
	slices.Sort(host.stamps)
	return nil
}

// inode describes the object called name in the directory open at fd, which
// the path proc leads to.
func (s *dirScan) inode(host *hostDir, fd int, proc, name string) (*Inode, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	id := fileID{uint64(st.Dev), st.Ino}
	linked := st.Nlink > 1 && st.Mode&unix.S_IFMT != unix.S_IFDIR
	if linked && s.links[id] != nil {
		return s.links[id], nil
	}
	inode, err := s.describe(&st, proc+name)
	if err != nil {
		return nil, err
	}
	switch inode.Type() {
	case TypeRegular:
		host.stamps = append(host.stamps, stampOf(name, &st))
		inode.Content = host
		if linked {
			inode.Content = &hostName{host, name}
		}
	case TypeSymlink:
		if inode.Link, err = readLink(fd, name, st.Size); err != nil {
			return nil, err
		}
		inode.Size = int64(len(inode.Link))
	}
	if linked {
		s.links[id] = inode
	}
	return inode, nil
}

// describe makes an inode of what stat says and of the extended attributes of
// the object at path.
func (s *dirScan) describe(st *unix.Stat_t, path string) (*Inode, error) {
	i := &Inode{Mode: st.Mode, UID: st.Uid, GID: st.Gid, Sec: st.Mtim.Sec, Nsec: uint32(st.Mtim.Nsec)}
	if s.owner != nil {
		i.UID, i.GID = s.owner.UID, s.owner.GID
	}
	switch {
	case i.IsRegular():
		i.Size = st.Size
	case i.IsDevice():
		i.Rdev = MakeRdev(unix.Major(st.Rdev), unix.Minor(st.Rdev))
	}
	var err error
	i.Xattrs, err = readXattrs(path, s.buf)
	return i, err
}

func (s *dirScan) rootInode(fd int) (*Inode, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	return s.describe(&st, "/proc/self/fd/"+strconv.Itoa(fd)+"/.")
}

// readLink reads a symlink whose target is size bytes long, or of unknown
// length if size is 0, as it is on some file systems.
func readLink(fd int, name string, size int64) (string, error) {
	if size <= 0 || size > unix.PathMax {
		size = unix.PathMax
	}
	buf := make([]byte, size+1)
	n, err := unix.Readlinkat(fd, name, buf)
	switch {
	case err != nil:
		return "", err
	case n == len(buf):
		return "", errors.New("symlink changed while it was scanned")
	}
	return string(buf[:n]), nil
}

// readXattrs reads all extended attributes of the object at path itself, in
// the order of their names. A path below /proc/self/fd stands for the calls
// relative to a descriptor that Linux has only since 6.13.
func readXattrs(path string, buf []byte) ([]Xattr, error) {
	n, err := unix.Llistxattr(path, buf)
	if err == unix.ENOTSUP {
		return nil, nil
	}
	if err != nil || n == 0 {
		return nil, err
	}
	var xattrs []Xattr
	for _, name := range splitNames(buf[:n]) {
		n, err := unix.Lgetxattr(path, name, buf)
		if err == unix.ENODATA {
			continue // removed since it was listed
		}
		if err != nil {
			return nil, fmt.Errorf("extended attribute %s: %w", name, err)
		}
		xattrs = append(xattrs, Xattr{name, slices.Clone(buf[:n:n])})
	}
	slices.SortFunc(xattrs, func(a, b Xattr) int { return cmp.Compare(a.Name, b.Name) })
	return xattrs, nil
}

// splitNames splits a list of names that each end with a NUL byte.
func splitNames(list []byte) []string {
	var names []string
	for start, i := 0, 0; i < len(list); i++ {
		if list[i] == 0 {
			names = append(names, string(list[start:i]))
			start = i + 1
		}
	}
	return names
}

// ignoringEINTR repeats a system call that a signal cut short.
func ignoringEINTR[T any](call func() (T, error)) (T, error) {
	for {
		v, err := call()
		if err != unix.EINTR {
			return v, err
		}
	}
}

// hostError says which host path an error is about, and what may help.
func hostError(path string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		hint = "run as root, or make it readable"
	case errors.Is(err, unix.ENOENT):
		hint = "let nothing change the source while it is read"
	}
	return fault.New(fault.Input, hint, "%s: %w", path, err)
}
