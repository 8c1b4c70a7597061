package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fstab"
)

// The store as Nix has it: what its builders write is in a group of theirs.
const (
	storeGroup = 30000
	storeMode  = 0o1775
)

// storeOptions are those of the mount of the store that NixOS has unless it is told
// otherwise (boot.nixStoreMountOpts).
var storeOptions = []string{"ro", "nodev", "nosuid"}

// activate does what nixos-init does in the initrd of a NixOS, once its file systems are
// there (init.rs and activate.rs of it). All else is done by units of the system.
func (n *nixos) activate(mounts *mounter) error {
	a := n.activation()
	if err := n.protectStore(mounts, a.storeOptions); err != nil {
		return err
	}
	for _, name := range []string{"/run/booted-system", "/run/current-system"} {
		if err := n.link(name, n.toplevel); err != nil {
			return err
		}
	}
	if err := errors.Join(n.tell("/proc/sys/kernel/modprobe", a.modprobe), n.tell("/sys/module/firmware_class/parameters/path", a.firmware)); err != nil {
		return err
	}
	return errors.Join(n.lead("/bin/sh", a.sh), n.lead("/usr/bin/env", a.env))
}

// activation is what a system is made ready with. Paths are those of the system.
type activation struct {
	storeOptions       []string
	modprobe, firmware string  // "" leaves the kernel's
	sh, env            *string // nil leaves what is there, "" removes it
}

// activation returns what the system says, or what one before NixOS 26.05 has without saying
// so: the programs are among those of its users.
func (n *nixos) activation() activation {
	if n.said != nil {
		return activation{n.said.StoreOptions, n.said.Modprobe.String(), n.said.Firmware.String(), n.said.Sh, n.said.Env}
	}
	a := activation{storeOptions: storeOptions}
	for _, p := range []struct {
		name string
		set  func(string)
	}{
		{"sw/bin/modprobe", func(s string) { a.modprobe = s }},
		{"firmware", func(s string) { a.firmware = s }},
		{"sw/bin/sh", func(s string) { a.sh = &s }},
		{"sw/bin/env", func(s string) { a.env = &s }},
	} {
		if name := path.Join(n.toplevel, p.name); n.has(name) {
			p.set(name)
		}
	}
	return a
}

// protectStore gives the store its owner and mode, and mounts it on itself with options. A
// store that cannot be changed has what it has.
func (n *nixos) protectStore(mounts *mounter, options []string) error {
	store, err := n.at(storePrefix)
	if err != nil {
		return err
	}
	if os.Lchown(store, 0, storeGroup) == nil {
		_ = unix.Chmod(store, storeMode)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(store, &st); err != nil {
		return fmt.Errorf("%s: %w", store, err)
	}
	// The flags of both calls have these numbers.
	const both = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	has := uintptr(st.Flags) & both
	flags, _ := fstab.MountFlags(options)
	if flags&^has == 0 {
		return nil
	}
	if err := mounts.one(Action{Op: OpBind, Source: storePrefix, Target: storePrefix, Root: n.root}); err != nil {
		return fmt.Errorf("bind %s: %w", store, err)
	}
	if err := unix.Mount("", store, "", unix.MS_REMOUNT|unix.MS_BIND|has|flags, ""); err != nil {
		return fmt.Errorf("mount %s with %v: %w", store, options, err)
	}
	return nil
}

// tell writes what the kernel is to know into a file of its own, unless it has none.
func (n *nixos) tell(name, text string) error {
	if text == "" {
		return nil
	}
	at, err := n.at(name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(at, os.O_WRONLY|os.O_TRUNC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// lead makes a symlink to a program, or removes it. Its directory is there in any case:
// systemd does not start on an empty /usr.
func (n *nixos) lead(name string, target *string) error {
	switch {
	case target == nil:
		return nil
	case *target != "":
		return n.link(name, *target)
	}
	at, err := n.parent(name)
	if err != nil {
		return err
	}
	if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// link makes a symlink, in one step from what was there.
func (n *nixos) link(name, target string) error {
	at, err := n.parent(name)
	if err != nil {
		return err
	}
	next := at + ".mkimage"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, next); err != nil {
		return err
	}
	return os.Rename(next, at)
}

// parent returns where a path of the system is in ours, with its last element as it is, and
// makes the directories above it.
func (n *nixos) parent(name string) (string, error) {
	dir, err := n.at(path.Dir(name))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, path.Base(name)), os.MkdirAll(dir, 0o755)
}
