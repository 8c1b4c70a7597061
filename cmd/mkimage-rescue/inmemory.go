package main

import (
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/rescue/imaging"
)

// mountHint is what to type where there is no disk yet to write to.
const mountHint = "mkdir -p /mnt/large && mount /dev/sdX1 /mnt/large, and name a path below that; mkimage-rescue inventory lists the disks"

// kept refuses paths whose files would not outlive the rescue environment: all that is
// mounted in it by itself is memory. "" names nothing. Elsewhere a person knows what is a disk.
func (p *program) kept(paths ...string) error {
	if !p.here {
		return nil
	}
	for _, path := range paths {
		if path == "" {
			continue
		}
		in, err := inMemory(path)
		if err != nil {
			return err
		}
		if in {
			return fault.New(fault.Target, mountHint, "%s: is in memory, and gone with the machine", path)
		}
	}
	return nil
}

// inMemory reports whether a path, or the directory nearest to it that there is, is of a
// file system in memory. Of a devtmpfs the kernel says what it is made of, which is one of
// these two.
func inMemory(path string) (bool, error) {
	at, err := imaging.Nearest(path)
	if err != nil {
		return false, err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		return false, fault.New(fault.Target, "name a directory that is there", "%s: %w", at, err)
	}
	return st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC, nil
}
