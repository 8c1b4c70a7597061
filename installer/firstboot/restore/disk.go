package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/mountinfo"
)

// again is the hint for what a person has to repair first.
const again = "mkimage-firstboot restore"

// device is a block device.
type device struct {
	name string // such as /dev/sdb1
	rdev uint64
}

// findDevice returns the device that a Restore.Disk names.
func (r *run) findDevice() (device, error) {
	disk := r.c.Restore.Disk
	link := firstboot.DevicePath(disk)
	if link == "" {
		return device{}, firstboot.NewProblem(firstboot.CodeNoDisk, "", "backup disk %q: expected LABEL=… or UUID=…", disk)
	}
	return deviceAt(disk, filepath.Join(r.Root, link))
}

// deviceAt returns the device that a path leads to; disk is how it is called in
// errors.
func deviceAt(disk, name string) (device, error) {
	name, err := filepath.EvalSymlinks(name)
	if errors.Is(err, fs.ErrNotExist) {
		return device{}, firstboot.NewProblem(firstboot.CodeNoDisk, "plug it in, then: "+again, "backup disk %s: is not there", disk)
	}
	var stat unix.Stat_t
	if err == nil {
		err = unix.Stat(name, &stat)
	}
	if err == nil && stat.Mode&unix.S_IFMT != unix.S_IFBLK {
		err = errors.New("no block device")
	}
	if err != nil {
		return device{}, firstboot.NewProblem(firstboot.CodeNoDisk, again, "backup disk %s: %w", disk, err)
	}
	return device{name, uint64(stat.Rdev)}, nil
}

// mounted returns the directory where the backup disk is mounted, and what
// undoes it. A disk that is mounted already is used where it is.
func (r *run) mounted() (dir string, undo func(), err error) {
	dev, err := r.findDevice()
	if err != nil {
		return "", nil, err
	}
	return r.mountedDevice(dev)
}

// mountedDevice is mounted of a device that was found.
func (r *run) mountedDevice(dev device) (dir string, undo func(), err error) {
	mounts, err := mountinfo.Self()
	if err != nil {
		return "", nil, err
	}
	dir, taken := whereMounted(mounts, dev, r.Backup)
	if dir != "" {
		return dir, func() {}, nil
	}
	if taken != "" {
		return "", nil, firstboot.NewProblem(firstboot.CodeDisk, "umount "+r.Backup+" && "+again, "%s: %s is mounted there, expected %s", r.Backup, taken, dev.name)
	}
	if err := r.mount(dev); err != nil {
		return "", nil, firstboot.NewProblem(firstboot.CodeDisk, again, "backup disk %s, %s: %w", r.c.Restore.Disk, dev.name, err)
	}
	return r.Backup, func() {
		if unix.Unmount(r.Backup, 0) != nil {
			_ = unix.Unmount(r.Backup, unix.MNT_DETACH) // somebody looks at it
		}
	}, nil
}

// whereMounted looks for a mount of a whole device, best at a preferred directory.
// It also returns what else is mounted at that directory.
func whereMounted(mounts []mountinfo.Mount, dev device, prefer string) (dir, taken string) {
	for _, m := range mounts {
		var stat unix.Stat_t
		same := unix.Stat(m.Source, &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFBLK && uint64(stat.Rdev) == dev.rdev
		switch {
		case m.Point == prefer && same && m.Root == "/":
			dir, taken = m.Point, "" // the last one lies on top
		case m.Point == prefer:
			taken = m.Source
			if dir == prefer {
				dir = ""
			}
		case same && m.Root == "/" && dir == "":
			dir = m.Point
		}
	}
	return dir, taken
}

// mount mounts a device read-only. The error is the kernel's, of the first try.
func (r *run) mount(dev device) error {
	f, err := os.Open(dev.name)
	if err != nil {
		return plain(err)
	}
	head, err := readHead(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return plain(err)
	}
	kind, why := kindOf(head)
	if kind.name == "" {
		return errors.New(why)
	}
	if err := os.MkdirAll(r.Backup, 0o755); err != nil {
		return err
	}
	options := kind.options
	if r.unchanged {
		options = options[len(options)-1:] // those that replay no journal
	}
	var first error
	for _, options := range options {
		err := unix.Mount(dev.name, r.Backup, kind.name, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options)
		if err == nil {
			if first != nil {
				r.Log(fmt.Sprintf("backup disk: mounted with %s, for otherwise: %v", options, first))
			}
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return fmt.Errorf("%s cannot be mounted: %w", kind.name, first)
}

// plain is err without the name of a system call.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return err
}
