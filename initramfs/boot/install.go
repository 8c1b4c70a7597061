package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/terminal"
)

// efivars is where the variables of the firmware are.
const efivars = "/sys/firmware/efi/efivars"

// install gives the machine to the program of an installer medium, which ends
// in a reboot or with the power off. It returns when the program gave up.
func (m *machine) install() error {
	if m.cmd.Shell {
		m.cmd.Shell = false
		m.shellAsked()
	}
	// Which disks there are must not depend on which driver is the slowest.
	m.loader.finish(patience)
	for _, f := range m.loader.failures() {
		m.log.printf(levelWarning, "module %s", f)
	}
	m.firmwareVariables()
	if _, err := os.Stat(config.InstallProgram); err != nil {
		return fault.New(fault.Input, "mkimage.install is for an installer medium: leave it out to boot this system", "installer: %w", err)
	}
	status, err := runOnConsole(&syscall.SysProcAttr{Setsid: true, Setctty: true}, config.InstallProgram, "--medium")
	switch {
	case err != nil:
		return err
	case status.Signaled():
		return fmt.Errorf("%s: killed by %s", filepath.Base(config.InstallProgram), status.Signal())
	}
	return fmt.Errorf("%s: ended with status %d", filepath.Base(config.InstallProgram), status.ExitStatus())
}

// firmwareVariables mounts the variables of the firmware. Without them, as on a BIOS,
// there is only no boot entry to write.
func (m *machine) firmwareVariables() {
	if err := unix.Mount("efivarfs", efivars, "efivarfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil && err != unix.EBUSY {
		m.log.printf(levelWarning, "variables of the firmware: %v", err)
	}
}

// runOnConsole runs a program on the preferred console and waits for it. That is its
// controlling terminal if sys says so.
func runOnConsole(sys *syscall.SysProcAttr, program string, args ...string) (status unix.WaitStatus, err error) {
	nodes := terminal.Consoles()
	console, err := os.OpenFile(nodes[len(nodes)-1], os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return 0, err
	}
	defer console.Close()
	p, err := os.StartProcess(program, append([]string{filepath.Base(program)}, args...), &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"PATH=/bbin:/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/", "TERM=linux"},
		Files: []*os.File{console, console, console},
		Sys:   sys,
	})
	if err != nil {
		return 0, err
	}
	pid := p.Pid
	if err := p.Release(); err != nil {
		return 0, err
	}
	for { // orphans are reaped meanwhile, as is PID 1's duty
		got, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, err
		case got == pid:
			return status, nil
		}
	}
}
