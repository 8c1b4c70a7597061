package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// asMachine has the test's own binary keep a machine whose console is of that name.
const asMachine = "MKIMAGE_RESCUE_TEST_MACHINE"

// beMachine makes what mkimage-init has made, in namespaces of its own, and keeps the
// machine.
func beMachine(console string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for dir, kind := range map[string]string{"/proc": "proc", "/run": "tmpfs", "/etc": "tmpfs"} {
		if err := unix.Mount(kind, dir, kind, 0, ""); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(config.RescuePlan), 0o755); err != nil {
		return err
	}
	const cmdline, active = "/run/cmdline", "/run/active"
	for name, text := range map[string]string{
		config.RescuePlan: `{"medium": {"rescue": {"enable": true, "network": {"wired": true}}}}`, cmdline: "quiet " + plan.RescueWord + "\n", active: console + "\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := unix.Mount(cmdline, "/proc/cmdline", "", unix.MS_BIND, ""); err != nil {
		return err
	}
	if err := unix.Mount(active, "/sys/class/tty/console/active", "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return keep(context.Background())
}

// TestMachine: a menu is on the console, with the state of the machine above it, and
// comes again when it is killed.
func TestMachine(t *testing.T) {
	imgtest.NeedRoot(t)
	p, other := openTerminal(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), asMachine+"="+strings.TrimPrefix(other.Name(), "/dev/"))
	cmd.Stdout, cmd.Stderr = other, other
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // and all that is in its namespace of processes
		_ = cmd.Wait()
	})
	p.until("The disks are being looked at.")
	p.until("rescue> ")
	p.types("\n")
	p.until("network: no adapter\r\n")
	p.until("poweroff")
	p.until("rescue> ")
	p.types("inventory --image /none\n")
	p.until("same as: mkimage-rescue inventory --image /none")
	p.until("inventory has ended: code 5. Enter shows the menu.")
	p.until("rescue> ")
	p.types("shell\n")
	p.until("rescue# ")
	p.types("tail -n 1 " + lockPath + "; cat " + logPath + "; kill -9 $PPID\n")
	p.until("The disks are being looked at.") // by the menu that comes
	p.until("rescue> ")
}
