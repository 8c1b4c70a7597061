// Command init is the init of a system that nixos-init makes ready. There systemd itself is
// the init; but Debian's binaries want links in the root, which the activation of the other
// kinds of systems makes. So this makes them, and becomes systemd.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

func main() {
	err := run(filepath.Dir(os.Args[0]))
	fmt.Fprintln(os.Stderr, "init:", err)
	os.Exit(1)
}

// run does not return but with an error. Top is the toplevel.
func run(top string) error {
	units, err := filepath.EvalSymlinks(filepath.Join(top, "systemd/lib/systemd"))
	if err != nil {
		return err
	}
	usr := filepath.Join(units, "../..")
	if err := directories(); err != nil {
		return err
	}
	if err := syscall.Mount(usr, "/usr", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount /usr: %w", err)
	}
	for _, name := range []string{"lib", "lib64", "sbin"} {
		if err := link("usr/"+name, "/"+name); err != nil {
			return err
		}
	}
	programs, err := os.ReadDir("/usr/bin")
	if err != nil {
		return err
	}
	for _, p := range programs {
		if err := link("../usr/bin/"+p.Name(), "/bin/"+p.Name()); err != nil {
			return err
		}
	}
	return syscall.Exec(filepath.Join(units, "systemd"), os.Args, os.Environ())
}

// directories makes what NixOS has systemd-tmpfiles make, and a machine-id as stage 2
// does: Debian's units are not made for the first boot of a system with all of them.
func directories() error {
	syscall.Umask(0o022)
	for _, name := range []string{"/usr", "/bin", "/var/log", "/var/lib", "/var/tmp", "/home", "/run/lock"} {
		if err := os.MkdirAll(name, 0o755); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Chmod("/var/tmp", 0o777|fs.ModeSticky), link("/run", "/var/run")); err != nil {
		return err
	}
	f, err := os.OpenFile("/etc/machine-id", os.O_WRONLY|os.O_CREATE, 0o444)
	if err != nil {
		return err
	}
	return f.Close()
}

// link makes a symlink where nothing is.
func link(target, name string) error {
	if err := os.Symlink(target, name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
