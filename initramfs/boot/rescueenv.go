package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/uevent"
)

// tooShort is how long the program of the rescue environment runs at least before its
// end counts as somebody's wish, and maxShort how often in a row it may be shorter.
const (
	tooShort = 2 * time.Second
	maxShort = 5
)

// rescueEnvironment gives the machine to the program of the rescue environment, which
// shows a menu on every console, and reboots the machine or turns it off when somebody
// asks for that. When the program ends, it is started again. It returns when the program
// cannot run.
func (m *machine) rescueEnvironment() error {
	if m.cmd.Shell {
		m.cmd.Shell = false
		m.shellAsked()
	}
	m.loader.finish(patience)
	for _, f := range m.loader.failures() {
		m.log.printf(levelWarning, "module %s", f)
	}
	if err := m.watchDevices(); err != nil {
		m.log.printf(levelWarning, "modules of devices: %v", err)
	}
	m.firmwareVariables()
	quietKernel()
	if _, err := os.Stat(config.RescueProgram); err != nil {
		return fault.New(fault.Input, "mkimage.rescue is for a medium with a rescue environment: leave it out to boot this system", "rescue environment: %w", err)
	}
	return keepRunning(filepath.Base(config.RescueProgram), sinceStart, func() (unix.WaitStatus, error) {
		// It gives every console to a menu of its own, so that none may be its terminal.
		return runOnConsole(&syscall.SysProcAttr{Setsid: true}, config.RescueProgram, "machine")
	})
}

// quietKernel leaves errors alone of what the kernel prints on the consoles: what it has
// to say of each mount would stand in the middle of a menu. All of it is in dmesg.
func quietKernel() {
	const setLevel, errorsAlone = 8, 4 // syslog(2): SYSLOG_ACTION_CONSOLE_LEVEL; the level is the length
	_, _ = unix.Klogctl(setLevel, make([]byte, errorsAlone))
}

// keepRunning runs a program again whenever it ends, until it ends at once too often.
func keepRunning(name string, clock func() time.Duration, run func() (unix.WaitStatus, error)) error {
	for short := 0; ; {
		before := clock()
		status, err := run()
		if err != nil {
			return err
		}
		if clock()-before >= tooShort {
			short = 0
			continue
		}
		if short++; short < maxShort {
			continue
		}
		if status.Signaled() {
			return fmt.Errorf("%s: killed by %s at once, %d times", name, status.Signal(), short)
		}
		return fmt.Errorf("%s: ended with status %d at once, %d times", name, status.ExitStatus(), short)
	}
}

// watchDevices loads modules for the devices that there are, and, while the machine
// runs, for those that come.
func (m *machine) watchDevices() error {
	list, err := os.ReadFile(config.DeviceModules)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	aliases, err2 := os.ReadFile(config.DeviceAliases)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	devices, err := parseDeviceModules(string(list), string(aliases))
	if err != nil {
		return err
	}
	listener, err := uevent.Listen() // before the look, so that nothing is missed
	if err != nil {
		return err
	}
	m.loadFor(devices, modaliases("/sys/devices"))
	go func() {
		for {
			ev, err := listener.Next()
			switch {
			case errors.Is(err, uevent.ErrLost):
				m.loadFor(devices, modaliases("/sys/devices"))
			case err != nil:
				return
			case ev.Action == "add" && ev.Modalias != "":
				m.loadFor(devices, []string{ev.Modalias})
			}
		}
	}()
	return nil
}

// loadFor loads the modules for devices and waits for them. A driver may find further
// devices: those are announced.
func (m *machine) loadFor(devices *deviceModules, modaliases []string) {
	need := devices.need(modaliases)
	if len(need) == 0 {
		return
	}
	l := startLoader(need, runtime.NumCPU()+1, m.load)
	l.finish(patience)
	for _, f := range l.failures() {
		m.log.printf(levelWarning, "module %s", f)
	}
}
