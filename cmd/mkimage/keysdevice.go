package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
)

// edge is how many bytes at the beginning and at the end of a disk say what is
// on it: partition tables, and the first superblocks and labels of file
// systems, LUKS, LVM, RAID and ZFS are all there.
const edge = 1 << 20

// chunk is how many bytes are written or read at once.
const chunk = 1 << 20

// mediumDevice is a whole disk that nobody else uses while it is open.
type mediumDevice struct {
	*os.File
	size   int64 // bytes
	sector int64 // bytes
}

// openDevice opens a disk to be written. It must be a whole one, unused, and
// empty unless erase names it.
func openDevice(name, erase string) (_ mediumTarget, err error) {
	// The kernel gives O_EXCL of a disk to one alone: not while it, or a
	// partition of it, is mounted, swapped to or a part of another device.
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_EXCL|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, fault.New(fault.Target, "umount it; lsblk "+shellWord(name)+" shows who uses it", "%s: is in use", name)
	case errors.Is(err, fs.ErrPermission):
		return nil, fault.New(fault.Target, "sudo mkimage keys medium "+shellWord(name)+" ...", "%w", err)
	case err != nil:
		return nil, fault.New(fault.Target, "", "%w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	d := &mediumDevice{File: f}
	rdev, err := d.measure()
	if err != nil {
		return nil, fault.New(fault.Target, "", "%s: %w", name, err)
	}
	about, err := lookUp("/sys", "/run/udev/data", rdev)
	if err != nil {
		return nil, fault.New(fault.Target, "", "%s: %w", name, err)
	}
	return d, d.allow(about, name, erase)
}

// measure finds the sizes of the device, and returns its number.
func (d *mediumDevice) measure() (rdev uint64, err error) {
	fd := int(d.Fd())
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, errors.New("is not a disk")
	}
	sector, err := unix.IoctlGetUint32(fd, unix.BLKSSZGET)
	if err != nil {
		return 0, fmt.Errorf("size of a sector: %w", err)
	}
	if d.sector = int64(sector); d.sector != 512 && d.sector != 4096 {
		return 0, fmt.Errorf("sectors of %d bytes, expected 512 or 4096", sector)
	}
	d.size, err = d.Seek(0, io.SeekEnd)
	return st.Rdev, err
}

// diskAbout is what the kernel and udev know of a device.
type diskAbout struct {
	name   string // of the kernel, such as sdb
	part   bool   // it is a partition
	model  string
	serial string // "" when it has none
}

// lookUp finds out about a block device by its number, in a sysfs and in the
// database of udev.
func lookUp(sys, udev string, rdev uint64) (diskAbout, error) {
	number := fmt.Sprintf("%d:%d", unix.Major(rdev), unix.Minor(rdev))
	dir, err := filepath.EvalSymlinks(filepath.Join(sys, "dev/block", number))
	if err != nil {
		return diskAbout{}, fmt.Errorf("the kernel has no block device %s", number)
	}
	a := diskAbout{name: filepath.Base(dir), model: firstLine(filepath.Join(dir, "device/model"))}
	_, err = os.Stat(filepath.Join(dir, "partition"))
	a.part = err == nil
	data, _ := os.ReadFile(filepath.Join(udev, "b"+number)) // not everywhere is an udev
	for line := range strings.Lines(string(data)) {
		if serial, ok := strings.CutPrefix(strings.TrimSpace(line), "E:ID_SERIAL_SHORT="); ok {
			a.serial = serial
		}
	}
	for _, file := range []string{"device/serial", "serial"} {
		if a.serial == "" {
			a.serial = firstLine(filepath.Join(dir, file))
		}
	}
	return a, nil
}

// firstLine returns the text in a file of sysfs, "" when there is none.
func firstLine(name string) string {
	data, _ := os.ReadFile(name)
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}

// allow refuses a partition, and a disk that is not empty and that erase does
// not name.
func (d *mediumDevice) allow(a diskAbout, name, erase string) error {
	if a.part {
		return fault.New(fault.Target, "name the disk that it is on", "%s: is a partition, expected a whole disk", name)
	}
	word := a.serial
	if word == "" {
		word = a.name
	}
	if erase != "" && erase != word {
		return fault.New(fault.Target, "", "%s: --erase says %q, but this disk is %s", name, erase, a)
	}
	what, err := d.content()
	if err != nil {
		return fault.New(fault.Target, "", "%s: %w", name, err)
	}
	if what != "" && erase == "" {
		return fault.New(fault.Target, "--erase "+shellWord(word)+" erases all that is on it", "%s: is not empty: %s; it is %s", name, what, a)
	}
	return nil
}

// String names a disk for people.
func (a diskAbout) String() string {
	text := a.name
	if a.model != "" {
		text += ", " + printable(a.model)
	}
	if a.serial == "" {
		return text + ", without a serial number"
	}
	return text + ", serial number " + printable(a.serial)
}

// content says what is on a disk, "" when its edges are empty.
func (d *mediumDevice) content() (string, error) {
	buf := make([]byte, edge)
	for _, from := range []int64{0, max(0, d.size-edge)} {
		n, err := d.ReadAt(buf, from)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		if len(bytes.Trim(buf[:n], "\x00")) == 0 {
			continue
		}
		table, _, err := gpt.Read(d, d.size)
		if err != nil {
			return "there is data on it", nil
		}
		var labels []string
		for _, p := range table.Partitions {
			labels = append(labels, fmt.Sprintf("%q", p.Label))
		}
		return fmt.Sprintf("it has %d partitions %s", len(labels), strings.Join(labels, " ")), nil
	}
	return "", nil
}

func (d *mediumDevice) discard() { _ = d.Close() }

// write empties the edges of the disk first, then the partition: a power cut
// leaves an empty disk, the old table, or the medium.
func (d *mediumDevice) write(ctx context.Context, m *medium) (int64, error) {
	table, params, tree, err := m.plan(d.size/d.sector*d.sector, d.sector)
	if err != nil {
		return 0, err
	}
	end := params.Start + table.Partitions[0].Size
	for _, part := range [][2]int64{{0, min(end+edge, d.size)}, {max(0, d.size-edge), d.size}} {
		if err := d.zero(ctx, part[0], part[1]); err != nil {
			return 0, err
		}
	}
	if err := d.Sync(); err != nil {
		return 0, err
	}
	if _, err := esp.Write(ctx, io.NewOffsetWriter(d, params.Start), tree, params); err != nil {
		return 0, err
	}
	if err := d.Sync(); err != nil {
		return 0, err
	}
	if err := gpt.Write(d, table); err != nil {
		return 0, err
	}
	if err := d.readBack(m); err != nil {
		return 0, err
	}
	// So that the kernel sees the partition at once. If it will not, it does when
	// the stick is put in again.
	_ = unix.IoctlSetInt(int(d.Fd()), unix.BLKRRPART, 0)
	return d.size, nil
}

// zero writes zeros from a byte up to another.
func (d *mediumDevice) zero(ctx context.Context, from, to int64) error {
	zeros := make([]byte, chunk)
	for at := from; at < to; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := d.WriteAt(zeros[:min(chunk, to-at)], at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}

// readBack reads the medium past the cache of the kernel, see package rawdisk.
func (d *mediumDevice) readBack(m *medium) error {
	disk, err := rawdisk.Open(fmt.Sprintf("/proc/self/fd/%d", d.Fd()), os.O_RDONLY)
	if err != nil {
		return err
	}
	return errors.Join(m.readBack(disk, d.size), disk.Close())
}
