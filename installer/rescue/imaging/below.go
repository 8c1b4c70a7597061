package imaging

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/mountinfo"
)

// kernel is where a kernel tells of devices and mounts.
type kernel struct {
	sys     string                                // directory of sysfs
	mountOf func(path string) (mount, error)      // of the file system that a path is in
	number  func(path string) (_ string, ok bool) // MAJOR:MINOR of the node of a block device
}

// mount is what is known of a mounted file system.
type mount struct {
	number string // MAJOR:MINOR, as in st_dev
	source string // what it is mounted from; "" where that cannot be told, and so is kind
	kind   string // type of the file system
}

var thisKernel = kernel{sys: "/sys", mountOf: mountOf, number: nodeNumber}

// mountOf finds the mount of a path.
func mountOf(path string) (mount, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &st); err != nil {
		return mount{}, fmt.Errorf("%s: %w", path, err)
	}
	mounts, err := mountinfo.Self()
	if err != nil {
		return mount{}, err
	}
	return mountIn(mounts, st), nil
}

// mountIn finds a mount by its number (STATX_MNT_ID of statx(2), of Linux 5.8), else by
// that of its device.
func mountIn(mounts []mountinfo.Mount, st unix.Statx_t) mount {
	device := fmt.Sprintf("%d:%d", st.Dev_major, st.Dev_minor)
	is := func(m mountinfo.Mount) bool { return m.Number == device }
	if st.Mask&unix.STATX_MNT_ID != 0 {
		is = func(m mountinfo.Mount) bool { return m.ID == strconv.FormatUint(st.Mnt_id, 10) }
	}
	if i := slices.IndexFunc(mounts, is); i >= 0 {
		return mount{mounts[i].Number, mounts[i].Source, mounts[i].Type}
	}
	return mount{number: device}
}

// onNoDisk are the types of file systems that are on no disk of this machine: in memory,
// or of another machine.
var onNoDisk = []string{"tmpfs", "ramfs", "devtmpfs", "nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "afs", "vboxsf", "fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.glusterfs"}

func nodeNumber(path string) (string, bool) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return "", false
	}
	return deviceNumber(st.Rdev), true
}

// directory is that of a device in sysfs, "" of one that it does not have.
func (k kernel) directory(number string) string {
	if number == "" {
		return ""
	}
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
	files   bool    // loop devices are looked through
	untold  []error // of what it cannot be told which devices it has
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
// of the network, has none; of another one without a device it cannot be told.
func (s *stack) addFile(path string) {
	m, err := s.mountOf(path)
	if err != nil {
		s.untold = append(s.untold, err)
		return
	}
	// The kernel's word: of btrfs, and of some others, the number is of no device.
	found := []string{s.directory(m.number)}
	for _, name := range strings.Split(m.source, ":") { // bcachefs names all of its devices
		if number, ok := s.number(name); ok {
			found = append(found, s.directory(number))
		}
	}
	for _, dir := range found {
		s.add(dir)
	}
	if strings.Join(found, "") == "" && !slices.Contains(onNoDisk, m.kind) {
		s.untold = append(s.untold, fmt.Errorf("%s: is on %q of type %q, a device that the kernel does not name", path, m.source, m.kind))
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
func (d *Disk) on(number string) (bool, error) {
	s := d.kernel.stack(true)
	s.add(d.kernel.directory(number))
	return d.meets(s)
}

// meets reports whether what is written has a device in common with what is read. Where
// that cannot be told, it is an error.
func (d *Disk) meets(written *stack) (bool, error) {
	if d.device == 0 {
		return false, nil // an image in a file
	}
	read := d.below()
	if written.meets(read) {
		return true, nil
	}
	untold := written.untold
	if len(read.devices) == 0 {
		untold = append(untold, fmt.Errorf("the kernel knows no device %s any more", deviceNumber(d.device)))
	}
	if len(untold) > 0 {
		return false, fault.New(fault.Target, "mount another disk, and name a directory on that", "it cannot be told which disk this is on: %w", errors.Join(untold...))
	}
	return false, nil
}

// elsewhere is an error where a directory or a file is on the disk that is read: what
// is written there may be over what is to be saved.
func (d *Disk) elsewhere(path string) error {
	if _, err := os.Stat(path); err != nil {
		return fault.New(fault.Target, "name a directory that is there", "%w", err)
	}
	s := d.kernel.stack(true)
	s.addFile(path)
	on, err := d.meets(s)
	if err != nil {
		return err
	}
	if on {
		return fault.New(fault.Target, "mount another disk, and name a directory on that", "%s: is on the disk that is to be saved", path)
	}
	return nil
}

// Elsewhere is an error where a path, which need not be there yet, is on a disk that is
// read, or that cannot be told. Of an image in a file nothing is asked. Errors have class
// fault.Target.
func Elsewhere(disk, path string) error {
	d := &Disk{kernel: thisKernel}
	var st unix.Stat_t
	if err := unix.Stat(disk, &st); err != nil {
		return fault.New(fault.Target, "", "%s: %w", disk, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		d.device = st.Rdev
	}
	at, err := Nearest(path)
	if err != nil {
		return fault.New(fault.Target, "", "%w", err)
	}
	return d.elsewhere(at)
}

// Nearest returns a path as an absolute one where it is there, else the directory nearest
// to it that is.
func Nearest(path string) (string, error) {
	at, err := filepath.Abs(path)
	for err == nil && at != "/" {
		if _, missing := os.Stat(at); !errors.Is(missing, fs.ErrNotExist) {
			break
		}
		at = filepath.Dir(at)
	}
	return at, err
}
