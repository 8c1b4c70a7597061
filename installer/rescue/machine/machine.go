// Package machine is the machine that a rescue works on: what the inventory has found,
// which of it a person means, and how that is mounted.
//
// What is meant is never guessed: where two systems, or two backups, are equally good,
// the error names both. Before anything is mounted for writing the disk must be the one
// that the inventory has seen. Images of disks are mounted through loop devices, so that
// each command can be tried on a copy first.
package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
)

// Options say where to look.
type Options struct {
	Scanner disks.Scanner
	Images  []string   // disks and images in the place of the machine's
	Plan    *plan.Plan // of the host, nil where nobody has said; see inventory.Options
	Dir     string     // where it is mounted, an existing directory that nobody else uses
}

// Machine is what there is. It is not for concurrent use.
type Machine struct {
	Inventory *inventory.Inventory
	Plan      *plan.Plan // of the host; nil where nobody has said

	options Options
	loops   []loop
	undo    []func() error // of what is mounted, the last one first
}

// Look takes the inventory. The caller closes the machine.
func Look(ctx context.Context, o Options) (*Machine, error) {
	inv, err := inventory.Take(ctx, inventory.Options{Scanner: o.Scanner, Images: o.Images, Plan: o.Plan})
	if err != nil {
		return nil, err
	}
	m := &Machine{Inventory: inv, Plan: o.Plan, options: o}
	for i, s := range inv.Systems {
		inv.Systems[i].Hibernated = s.Hibernated || m.Sleeps(s.Root.Disk)
	}
	return m, nil
}

// Sleeps reports whether a session sleeps on a disk, be it in a swapfile or in a swap
// partition. It may have mounted anything there, and goes on with what it knows of it.
func (m *Machine) Sleeps(disk string) bool {
	return slices.ContainsFunc(m.Inventory.Sessions, func(s inventory.Session) bool { return s.Disk == disk }) ||
		slices.ContainsFunc(m.Inventory.Systems, func(s inventory.System) bool { return s.Hibernated && s.Root.Disk == disk })
}

// Again unmounts what was mounted, and takes the inventory anew: after a disk was written.
func (m *Machine) Again(ctx context.Context) error {
	if err := m.Close(); err != nil {
		return err
	}
	again, err := Look(ctx, m.options)
	if err == nil {
		m.Inventory = again.Inventory
	}
	return err
}

// Close unmounts what was mounted. Where something is in use, the error says what, and
// Close can be called again.
func (m *Machine) Close() error {
	for n := len(m.undo); n > 0; n = len(m.undo) {
		if err := m.undo[n-1](); err != nil {
			return err
		}
		m.undo = m.undo[:n-1]
	}
	var errs []error
	for _, l := range m.loops {
		errs = append(errs, l.device.Close()) // it goes away by itself
	}
	m.loops = nil
	return errors.Join(errs...)
}

// System returns the system of an ID, or for "" the host's, or else the only one. Errors
// have class fault.Target, and fault.Usage where there are several.
func (m *Machine) System(id string) (*inventory.System, error) {
	list := m.Inventory.Systems
	if id == "" {
		id = m.Inventory.Mine
	}
	if id != "" {
		i := slices.IndexFunc(list, func(s inventory.System) bool { return s.ID == id || s.Root.Disk == id && m.alone(s) })
		if i < 0 {
			return nil, fault.New(fault.Target, m.hintSystems(), "system %s: there is none on it", id)
		}
		return &list[i], nil
	}
	switch len(list) {
	case 0:
		return nil, fault.New(fault.Target, "mkimage-rescue inventory says what is there, and mkimage-rescue boot finds a table that was lost", "no system is on the disks of this machine")
	case 1:
		return &list[0], nil
	}
	return nil, fault.New(fault.Usage, m.hintSystems(), "several systems are there, and none is known to be the one that is meant")
}

// alone reports whether a system is the only one of its disk.
func (m *Machine) alone(s inventory.System) bool {
	for _, other := range m.Inventory.Systems {
		if other.ID != s.ID && other.Root.Disk == s.Root.Disk {
			return false
		}
	}
	return true
}

func (m *Machine) hintSystems() string {
	var names []string
	for _, s := range m.Inventory.Systems {
		names = append(names, fmt.Sprintf("--system %s (%s)", s.ID, describe(s)))
	}
	if names == nil {
		return "mkimage-rescue inventory says what is there"
	}
	return strings.Join(names, ", or ")
}

// describe names a system for people.
func describe(s inventory.System) string {
	words := []string{s.Release}
	if s.Hostname != "" {
		words = append(words, "of "+s.Hostname)
	}
	if text := strings.TrimSpace(strings.Join(words, " ")); text != "" {
		return text
	}
	return "without a name"
}

// Disk returns a disk by its path.
func (m *Machine) Disk(path string) (*disks.Disk, error) {
	i := slices.IndexFunc(m.Inventory.Disks, func(d disks.Disk) bool { return d.Path == path })
	if i < 0 {
		return nil, fault.New(fault.Target, "mkimage-rescue inventory names the disks", "%s: is no disk of this machine", path)
	}
	return &m.Inventory.Disks[i], nil
}

// Open opens a disk for reading and writing, or for reading alone, and compares it with
// the one that the inventory has seen: names move, and disks are pulled.
func (m *Machine) Open(path string, flag int) (*rawdisk.Disk, error) {
	d, err := m.Disk(path)
	if err != nil {
		return nil, err
	}
	disk, err := rawdisk.Open(path, flag)
	if err != nil {
		return nil, fault.New(fault.Target, "", "%w", err)
	}
	if err := m.options.Scanner.Check(disks.PinOf(*d), disk); err != nil {
		return nil, errors.Join(err, disk.Close())
	}
	return disk, nil
}

// OpenPlace opens a part of a disk for reading, past the page cache. done closes it.
func (m *Machine) OpenPlace(p inventory.Place) (part Part, done func() error, err error) {
	disk, err := m.Open(p.Disk, os.O_RDONLY)
	if err != nil {
		return nil, nil, err
	}
	return io.NewSectionReader(disk, p.Start, p.Size), disk.Close, nil
}

// Part is a part of a disk.
type Part interface {
	io.ReaderAt
	Size() int64 // bytes
}

// pinned reports whether a disk is still the one that the inventory has seen.
func (m *Machine) pinned(path string) error {
	disk, err := m.Open(path, os.O_RDONLY)
	if err != nil {
		return err
	}
	return disk.Close()
}
