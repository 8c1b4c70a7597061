package mounted

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// special are the file systems that programs of a system expect: trees of this
// machine, or, with a type, new ones. What is in /run is the system's alone, and
// goes with the mount.
var special = []struct {
	target, source, kind string
	flags                uintptr
	data                 string
}{
	{"/proc", "proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"/sys", "/sys", "", 0, ""}, // with the variables of the firmware
	{"/dev", "/dev", "", 0, ""},
	{"/run", "tmpfs", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755,size=25%"},
	{"/tmp", "tmpfs", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777,size=50%"},
}

// Enter mounts what programs of the system expect: after it Command runs them. On
// a NixOS it activates the generation that the system's profile names, as
// nixos-enter does, so that /run/current-system is there and nixos-rebuild works.
// What activation prints goes to log, and that it fails is told to note: a damaged
// system is entered all the same.
func (s *System) Enter(ctx context.Context, log *bytes.Buffer, note func(line string)) error {
	if s.entered {
		return nil
	}
	for _, m := range special {
		if err := s.special(m.target, m.source, m.kind, m.flags, m.data); err != nil {
			return err
		}
	}
	s.entered = true
	if err := s.resolver(); err != nil {
		note(fmt.Sprintf("names of hosts are not looked up in it: %v", err))
	}
	if !s.IsNixOS() {
		return nil
	}
	cmd := s.Command(ctx, nixProfile+"/activate")
	cmd.Env = append(cmd.Env, "IN_NIXOS_ENTER=1", "LOCALE_ARCHIVE="+nixProfile+"/sw/lib/locale/locale-archive")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		note(fmt.Sprintf("its activation failed, which is no wonder where it is damaged: %v", err))
	}
	return nil
}

func (s *System) special(target, source, kind string, flags uintptr, data string) error {
	at, err := s.place(target, false)
	if err != nil {
		return fault.New(fault.Target, "", "%s: %w", target, err)
	}
	if kind == "" {
		err = graft(source, at)
	} else {
		err = unix.Mount(source, at, kind, flags, data)
	}
	if err != nil {
		return fmt.Errorf("%s: mount: %w", target, err)
	}
	return nil
}

// graft mounts a tree of this machine at another place too. Before it is there,
// what is unmounted of it stops to be unmounted where it came from: an unmounted
// /dev/pts of the system must not take that of this machine with it.
func graft(source, target string) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Propagation: unix.MS_SLAVE}); err != nil {
		return err
	}
	return unix.MoveMount(fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// resolvConf is the list of servers that names of hosts are asked of.
const resolvConf = "/etc/resolv.conf"

// resolver gives programs in the system the servers of this machine. Where the
// system has a link to /run there, as with systemd-resolved, the file is made
// where it leads; another one is covered, not changed.
func (s *System) resolver() error {
	text, err := os.ReadFile(resolvConf)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // this machine has no network
	}
	if err != nil {
		return err
	}
	ours, err := s.place("/run", false)
	if err != nil {
		return err
	}
	ours = path.Join(ours, "mkimage-resolv.conf")
	if err := os.WriteFile(ours, text, 0o644); err != nil {
		return err
	}
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	link, err := root.Readlink(resolvConf[1:])
	switch {
	case err != nil: // a file, or none
	case !path.IsAbs(link):
		link = path.Join("/etc", link)
		fallthrough
	default:
		return s.resolverIn(link, text)
	}
	if _, err := root.Lstat(resolvConf[1:]); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: the system has none", resolvConf)
	}
	return s.cover(ours, resolvConf)
}

// resolverIn writes the list to where the link of the system leads.
func (s *System) resolverIn(link string, text []byte) error {
	inner, ok := strings.CutPrefix(path.Clean(link), "/run/")
	if !ok {
		return fmt.Errorf("%s: leads to %s, expected a place in /run", resolvConf, link)
	}
	at, err := s.place("/run", false)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(at)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(path.Dir(inner), 0o755); err != nil {
		return err
	}
	return root.WriteFile(inner, text, 0o644)
}

// cover mounts a file on one of the system.
func (s *System) cover(source, name string) error {
	top, err := unix.Open(s.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(top)
	fd, err := unix.Openat2(top, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Mount(source, fmt.Sprintf("/proc/self/fd/%d", fd), "", unix.MS_BIND, "")
}

// nixProfile is the generation of a NixOS that is to be used next.
const nixProfile = "/nix/var/nix/profiles/system"

// IsNixOS reports whether the system is a NixOS: it has its mark, or generations.
func (s *System) IsNixOS() bool {
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return false
	}
	defer root.Close()
	for _, name := range []string{"etc/NIXOS", nixProfile[1:]} {
		if _, err := root.Lstat(name); err == nil {
			return true
		}
	}
	return false
}

// shells are tried in order by Shell.
var shells = []string{"/run/current-system/sw/bin/bash", "/bin/bash", "/usr/bin/bash", nixProfile + "/sw/bin/bash", "/bin/sh"}

// Shell returns the path in the system of a shell that a person can use. The
// error says that none is left.
func (s *System) Shell() (string, error) {
	for _, name := range shells {
		if s.has(name) {
			return name, nil
		}
	}
	return "", fault.New(fault.Target, "roll the root back to a snapshot first", "system: has no shell any more: looked for %q", shells)
}

// has reports whether a path leads to something in the system.
func (s *System) has(name string) bool {
	top, err := unix.Open(s.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(top)
	fd, err := unix.Openat2(top, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return false
	}
	return unix.Close(fd) == nil
}

// searchPath is where programs of a system are, be it a NixOS or another one.
var searchPath = []string{
	"/run/wrappers/bin", "/run/current-system/sw/bin", nixProfile + "/sw/bin", "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
}

// LookPath returns the path in the system of a program: one with a slash as it is. The
// error has class fault.Input.
func (s *System) LookPath(program string) (string, error) {
	if strings.Contains(program, "/") {
		return program, nil
	}
	for _, dir := range searchPath {
		if name := path.Join(dir, program); s.has(name) {
			return name, nil
		}
	}
	return "", fault.New(fault.Input, "", "%s: the system has no such program: looked for it in %s", program, strings.Join(searchPath, ", "))
}

// Command returns a command that runs a program of the system in it, by its path. Its
// environment is that of a login, and nothing of this machine's.
func (s *System) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Path, cmd.Err = program, nil // looked up in the system, not here
	cmd.Dir = "/"
	cmd.Env = []string{
		"PATH=" + strings.Join(searchPath, ":"), "HOME=/root", "USER=root", "LOGNAME=root", "TERM=" + os.Getenv("TERM"),
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: s.Dir}
	return cmd
}
