package repository

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ownXattrs are those that a running kernel sets by itself.
var ownXattrs = []string{"security.selinux", "security.ima", "security.evm"}

// maxXattr is the size of the longest value and of the longest list of names that
// Linux has, in bytes.
const maxXattr = 64 << 10

// sameXattrs reports whether what is in the place of an entry has the extended
// attributes of its node and no other. restic removes others; on a file system that
// has none it leaves them out in silence.
func (e *entry) sameXattrs() (bool, error) {
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
		value := make([]byte, min(len(x.Value), maxXattr)+1)
		n, err := unix.Lgetxattr(path, x.Name, value)
		if err != nil || !bytes.Equal(value[:n], x.Value) {
			return false, e.lacking(err)
		}
	}
	return len(names) == 0, nil
}

// xattrNames returns the names of the extended attributes of a path, but for those
// of the kernel.
func xattrNames(path string) ([]string, error) {
	n, err := unix.Llistxattr(path, nil)
	if errors.Is(err, unix.ENOTSUP) || err == nil && n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	buf := make([]byte, maxXattr)
	if n, err = unix.Llistxattr(path, buf); err != nil {
		return nil, err
	}
	names := strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00")
	return slices.DeleteFunc(names, func(name string) bool { return name == "" || slices.Contains(ownXattrs, name) }), nil
}
