// Package mounted mounts an installed system below a directory, as its own table of
// file systems says, and runs programs in it.
//
// A system that is mounted read-only is not changed: no log is replayed, as a
// mount that only forbids writing would do. One whose session sleeps in its
// swapfile is mounted in no other way, since the session goes on with what it
// knows of the disk.
package mounted

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/installer/mountinfo"
)

// Request says what is mounted, and where.
type Request struct {
	Dir   string       // an empty directory
	Lines []fstab.Line // of the system, with one of /
	// Node returns the node of what a line names a device by, such as
	// "PARTUUID=…". The error says what is missing.
	Node     func(what string) (string, error)
	ReadOnly bool
	Sleeps   bool              // a session is hibernated on it
	Note     func(line string) // is told what is left out; may be nil
}

func (r *Request) note(format string, args ...any) {
	if r.Note != nil {
		r.Note(fmt.Sprintf(format, args...))
	}
}

// System is one that is mounted.
type System struct {
	Dir     string // where its / is
	entered bool   // what programs expect is mounted besides
}

// Mount mounts a system. What is not of a disk, or only on demand, is left out, and
// so is what may fail (nofail) and does. On an error nothing stays mounted. It has
// class fault.Target where a device is missing or cannot be mounted, and
// fault.Usage where a sleeping system were written to.
func Mount(ctx context.Context, r Request) (*System, error) {
	if r.Sleeps && !r.ReadOnly {
		return nil, fault.New(fault.Usage, "wake it and shut it down, or mount it read-only", "a session sleeps on this system: to write to it would destroy both")
	}
	lines, err := r.order()
	if err != nil {
		return nil, err
	}
	s := &System{Dir: r.Dir}
	for _, l := range lines {
		err := ctx.Err()
		if err == nil {
			err = s.mount(&r, l)
		}
		switch {
		case err == nil:
		case l.Has("nofail") && ctx.Err() == nil:
			r.note("%s: is left out: %v", l.Target, err)
		default:
			return nil, errors.Join(fault.New(fault.Target, "", "%s: %w", l.Target, err), s.Close())
		}
	}
	return s, nil
}

// local are the types of file systems that a rescue mounts.
var local = []string{"btrfs", "ext4", "ext3", "ext2", "xfs", "f2fs", "vfat", "exfat", "none", "tmpfs", "auto"}

// order returns the lines that are mounted, each after those that it lies in.
func (r *Request) order() ([]fstab.Line, error) {
	var lines []fstab.Line
	for _, l := range r.Lines {
		switch {
		case !l.IsMount():
		case l.Has("noauto", "_netdev", "x-systemd.automount") && l.Target != "/":
			r.note("%s: is mounted on demand, not here", l.Target)
		case !slices.Contains(local, l.Type):
			r.note("%s: %s is left out", l.Target, l.Type)
		default:
			lines = append(lines, l)
		}
	}
	depth := func(l fstab.Line) int {
		if l.Target == "/" {
			return 0
		}
		return strings.Count(l.Target, "/")
	}
	slices.SortStableFunc(lines, func(a, b fstab.Line) int { return depth(a) - depth(b) })
	if len(lines) == 0 || lines[0].Target != "/" {
		return nil, fault.New(fault.Input, "", "table of file systems: none is mounted at /")
	}
	return lines, nil
}

// mount mounts what one line says.
func (s *System) mount(r *Request, l fstab.Line) error {
	target, err := s.place(l.Target, r.ReadOnly)
	if err != nil {
		return err
	}
	if l.Has("bind", "rbind") {
		return s.bind(r, l, target)
	}
	source, kind := l.What, l.Type
	if kind != "tmpfs" {
		if source, err = r.Node(l.What); err != nil {
			return err
		}
	}
	set, data := fstab.MountFlags(l.Options)
	if r.ReadOnly && kind != "tmpfs" {
		set |= unix.MS_RDONLY
		data = strings.Trim(data+","+Untouched(kind), ",")
	}
	if err := unix.Mount(source, target, kind, set, data); err != nil {
		return fmt.Errorf("mount %s from %s: %w", kind, source, err)
	}
	return nil
}

// untouched are the options with which a read-only mount does not write: see
// btrfs(5), ext4(5), xfs(5) and the kernel's Documentation/filesystems/f2fs.rst.
var untouched = map[string]string{
	"btrfs": "rescue=nologreplay", "ext4": "noload", "ext3": "noload", "xfs": "norecovery", "f2fs": "disable_roll_forward",
}

// Untouched returns the option with which a file system of a type is not written to when it
// is mounted read-only, which alone would replay its log; "" where it has none.
func Untouched(kind string) string { return untouched[kind] }

// bind mounts a directory of the system on another one of it.
func (s *System) bind(r *Request, l fstab.Line, target string) error {
	from, err := s.place(l.What, r.ReadOnly)
	if err != nil {
		return err
	}
	if err := unix.Mount(from, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", l.What, err)
	}
	return nil
}

// place returns where a directory of the system is, without a symlink that leads
// out of it. It is made where it is missing, unless nothing is to be changed.
func (s *System) place(name string, readOnly bool) (string, error) {
	if name == "/" {
		return s.Dir, nil
	}
	fd, err := openIn(s.Dir, name)
	if errors.Is(err, unix.ENOENT) && !readOnly {
		if err = s.makeDir(name); err == nil {
			fd, err = openIn(s.Dir, name)
		}
	}
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	at, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return "", err
	}
	return at, nil
}

// makeDir makes a directory whose parent is there.
func (s *System) makeDir(name string) error {
	parent, err := openIn(s.Dir, path.Dir(name))
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	if err := unix.Mkdirat(parent, path.Base(name), 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// openIn opens a directory as if root were /.
func openIn(root, name string) (int, error) {
	top, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(top)
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(top, name, &how)
		if err != unix.EINTR && err != unix.EAGAIN { // EAGAIN: something was renamed meanwhile
			return fd, err
		}
	}
}

// Path returns where a path of the system is. Symlinks are not resolved.
func (s *System) Path(name string) string { return filepath.Join(s.Dir, name) }

// Resolve returns where a directory of the system is: its symlinks lead where they do in
// the system, and none out of it.
func (s *System) Resolve(name string) (string, error) { return s.place(name, true) }

// Close unmounts the system, and what was mounted in it meanwhile, once what was
// written is on the disk. Where a program still uses it, the error says which
// mount is busy, and it can be called again.
func (s *System) Close() error {
	all, err := mountinfo.Self()
	if err != nil {
		return err
	}
	dir, err := filepath.EvalSymlinks(s.Dir)
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(all) {
		if m.Point != dir && !strings.HasPrefix(m.Point, dir+"/") {
			continue
		}
		if err := writeOut(m); err != nil {
			return err
		}
		if err := unix.Unmount(m.Point, unix.UMOUNT_NOFOLLOW); err != nil {
			return fault.New(fault.Target, "end the programs that run in it: fuser -m "+m.Point, "%s: cannot be unmounted: %w", m.Point, err)
		}
	}
	s.entered = false
	return nil
}

// writeOut returns when what was written to a disk's file system is on the disk: that
// it is unmounted says nothing of it.
func writeOut(m mountinfo.Mount) error {
	if !slices.Contains(local, m.Type) || m.Type == "tmpfs" || slices.Contains(m.Options, "ro") {
		return nil
	}
	fd, err := unix.Open(m.Point, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // a file, whose file system is mounted elsewhere too
	}
	defer unix.Close(fd)
	if err := unix.Syncfs(fd); err != nil {
		return fault.New(fault.Target, "the disk fails: mkimage-rescue save disk copies it", "%s: what was written is not on the disk: %w", m.Point, err)
	}
	return nil
}
