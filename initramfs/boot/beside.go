package boot

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/installer/beside"
)

// topDir is where the top level of the root file system is mounted while names
// are switched.
const topDir = layerDir + "/top"

// system makes the system that the command line names the one of the layout's
// names: an installation has put it beside the old one, or the old one is asked
// for again.
func (m *machine) system() error {
	if m.cmd.Switch == "" && m.cmd.Back == "" {
		return nil
	}
	names, err := topLevel(m.root.Path())
	if err != nil {
		return fmt.Errorf("%s: %w", m.root.Path(), err)
	}
	if id := m.cmd.Back; id != "" {
		return m.goBack(names, id)
	}
	id := m.cmd.Switch
	pending := beside.Pending(names, id)
	if len(pending) == 0 {
		return nil // it was switched to before
	}
	if err := m.needed(); err != nil {
		return err
	}
	if err := switchNames(m.root.Path(), names, id); err != nil {
		return fault.New(fault.ClassOf(err), "the entry of the system before boots that one", "switch to the system %s: %w", id, err)
	}
	m.log.printf(levelInfo, "system %s takes the place of the one before: %s", id, strings.Join(pending, " "))
	return nil
}

// topLevel returns what is in the top level of a btrfs that is not mounted.
func topLevel(device string) (names []string, err error) {
	err = reader.Retry(func() (*reader.FS, error) {
		d, err := rawdisk.Open(device, os.O_RDONLY)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		f, err := reader.Open(d, d.Size())
		if err != nil {
			return nil, err
		}
		top, err := f.Subvolume("")
		if err != nil {
			return f, err
		}
		entries, err := top.ReadDir(".")
		names = nil
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return f, err
	})
	return names, err
}

// switchNames renames subvolumes in the top level, and waits until that is on
// the disk.
func switchNames(device string, names []string, id string) (err error) {
	if err := os.MkdirAll(topDir, 0o700); err != nil {
		return err
	}
	if err := unix.Mount(device, topDir, "btrfs", unix.MS_NOATIME, "subvolid=5"); err != nil {
		return withKernelReason(fmt.Errorf("mount: %w", err))
	}
	defer func() { err = errors.Join(err, unix.Unmount(topDir, 0)) }()
	dir, err := os.Open(topDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := beside.Switch(beside.Mounted(topDir), names, id); err != nil {
		return err
	}
	return unix.Syncfs(int(dir.Fd()))
}

// goBack has this boot use the subvolumes that the system before had.
func (m *machine) goBack(names []string, id string) error {
	if !slices.Contains(beside.IDs(names), id) {
		return fault.New(fault.Input, "boot the default entry", "%s=%s: nothing is left of the system before", beside.BackWord, id)
	}
	m.config.Mounts = slices.Clone(m.config.Mounts)
	for i := range m.config.Mounts {
		mount := &m.config.Mounts[i]
		mount.Subvolume = beside.Before(names, mount.Subvolume, id)
	}
	if m.cmd.Subvolume == "" && len(m.config.Mounts) > 0 {
		m.cmd.Subvolume = m.config.Mounts[0].Subvolume // before what rootflags= says
	}
	m.log.printf(levelWarning, "this is the system before %s", id)
	return nil
}

// needed waits for the modules without which nothing can be mounted.
func (m *machine) needed() error {
	for _, name := range m.config.Needs() {
		if err := m.loader.wait(name); err != nil {
			return fault.New(fault.Input, "the module must fit the kernel that runs: was one updated without the other?", "module %s: %w", name, err)
		}
	}
	return nil
}
