package disks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
)

// Scanner finds disks. Its zero value looks at the machine that it runs on; the
// directories are others where a recorded machine is looked at.
type Scanner struct {
	Sys  string // "" is /sys
	Proc string // "" is /proc
	Dev  string // "" is /dev
	Udev string // "" is /run/udev/data, which not every machine has
	// Loop lists loop devices too, which are no disks of a machine.
	Loop bool
	// Open opens a node or an image for reading; nil is rawdisk.Open.
	Open func(name string) (Node, error)
}

// Node is an open disk or image.
type Node interface {
	io.ReaderAt
	io.Closer
	Size() int64 // bytes
}

// withDefaults returns the scanner with all its fields set.
func (s Scanner) withDefaults() *Scanner {
	s.Sys, s.Proc, s.Dev = cmp.Or(s.Sys, "/sys"), cmp.Or(s.Proc, "/proc"), cmp.Or(s.Dev, "/dev")
	s.Udev = cmp.Or(s.Udev, "/run/udev/data")
	if real, err := filepath.EvalSymlinks(s.Sys); err == nil {
		s.Sys = real // so that the ways to devices, which have no symlinks, begin with it
	}
	if s.Open == nil {
		s.Open = func(name string) (Node, error) { return rawdisk.Open(name, os.O_RDONLY) }
	}
	return &s
}

// Scan describes the disks of the machine in their natural order (nvme2n1
// before nvme10n1). Devices without a medium, in memory, made of other devices,
// or without a node are no disks. What cannot be read of one is its Problem;
// the error is for what is wrong with the machine as a whole. Open is called
// from several goroutines.
func (s Scanner) Scan(ctx context.Context) ([]Disk, error) {
	o := s.withDefaults()
	entries, err := os.ReadDir(filepath.Join(o.Sys, "block"))
	if err != nil {
		return nil, fmt.Errorf("list of disks: %w", err)
	}
	users, err := o.users()
	if err != nil {
		return nil, err
	}
	var found []*device
	for _, e := range entries {
		b, err := o.device(e.Name())
		if err != nil {
			// It was pulled out meanwhile, unless it is there still.
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
				continue
			}
			return nil, err
		}
		if o.isDisk(b) {
			found = append(found, b)
		}
	}
	slices.SortFunc(found, func(a, b *device) int { return compareNatural(a.name, b.name) })
	return o.describeAll(ctx, found, users)
}

// describeAll describes disks at the same time: one that answers late does not
// hold up the others. A panic is the caller's, as if there was one goroutine.
func (s *Scanner) describeAll(ctx context.Context, found []*device, users *users) ([]Disk, error) {
	disks := make([]Disk, len(found))
	panics := make([]any, len(found))
	var all sync.WaitGroup
	for i, b := range found {
		all.Go(func() {
			defer func() { panics[i] = recover() }()
			disks[i] = s.describe(ctx, b, users)
		})
	}
	all.Wait()
	for _, p := range panics {
		if p != nil {
			panic(p)
		}
	}
	return disks, ctx.Err()
}

// One describes a disk by the path of its node, or an image in a file. The error
// has class fault.Target where path leads to something else.
func (s Scanner) One(ctx context.Context, path string) (Disk, error) {
	o := s.withDefaults()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return Disk{}, fault.New(fault.Target, "", "%w", &fs.PathError{Op: "stat", Path: path, Err: err})
	}
	users, err := o.users()
	if err != nil {
		return Disk{}, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return o.image(ctx, path, users)
	case unix.S_IFBLK:
	default:
		return Disk{}, fault.New(fault.Target, "", "%s: is neither a disk nor an image", path)
	}
	dir, err := o.byNumber(st.Rdev)
	if err != nil {
		return Disk{}, fault.New(fault.Target, "", "%s: %w", path, err)
	}
	if exists(filepath.Join(dir, "partition")) {
		return Disk{}, fault.New(fault.Target, "name the disk that it is on: /dev/"+filepath.Base(filepath.Dir(dir)),
			"%s: is a partition, expected a whole disk", path)
	}
	b, err := o.device(filepath.Base(dir))
	if err != nil {
		return Disk{}, fault.New(fault.Target, "", "%s: %w", path, err)
	}
	return o.describe(ctx, b, users), ctx.Err()
}

// byNumber returns the directory of sysfs of the device of a number.
func (s *Scanner) byNumber(rdev uint64) (string, error) {
	number := fmt.Sprintf("%d:%d", unix.Major(rdev), unix.Minor(rdev))
	dir, err := filepath.EvalSymlinks(filepath.Join(s.Sys, "dev/block", number))
	if err != nil {
		return "", fmt.Errorf("the kernel has no block device %s", number)
	}
	return dir, nil
}

// image describes an image in a file.
func (s *Scanner) image(ctx context.Context, path string, users *users) (Disk, error) {
	d := Disk{Name: filepath.Base(path), Path: path, Bus: "file", SectorSize: 512}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		if abs, err := filepath.Abs(real); err == nil {
			for _, loop := range users.loops[abs] {
				d.Uses = append(d.Uses, Use{d.Name, "holder", loop})
			}
		}
	}
	n, err := s.Open(path)
	if err != nil {
		return Disk{}, fault.New(fault.Target, "", "%w", err)
	}
	d.Size = n.Size()
	d.inspect(ctx, n, nil)
	return d, errors.Join(n.Close(), ctx.Err())
}

// describe describes a disk of the machine with what is on it.
func (s *Scanner) describe(ctx context.Context, b *device, users *users) Disk {
	d := b.disk(s)
	d.Uses = users.of(b)
	if d.Size == 0 {
		return d
	}
	n, err := s.Open(d.Path)
	if err != nil {
		d.Problem = err.Error()
		d.addKernelPartitions(b.partitions)
		return d
	}
	d.inspect(ctx, n, b.partitions)
	if err := n.Close(); err != nil && d.Problem == "" {
		d.Problem = err.Error()
	}
	return d
}

// notDisks are names of devices that are no disks of a machine: in memory, made
// of other devices, drives without a medium most of the time, and the small
// hardware partitions of an eMMC that its firmware boots from.
var notDisks = regexp.MustCompile(`^(ram|zram|dm-|md|fd|bcache|drbd|mtdblock)[0-9]+|^md_|^mmcblk[0-9]+boot[0-9]+$`)

// isDisk reports whether a device is one that a scan lists.
func (s *Scanner) isDisk(b *device) bool {
	switch {
	case b.size == 0: // a card reader without a card, a loop device without a file
		return false
	case b.hidden: // one path of several to an NVMe name space: it has no node
		return false
	case loopName.MatchString(b.name):
		return s.Loop
	}
	return !notDisks.MatchString(b.name)
}

var loopName = regexp.MustCompile(`^loop[0-9]+$`)

// runs finds the numbers in a name.
var runs = regexp.MustCompile(`[0-9]+|[^0-9]+`)

// compareNatural compares names with the numbers in them as numbers.
func compareNatural(a, b string) int {
	x, y := runs.FindAllString(a, -1), runs.FindAllString(b, -1)
	for i := range min(len(x), len(y)) {
		m, errM := strconv.ParseUint(x[i], 10, 64)
		n, errN := strconv.ParseUint(y[i], 10, 64)
		c := cmp.Compare(x[i], y[i])
		if errM == nil && errN == nil {
			c = cmp.Compare(m, n)
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(a, b))
}
