package machine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
	"github.com/6FaNcY9/mkimage/installer/rescue/mounted"
)

// Mount mounts a system as its own table of file systems says, until the machine is
// closed. One whose session sleeps is mounted read-only, or not at all. note is told
// what is left out, and may be nil.
func (m *Machine) Mount(ctx context.Context, s *inventory.System, readOnly bool, note func(line string)) (*mounted.System, error) {
	if err := Awake(s); err != nil && !readOnly {
		return nil, err
	}
	if err := m.pinned(s.Root.Disk); err != nil {
		return nil, err
	}
	dir := filepath.Join(m.options.Dir, "system")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	sys, err := mounted.Mount(ctx, mounted.Request{
		Dir: dir, Lines: m.withoutBackups(s, note), ReadOnly: readOnly, Sleeps: s.Hibernated, Note: note,
		Node: func(what string) (string, error) {
			at, err := m.Find(what, s.Root.Disk)
			if err != nil {
				return "", err
			}
			if !readOnly && m.Sleeps(at.Disk) {
				return "", asleep(at.String())
			}
			if err := m.pinned(at.Disk); err != nil {
				return "", err
			}
			return m.node(at, !readOnly)
		},
	})
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	m.undo = append(m.undo, func() error {
		if err := sys.Close(); err != nil {
			return err
		}
		return os.Remove(dir)
	})
	return sys, nil
}

// lines are those of the system's table: where it has none, what its subvolumes are for.
func (m *Machine) lines(s *inventory.System) (lines []fstab.Line) {
	for _, t := range s.Mounts {
		lines = append(lines, fstab.Line{Number: t.Line, What: t.What, Target: t.Target, Type: t.Type, Options: t.Options})
	}
	if len(lines) > 0 {
		return lines
	}
	for _, sub := range s.Subvolumes {
		if sub.Mount != "" {
			lines = append(lines, fstab.Line{What: "UUID=" + s.FSID, Target: sub.Mount, Type: "btrfs", Options: []string{"subvol=" + sub.Path}})
		}
	}
	return lines
}

// withoutBackups are the lines of a system but those that mount a backup of another disk:
// nothing that is done to a system may reach the only copy of its data.
func (m *Machine) withoutBackups(s *inventory.System, note func(line string)) []fstab.Line {
	return slices.DeleteFunc(m.lines(s), func(l fstab.Line) bool {
		at, err := m.Find(l.What, s.Root.Disk)
		if err != nil || at.Disk == s.Root.Disk || !slices.ContainsFunc(m.Inventory.Backups, func(b inventory.Backup) bool { return b.Disk == at.Disk && b.Number == at.Number }) {
			return false
		}
		if note != nil {
			note(l.Target + ": is a backup, and is left out")
		}
		return true
	})
}

// Wake is the hint to whoever would write to a disk that a session sleeps on.
const Wake = "start the laptop without the stick, so that it wakes, and shut it down; then begin again"

// Awake refuses a system whose session sleeps: the session goes on with what it knows of
// the disk. The error has class fault.Target.
func Awake(s *inventory.System) error {
	if !s.Hibernated {
		return nil
	}
	return asleep(s.ID)
}

// asleep is the error for what would write to a disk that a session sleeps on, or to a
// part of one.
func asleep(what string) error {
	return fault.New(fault.Target, Wake, "%s: a session sleeps on its disk: what is written to that would destroy both", what)
}

// Top mounts the top level of a system's btrfs, until the machine is closed, and returns
// where. Without writing no log is replayed. A system whose session sleeps is not written
// to.
func (m *Machine) Top(ctx context.Context, s *inventory.System, readOnly bool) (dir string, err error) {
	options := "subvolid=5"
	switch {
	case readOnly:
		options += "," + mounted.Untouched("btrfs")
	case s.Hibernated:
		return "", asleep(s.ID)
	}
	return m.mount(ctx, s.Root, "top", "btrfs", readOnly, options)
}

// ESP mounts the EFI system partition of a system for writing, until the machine is
// closed, and returns where.
func (m *Machine) ESP(ctx context.Context, s *inventory.System) (dir string, err error) {
	switch {
	case s.ESP == nil:
		return "", fault.New(fault.Target, "mkimage-rescue boot makes it anew", "%s: its disk has no EFI system partition", s.ID)
	case s.Hibernated:
		return "", asleep(s.ID)
	}
	return m.mount(ctx, s.ESP.Place, "esp", "vfat", false, ESPOptions)
}

// ESPOptions are those that an EFI system partition is mounted with: its files are
// nobody's business but root's, and their names are ASCII.
const ESPOptions = "umask=077,iocharset=ascii"

// Part mounts a part of a disk for writing that the inventory need not have found, as
// after a repair of the table, and returns where. done unmounts it.
func (m *Machine) Part(ctx context.Context, p inventory.Place, name, kind, options string) (dir string, done func() error, err error) {
	if dir, err = m.mount(ctx, p, name, kind, false, options); err != nil {
		return "", nil, err
	}
	n := len(m.undo) - 1
	unmount := m.undo[n]
	return dir, func() error {
		err := unmount()
		if err == nil && len(m.undo) == n+1 {
			m.undo = m.undo[:n]
		}
		return err
	}, nil
}

// FileSystem mounts a file system that is no system, such as that of a backup, until the
// machine is closed, and returns where. Its type is what the inventory has found there.
// name is that of the directory. Of a disk with a session that sleeps nothing is written.
func (m *Machine) FileSystem(ctx context.Context, p inventory.Place, name string, readOnly bool) (dir string, err error) {
	for _, v := range m.volumes() {
		if v.Disk != p.Disk || v.Number != p.Number || v.Start != p.Start {
			continue
		}
		for _, c := range v.contents {
			if _, known := kinds[c.Type]; !known {
				continue
			}
			if !readOnly && (c.Hibernated || m.Sleeps(v.Disk)) {
				return "", asleep(p.String())
			}
			options := ""
			if readOnly {
				options = mounted.Untouched(c.Type)
			}
			return m.mount(ctx, v.Place, name, c.Type, readOnly, options)
		}
	}
	return "", fault.New(fault.Target, "mkimage-rescue inventory says what is on it", "%s: has no file system that can be mounted", p)
}

// kinds are the types of file systems that a backup may be on.
var kinds = map[string]struct{}{"btrfs": {}, "ext4": {}, "xfs": {}, "vfat": {}, "exfat": {}, "ntfs3": {}}
