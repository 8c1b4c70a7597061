package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// prepareProgram is beside the init of a NixOS that expects systemd in its initramfs:
// what its init is otherwise, up to the start of systemd.
const prepareProgram = "prepare-root"

// prepareEnv is how it knows that others have mounted everything.
const prepareEnv = "IN_NIXOS_SYSTEMD_STAGE1=true"

// storePrefix is what the path of every toplevel begins with.
const storePrefix = "/nix/store/"

// prepareRoot runs the program that a NixOS wants to be run before its init, with root
// as its root directory and console as all of its files. It reports whether there is one:
// without one the init does that itself, or the system is no NixOS.
func prepareRoot(root, init string, console *os.File) (ran bool, err error) {
	real, err := Resolve(root, init)
	if err != nil || !strings.HasPrefix(real, storePrefix) {
		return false, err
	}
	program := path.Join(path.Dir(real), prepareProgram)
	file, err := os.Lstat(filepath.Join(root, program))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !file.Mode().IsRegular() || file.Mode().Perm()&0o111 == 0:
		return false, fault.New(fault.Input, "boot another generation", "%s: is %v, expected a program", program, file.Mode())
	}
	cmd := exec.Cmd{
		Path: program, Args: []string{program}, Dir: "/", Env: []string{prepareEnv},
		Stdin: console, Stdout: console, Stderr: console, SysProcAttr: &syscall.SysProcAttr{Chroot: root},
	}
	if err := cmd.Run(); err != nil {
		return true, fault.New(fault.Input, "what it says is above; boot another generation", "%s: %w", program, err)
	}
	return true, nil
}

// prepare has a NixOS made ready for its init. The file systems of the kernel are in the
// new root already.
func (m *machine) prepare(init string) error {
	console, err := os.OpenFile(filepath.Join(newRoot, "dev/console"), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	defer console.Close()
	ran, err := prepareRoot(newRoot, init, console)
	if ran && err == nil {
		m.log.printf(levelInfo, "%s has run", prepareProgram)
	}
	return err
}
