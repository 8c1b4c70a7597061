package decrypt

import (
	"fmt"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/mountinfo"
)

// flags of the mount: nothing there is a program or a device.
const flags = unix.MS_NODEV | unix.MS_NOSUID | unix.MS_NOEXEC

// mount is mount(2).
type mount func(source, target, fstype string, flags uintptr, data string) error

// mountMemory mounts memory that is never swapped, unless it is there already.
func mountMemory(dir string) (note string, err error) {
	switch kind, err := mountedAt(dir); {
	case err != nil:
		return "", problem("", "%s: %w", dir, bare(err))
	case kind == "ramfs" || kind == noswap:
		return "", nil
	case kind != "":
		return "", problem("umount "+dir, "%s: %s is mounted there, expected memory that is never swapped: ramfs, or %s", dir, kind, noswap)
	}
	return mount(unix.Mount).on(dir)
}

// noswap is the second kind of memory that is never swapped. Linux has the
// option from 6.4 on.
const noswap = "tmpfs with the option noswap"

func (m mount) on(dir string) (note string, err error) {
	mode := fmt.Sprintf("mode=0%o", uint32(dirMode))
	ramfs := m("ramfs", dir, "ramfs", flags, mode)
	if ramfs == nil {
		return "", nil
	}
	if err := m("tmpfs", dir, "tmpfs", flags, mode+",noswap"); err != nil {
		hint := ""
		if err == unix.EPERM {
			hint = "run it as root"
		}
		return "", problem(hint, "%s: no memory that is never swapped can be mounted: ramfs: %w; %s: %w", dir, ramfs, noswap, err)
	}
	return fmt.Sprintf("%s: ramfs cannot be mounted (%v); the secrets are in %s", dir, ramfs, noswap), nil
}

// mountedAt returns the kind of file system that is mounted at a directory: its
// type, or noswap; "" when none is.
func mountedAt(dir string) (string, error) {
	var own, above unix.Stat_t
	if err := unix.Stat(dir, &own); err != nil {
		return "", err
	}
	if err := unix.Stat(filepath.Dir(dir), &above); err != nil {
		return "", err
	}
	if own.Dev == above.Dev {
		return "", nil
	}
	mounts, err := mountinfo.Self()
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	kind := mountedIn(mounts, real)
	if kind == "" {
		kind = "an unknown file system"
	}
	return kind, nil
}

// mountedIn returns what is mounted at a directory: the last mount there counts.
func mountedIn(mounts []mountinfo.Mount, dir string) (kind string) {
	for _, m := range mounts {
		if m.Point != dir {
			continue
		}
		kind = m.Type
		if kind == "tmpfs" && slices.Contains(m.Options, "noswap") {
			kind = noswap
		}
	}
	return kind
}
