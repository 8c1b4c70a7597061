package imaging

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/mountinfo"
)

// kernel is where a kernel tells of devices and mounts.
type kernel struct {
	sys     string                                // directory of sysfs
	mountOf func(path string) mount               // of the file system that a path is in; what cannot be told is zero
	number  func(path string) (_ string, ok bool) // MAJOR:MINOR of the node of a block device
}

// mount is what is known of a mounted file system.
type mount struct {
	number string // MAJOR:MINOR, as in st_dev
	source string // what it is mounted from
}

var thisKernel = kernel{sys: "/sys", mountOf: mountOf, number: nodeNumber}

// mountOf finds the mount of a path by its number (STATX_MNT_ID of statx(2)).
func mountOf(path string) mount {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &st); err != nil {
		return mount{}
	}
	mounts, err := mountinfo.Self()
	if err != nil {
		return mount{}
	}
	for _, m := range mounts {
		if m.ID == strconv.FormatUint(st.Mnt_id, 10) {
			return mount{m.Number, m.Source}
		}
	}
	return mount{}
}

func nodeNumber(path string) (string, bool) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return "", false
	}
	return deviceNumber(st.Rdev), true
}

// directory is that of a device in sysfs, "" of one that it does not have.
func (k kernel) directory(number string) string {
	dir, err := filepath.EvalSymlinks(filepath.Join(k.sys, "dev/block", number))
	if err != nil {
		return ""
	}
	return dir
}

// stack is a set of devices, as directories of sysfs: some, and all that they are
// made of. A partition is made of its disk, LUKS, LVM and arrays of their slaves
// (Documentation/ABI/testing/sysfs-block of Linux), and a loop device of the devices
// of its file.
type stack struct {
	kernel
	devices map[string]bool
	files   bool // loop devices are looked through
}

func (k kernel) stack(files bool) *stack {
	return &stack{kernel: k, devices: map[string]bool{}, files: files}
}

// add adds a device with all below it.
func (s *stack) add(dir string) {
	if dir == "" || s.devices[dir] {
		return
	}
	s.devices[dir] = true
	if _, err := os.Lstat(filepath.Join(dir, "partition")); err == nil {
		s.add(filepath.Dir(dir))
	}
	s.addEntries(filepath.Join(dir, "slaves"))
	if backing, err := os.ReadFile(filepath.Join(dir, "loop/backing_file")); err == nil && s.files {
		name := strings.TrimSuffix(string(backing), "\n")
		if number, ok := s.number(name); ok {
			s.add(s.directory(number))
		} else {
			s.addFile(name)
		}
	}
}

// addEntries adds the devices that the symlinks of a directory lead to.
func (s *stack) addEntries(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if real, err := filepath.EvalSymlinks(filepath.Join(dir, e.Name())); err == nil {
			s.add(real)
		}
	}
}

// addFile adds the devices of the file system that a path is in. One in memory, or
// of the network, has none.
func (s *stack) addFile(path string) {
	m := s.mountOf(path)
	s.add(s.directory(m.number))                        // the kernel's word; of btrfs, and of some others, the number is of no device
	for _, name := range strings.Split(m.source, ":") { // bcachefs names all of its devices
		if number, ok := s.number(name); ok {
			s.add(s.directory(number))
		}
	}
	s.addBtrfs()
}

// addBtrfs adds the other devices of each btrfs that has one of them: a mount names
// one alone.
func (s *stack) addBtrfs() {
	all, _ := filepath.Glob(filepath.Join(s.sys, "fs/btrfs/*/devices/*"))
	for _, entry := range all {
		if real, err := filepath.EvalSymlinks(entry); err == nil && s.devices[real] {
			s.addEntries(filepath.Dir(entry))
		}
	}
}

// meets reports whether two stacks have a device in common.
func (s *stack) meets(other *stack) bool {
	for dir := range s.devices {
		if other.devices[dir] {
			return true
		}
	}
	return false
}

// below is the stack of what is read, without what is below the file of a loop
// device: that is an image of a disk, and no disk that fails.
func (d *Disk) below() *stack {
	s := d.kernel.stack(false)
	if d.device != 0 {
		s.add(d.kernel.directory(deviceNumber(d.device)))
	}
	return s
}

// on reports whether a disk is what is read, or has a device in common with it.
func (d *Disk) on(number string) bool {
	s := d.kernel.stack(true)
	s.add(d.kernel.directory(number))
	return s.meets(d.below())
}

// elsewhere is an error where a directory or a file is on the disk that is read: what
// is written there may be over what is to be saved.
func (d *Disk) elsewhere(path string) error {
	if _, err := os.Stat(path); err != nil {
		return fault.New(fault.Target, "name a directory that is there", "%w", err)
	}
	s := d.kernel.stack(true)
	s.addFile(path)
	if s.meets(d.below()) {
		return fault.New(fault.Target, "mount another disk, and name a directory on that", "%s: is on the disk that is to be saved", path)
	}
	return nil
}
