package boot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// storePrefix is what the path of every toplevel begins with.
const storePrefix = "/nix/store/"

// nixos is a NixOS whose init is about to run. There are three kinds. The init is a script,
// which does all by itself; or it is systemd, and prepare-root beside it is to run before;
// or it is systemd, and the initrd of the system would have the program nixos-init, whose
// part we do.
type nixos struct {
	root     string // where its file systems are mounted, those of the kernel too
	toplevel string // its path in root
	init     string // the file in root that runs
	// said is what it says of what it is made ready with; nil before NixOS 26.05, which
	// told that to its initrd alone.
	said *bootspec.Activation
}

// nixosOf returns the system that an init in root is of, nil when that is no NixOS.
func nixosOf(root, init string) (*nixos, error) {
	real, err := Resolve(root, init)
	if err != nil || !strings.HasPrefix(real, storePrefix) {
		return nil, err
	}
	n := &nixos{root: root, toplevel: path.Dir(real), init: real}
	name := path.Join(n.toplevel, bootspec.FileName)
	at, err := n.at(name)
	if err != nil {
		return nil, err
	}
	// One byte more than is allowed of one that is too large: it is refused.
	text, err := readAtMost(at, bootspec.MaxDocument+1)
	if err != nil || text == nil {
		return n, err
	}
	if n.said, err = bootspec.DecodeActivation(name, text); err != nil {
		return nil, fault.New(fault.Input, "boot another generation", "%w", err)
	}
	return n, nil
}

// at returns where a path of the system is in ours.
func (n *nixos) at(name string) (string, error) {
	real, err := Resolve(n.root, name)
	return filepath.Join(n.root, real), err
}

// has reports whether there is something at a path of the system.
func (n *nixos) has(name string) bool {
	at, err := n.at(name)
	if err != nil {
		return false
	}
	_, err = os.Lstat(at)
	return err == nil
}

// elfMagic is what a program begins with that is no script.
const elfMagic = "\x7fELF"

// isBareProgram reports whether the init is a program that nixos-init would make ready.
func (n *nixos) isBareProgram() (bool, error) {
	if n.has(path.Join(n.toplevel, prepareProgram)) || !n.has(path.Join(n.toplevel, "nixos-version")) {
		return false, nil
	}
	f, err := os.Open(filepath.Join(n.root, n.init))
	if err != nil {
		return false, err
	}
	defer f.Close()
	begin := make([]byte, len(elfMagic))
	if _, err := io.ReadFull(f, begin); err != nil {
		return false, nil // nothing that could be a program
	}
	return bytes.Equal(begin, []byte(elfMagic)), nil
}

// prepareProgram is beside the init of a NixOS that expects systemd in its initramfs:
// what its init is otherwise, up to the start of systemd.
const prepareProgram = "prepare-root"

// prepareEnv is how it knows that others have mounted everything.
const prepareEnv = "IN_NIXOS_SYSTEMD_STAGE1=true"

// runPrepareRoot runs the program that a NixOS wants to be run before its init, with its
// root as its root directory and console as all of its files. It reports whether there is
// one.
func (n *nixos) runPrepareRoot(console *os.File) (ran bool, err error) {
	program := path.Join(n.toplevel, prepareProgram)
	file, err := os.Lstat(filepath.Join(n.root, program))
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
		Stdin: console, Stdout: console, Stderr: console, SysProcAttr: &syscall.SysProcAttr{Chroot: n.root},
	}
	if err := cmd.Run(); err != nil {
		return true, fault.New(fault.Input, "what it says is above; boot another generation", "%s: %w", program, err)
	}
	return true, nil
}

// prepare has a NixOS made ready for its init. The file systems of the kernel are in the
// new root already. What it has mounted can be undone.
func (m *machine) prepare(init string) error {
	n, err := nixosOf(newRoot, init)
	if err != nil || n == nil {
		return err
	}
	if err := m.prepareEtc(n); err != nil {
		return err
	}
	console, err := os.OpenFile(filepath.Join(newRoot, "dev/console"), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	defer console.Close()
	ran, err := n.runPrepareRoot(console)
	if err != nil {
		return err
	}
	if ran {
		m.log.printf(levelInfo, "%s has run", prepareProgram)
		return nil
	}
	bare, err := n.isBareProgram()
	if err != nil || !bare {
		return err
	}
	if err := n.activate(&m.made); err != nil {
		return fault.New(fault.Input, "boot another generation", "%s: %w", n.toplevel, err)
	}
	m.log.printf(levelInfo, "%s is active", n.toplevel)
	return nil
}
