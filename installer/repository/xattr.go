package repository

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// ownXattrs are those that a running kernel sets by itself.
var ownXattrs = []string{"security.selinux", "security.ima", "security.evm"}

// maxXattr is the size of the longest value that Linux has, in bytes.
const maxXattr = 64 << 10

// xattrs are the extended attributes of something: of a file that is open, to which the
// kernel then has no way to find, or else of a path.
type xattrs struct {
	list func(into []byte) (int, error)
	get  func(name string, into []byte) (int, error)
}

// xattrsOf are those of a file, or where fd is -1 of a name below a directory: no system
// call of older kernels takes these two.
func xattrsOf(fd, dir int, name string) xattrs {
	if fd < 0 {
		return xattrsAt(fmt.Sprintf("/proc/self/fd/%d/%s", dir, name))
	}
	return xattrs{
		list: func(into []byte) (int, error) { return unix.Flistxattr(fd, into) },
		get:  func(name string, into []byte) (int, error) { return unix.Fgetxattr(fd, name, into) },
	}
}

func xattrsAt(path string) xattrs {
	return xattrs{
		list: func(into []byte) (int, error) { return unix.Llistxattr(path, into) },
		get:  func(name string, into []byte) (int, error) { return unix.Lgetxattr(path, name, into) },
	}
}

// sameXattrs reports whether what is in the place of an entry has the extended
// attributes of its node and no other. restic removes others; on a file system that
// has none it leaves them out in silence.
func (e *placed) sameXattrs() (bool, error) {
	there := xattrsOf(e.fd, e.dir.fd, e.Name)
	names, err := there.names()
	if err != nil {
		return false, e.lacking(err)
	}
	for _, x := range e.Xattrs {
		if slices.Contains(ownXattrs, x.Name) {
			continue
		}
		at := slices.Index(names, x.Name)
		if at < 0 {
			return false, nil
		}
		names = slices.Delete(names, at, at+1)
		same, err := there.has(&x)
		if err != nil || !same {
			return false, e.lacking(err)
		}
	}
	return len(names) == 0, nil
}

// has reports whether there is an attribute of the same value.
func (at xattrs) has(x *reader.Xattr) (same bool, err error) {
	value := make([]byte, min(len(x.Value), maxXattr)+1)
	var n int
	err = retried(func() error {
		n, err = at.get(x.Name, value)
		return err
	})
	if errors.Is(err, unix.ERANGE) { // a longer one
		return false, nil
	}
	return err == nil && bytes.Equal(value[:n], x.Value), err
}

// names returns the names, but for those of the kernel.
func (at xattrs) names() ([]string, error) {
	list, err := at.all()
	if errors.Is(err, unix.ENOTSUP) || err == nil && len(list) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00")
	return slices.DeleteFunc(names, func(name string) bool { return name == "" || slices.Contains(ownXattrs, name) }), nil
}

// all returns the names with a zero after each. Few files have any: memory
// is taken for what there is, and once more where it has grown meanwhile.
func (at xattrs) all() (list []byte, err error) {
	for {
		var n int
		err = retried(func() error {
			n, err = at.list(list)
			return err
		})
		switch {
		case errors.Is(err, unix.ERANGE):
			list = nil
		case err != nil || n == 0 || list != nil:
			return list[:max(n, 0)], err
		default:
			list = make([]byte, n)
		}
	}
}
