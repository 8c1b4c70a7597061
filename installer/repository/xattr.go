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

// sameXattrs reports whether what is in the place of an entry has the extended
// attributes of its node and no other. restic removes others; on a file system that
// has none it leaves them out in silence.
func (e *placed) sameXattrs() (bool, error) {
	// No system call of older kernels takes a directory and a name.
	path := fmt.Sprintf("/proc/self/fd/%d/%s", e.dir.fd, e.Name)
	names, err := xattrNames(path)
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
		same, err := hasXattr(path, &x)
		if err != nil || !same {
			return false, e.lacking(err)
		}
	}
	return len(names) == 0, nil
}

// hasXattr reports whether a path has an attribute of the same value.
func hasXattr(path string, x *reader.Xattr) (same bool, err error) {
	value := make([]byte, min(len(x.Value), maxXattr)+1)
	var n int
	err = retried(func() error {
		n, err = unix.Lgetxattr(path, x.Name, value)
		return err
	})
	if errors.Is(err, unix.ERANGE) { // a longer one
		return false, nil
	}
	return err == nil && bytes.Equal(value[:n], x.Value), err
}

// xattrNames returns the names of the extended attributes of a path, but for those
// of the kernel.
func xattrNames(path string) ([]string, error) {
	list, err := listXattrs(path)
	if errors.Is(err, unix.ENOTSUP) || err == nil && len(list) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00")
	return slices.DeleteFunc(names, func(name string) bool { return name == "" || slices.Contains(ownXattrs, name) }), nil
}

// listXattrs returns the names with a zero after each. Few files have any: memory
// is taken for what there is, and once more where it has grown meanwhile.
func listXattrs(path string) (list []byte, err error) {
	for {
		var n int
		err = retried(func() error {
			n, err = unix.Llistxattr(path, list)
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
