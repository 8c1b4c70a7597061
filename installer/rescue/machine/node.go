package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
)

// volume is a partition, or a disk without any, with the names that a table of file
// systems may call it by.
type volume struct {
	inventory.Place
	contents []disks.Content
}

// volumes returns all of them.
func (m *Machine) volumes() (list []volume) {
	for _, d := range m.Inventory.Disks {
		list = append(list, volume{inventory.Place{Disk: d.Path, Node: nodeOf(d), Size: d.Size}, d.Contents})
		for _, p := range d.Partitions {
			at := inventory.Place{Disk: d.Path, Number: p.Number, Start: p.Start, Size: p.Size, PARTUUID: p.GUID, PARTLABEL: p.Label}
			if p.Name != "" {
				at.Node = filepath.Join(filepath.Dir(d.Path), p.Name)
			}
			list = append(list, volume{at, p.Contents})
		}
	}
	return list
}

// nodeOf returns the node of a disk, "" of an image.
func nodeOf(d disks.Disk) string {
	if d.Number == "" {
		return ""
	}
	return d.Path
}

// is reports whether the volume has a name.
func (v volume) is(tag fstab.Tag, value string) bool {
	switch tag {
	case fstab.PARTUUID:
		return v.PARTUUID != "" && strings.EqualFold(v.PARTUUID, value)
	case fstab.PARTLABEL:
		return v.PARTLABEL != "" && v.PARTLABEL == value
	}
	return slices.ContainsFunc(v.contents, func(c disks.Content) bool {
		if tag == fstab.UUID {
			return c.UUID != "" && strings.EqualFold(c.UUID, value)
		}
		return tag == fstab.Label && c.Label != "" && c.Label == value
	})
}

// Find returns where the file system is that a table of file systems calls by a name,
// such as "LABEL=backup" or "/dev/sda1". Where several disks have it, that of the disk
// near is meant; without one of these, none. The error has class fault.Target.
func (m *Machine) Find(what, near string) (inventory.Place, error) {
	tag, value, named := fstab.ParseDevice(what)
	var found []inventory.Place
	for _, v := range m.volumes() {
		if named && v.is(tag, value) || !named && (v.Node == what || v.Place.String() == what) {
			found = append(found, v.Place)
		}
	}
	if len(found) > 1 {
		if here := slices.DeleteFunc(slices.Clone(found), func(p inventory.Place) bool { return p.Disk != near }); len(here) == 1 {
			return here[0], nil
		}
	}
	switch len(found) {
	case 0:
		return inventory.Place{}, fault.New(fault.Target, "plug in its disk, and look with mkimage-rescue inventory", "%s: no disk of this machine has it", what)
	case 1:
		return found[0], nil
	}
	var names []string
	for _, p := range found {
		names = append(names, p.String())
	}
	return inventory.Place{}, fault.New(fault.Target, "unplug the disk that is not meant", "%s: several have this name: %s", what, strings.Join(names, ", "))
}

// node returns a device of a place: the kernel's own, or a loop device. It lasts until
// the machine is closed.
func (m *Machine) node(p inventory.Place, write bool) (string, error) {
	if p.Node != "" {
		return p.Node, nil
	}
	for _, l := range m.loops {
		if l.Place == p && (l.write || !write) {
			return l.device.Name(), nil
		}
	}
	device, err := attach(p, write)
	if err != nil {
		return "", fault.New(fault.Target, "", "%s: %w", p, err)
	}
	m.loops = append(m.loops, loop{p, write, device})
	return device.Name(), nil
}

// loop is a loop device that shows a place.
type loop struct {
	inventory.Place
	write  bool
	device *os.File
}

// attach makes a place of a disk or an image a device, which goes away by itself once it
// is closed and nothing has it mounted.
func attach(p inventory.Place, write bool) (*os.File, error) {
	flag, flags := os.O_RDONLY, uint32(unix.LO_FLAGS_AUTOCLEAR|unix.LO_FLAGS_READ_ONLY)
	if write {
		flag, flags = os.O_RDWR, unix.LO_FLAGS_AUTOCLEAR
	}
	backing, err := os.OpenFile(p.Disk, flag, 0)
	if err != nil {
		return nil, err
	}
	defer backing.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	config := unix.LoopConfig{Fd: uint32(backing.Fd())}
	config.Info.Flags, config.Info.Offset, config.Info.Sizelimit = flags, uint64(p.Start), uint64(p.Size)
	for range attempts {
		device, err := configure(int(control.Fd()), flag, &config)
		if !errors.Is(err, unix.EBUSY) {
			return device, err
		}
	}
	return nil, errors.New("loop devices: others take each that is free")
}

// attempts is how often a loop device that was free may be taken by somebody else.
const attempts = 50

func configure(control, flag int, config *unix.LoopConfig) (*os.File, error) {
	n, err := unix.IoctlRetInt(control, unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return nil, fmt.Errorf("no free loop device: %w", err)
	}
	device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), flag, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlLoopConfigure(int(device.Fd()), config); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", device.Name(), err), device.Close())
	}
	return device, nil
}

// mount mounts the file system at a place below the machine's directory, until the
// machine is closed.
func (m *Machine) mount(ctx context.Context, p inventory.Place, name, kind string, readOnly bool, options string) (string, error) {
	if err := m.pinned(p.Disk); err != nil {
		return "", err
	}
	node, err := m.node(p, !readOnly)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(m.options.Dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	if err := errors.Join(ctx.Err(), unix.Mount(node, dir, kind, flags, options)); err != nil {
		return "", errors.Join(fault.New(fault.Target, "", "%s: mount %s: %w", p, kind, err), os.Remove(dir))
	}
	m.undo = append(m.undo, func() error { return unmount(dir, readOnly) })
	return dir, nil
}

// unmount unmounts a directory once what was written is on the disk.
func unmount(dir string, readOnly bool) error {
	if !readOnly {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(unix.Syncfs(int(f.Fd())), f.Close()); err != nil {
			return fmt.Errorf("%s: sync: %w", dir, err)
		}
	}
	if err := unix.Unmount(dir, 0); err != nil {
		return fmt.Errorf("%s: unmount: %w", dir, err)
	}
	return os.Remove(dir)
}
