package boot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// duties are the steps before the initrd of a system itself, which mounts the root once
// more and goes there. What follows one that failed is left out: before "resume" has
// decided, nothing may be mounted.
var duties = []step{
	{"kernel file systems", (*machine).kernelFileSystems},
	{"firmware", (*machine).showFirmware},
	{"modules", (*machine).dutyModules},
	{"configuration", (*machine).dutyConfiguration},
	{"root device", (*machine).findRoot},
	{"resume", (*machine).resume},
	{"grow partition", (*machine).growPartition},
	{"system", (*machine).system},
	{"mounts", (*machine).mountAll},
	{"age key", (*machine).ageKey},
	{"first boot", (*machine).firstBoot},
	{"hibernation", (*machine).hibernation},
	{"units", (*machine).ownUnits},
}

// Duties does what the system needs of us before its own initrd, as a process with
// config.PreludeDir for its root directory and a mount namespace of its own. It reports
// whether all went well; why not is in the kernel's log.
func Duties() bool {
	m := &machine{prelude: true}
	ok := true
	for _, s := range duties {
		if err := m.try(s); err != nil {
			m.log.printf(levelError, "%s: failed, the system's own initrd goes on without the rest: %v", s.name, err)
			ok = false
			break
		}
	}
	_ = m.try(step{"end", (*machine).endDuties})
	return ok
}

// firmwarePath is where the kernel looks for firmware before its usual places. It looks
// from PID 1's root directory.
const firmwarePath = "/sys/module/firmware_class/parameters/path"

// showFirmware lets the kernel find the firmware of this archive too.
func (m *machine) showFirmware() error {
	old, err := os.ReadFile(firmwarePath)
	if err != nil {
		return nil // this kernel loads none
	}
	text := strings.TrimSuffix(string(old), "\n")
	m.firmware = &text
	return setFirmware(config.PreludeDir + "/lib/firmware")
}

// setFirmware sets the path. The NUL ends it, as the kernel takes a newline for a part of
// it and an empty text for none.
func setFirmware(path string) error { return os.WriteFile(firmwarePath, []byte(path+"\x00"), 0) }

func (m *machine) dutyModules() error {
	m.startModules()
	return nil
}

// dutyConfiguration is the step "configuration".
func (m *machine) dutyConfiguration() error {
	if err := m.configuration(); err != nil {
		return err
	}
	var ignored bool
	if m.cmd, ignored = ofDuties(m.cmd); ignored {
		m.log.printf(levelWarning, "command line: mkimage.back, .factory, .install, .rescue, .shell and .subvol have no effect with the system's own initrd: choose another entry of the menu")
	}
	return nil
}

// ofDuties returns a command line without what has no meaning for the duties: how the
// root is mounted is for the system's initrd, and what our own entries say is of a boot
// that goes on with us. That some of these are there is reported.
func ofDuties(c Cmdline) (d Cmdline, ignored bool) {
	d = c
	d.Factory, d.Shell, d.Install, d.Rescue, d.Back, d.Subvolume = false, false, false, false, "", ""
	ignored = d != c
	d.RootFlags, d.RootFSType, d.ReadOnly = "", "", false
	return d, ignored
}

// endDuties leaves the machine as it was found, but for what is meant to stay. What that
// starts in the system must not start in its initrd, whatever failed before.
func (m *machine) endDuties() error {
	m.shield()
	if m.loader != nil {
		m.loader.finish(max(m.cmd.Timeout, DefaultTimeout))
	}
	if m.cancel != nil {
		m.cancel()
	}
	m.mounts.undo()
	if m.firmware != nil {
		_ = setFirmware(*m.firmware)
	}
	for _, dir := range []string{topDir, layerDir} {
		if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTEMPTY) {
			m.log.printf(levelWarning, "%s: %v", dir, err)
		}
	}
	m.log.printf(levelInfo, "the system's own initrd goes on")
	return nil
}

// shield keeps the units we left for the system from its initrd.
func (m *machine) shield() {
	if err := shield("/run"); err != nil {
		m.log.printf(levelWarning, "units for the system: %v", err)
	}
}

// shield makes the units below run such that no systemd of an initrd starts them, and
// that the system's does. One that cannot be made so leaves the others as they should be.
func shield(run string) error {
	dir := filepath.Join(run, "systemd/system")
	units, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	rules, errs := "", []error{}
	for _, u := range units {
		name := filepath.Join(dir, u.Name())
		if !u.IsDir() {
			errs = append(errs, leaveDropIn(name))
			continue
		}
		more, err := deviceRules(name)
		rules, errs = rules+more, append(errs, err)
	}
	if rules == "" {
		return errors.Join(errs...)
	}
	at := filepath.Join(run, "udev/rules.d")
	if err := os.MkdirAll(at, 0o755); err != nil {
		return errors.Join(append(errs, err)...)
	}
	return errors.Join(append(errs, os.WriteFile(filepath.Join(at, "99-mkimage.rules"), []byte(rules), 0o644))...)
}
