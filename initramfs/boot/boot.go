package boot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// sayAfter is how long the root device may be missing without a word: a disk
// on USB takes three seconds.
const sayAfter = 4 * time.Second

// machine is the state of one boot.
type machine struct {
	log     logger
	loader  *loader
	modules error // why there is no list of them
	config  config.Config
	cmdline string
	cmd     Cmdline
	cancel  context.CancelFunc // of finder
	finder  *finder
	root    Device
	mounts  mounter
	made    mounter    // what a NixOS has mounted besides when its init starts
	shell   bool       // a shell ran, and may have changed the disk
	first   *firstBoot // nil when this is none

	prelude  bool    // this is no PID 1, and before the initrd of a system itself: see Duties
	firmware *string // what firmwarePath held, nil when that was left alone
}

// step is one part of the boot. It can be run again after it failed.
type step struct {
	name string
	run  func(*machine) error
}

// begin is what every boot begins with.
var begin = []step{
	{"kernel file systems", (*machine).kernelFileSystems},
	{"configuration", (*machine).configuration},
}

// steps is the boot of a system. Whatever must see the root file system before it is
// mounted (resuming from hibernation, growing the partition) stands between
// "root device" and "mounts"; what changes the system before its init runs
// stands between "mounts" and "switch root".
var steps = []step{
	{"root device", (*machine).findRoot},
	{"resume", (*machine).resume},
	{"grow partition", (*machine).growPartition},
	{"system", (*machine).system},
	{"mounts", (*machine).mountAll},
	{"age key", (*machine).ageKey},
	{"first boot", (*machine).firstBoot},
	{"hibernation", (*machine).hibernation},
	{"units", (*machine).ownUnits},
	{"switch root", (*machine).handOver},
}

// installSteps is the boot of an installer medium.
var installSteps = []step{{"installer", (*machine).install}}

// rescueSteps is the boot of a rescue environment.
var rescueSteps = []step{{"rescue environment", (*machine).rescueEnvironment}}

// Run boots the machine as PID 1. It does not return: it ends as the system's
// init, in a reboot, or in a message that stays on the screen.
func Run() {
	m := &machine{}
	// Modules first: their self-tests take longer than all the rest, and need
	// nothing that is mounted.
	m.startModules()
	m.runSteps(begin)
	if m.cmd.Rescue {
		m.runSteps(rescueSteps)
	}
	if m.cmd.Install {
		m.runSteps(installSteps)
	}
	m.runSteps(steps)
}

// runSteps runs steps in order. One that fails is tried again once a person has
// looked at it.
func (m *machine) runSteps(steps []step) {
	for _, s := range steps {
		for err := m.try(s); err != nil; err = m.try(s) {
			m.shell = true
			m.rescue(s, err)
		}
	}
}

// try runs a step; a panic of our own is a failure of the step, since the end
// of PID 1 would be a panic of the kernel's.
func (m *machine) try(s step) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "this is a fault of mkimage-init: please report it with these lines", "panic: %v\n%s", p, debug.Stack())
		}
	}()
	return s.run(m)
}

// startModules begins to load the list. A wrong list is reported once there is
// a console.
func (m *machine) startModules() {
	text, err := os.ReadFile(config.Modules)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.modules = err
	}
	modules, err := ParseModules(string(text))
	if err != nil {
		m.modules = err
	}
	// One worker more than processors: drivers wait for their hardware.
	m.loader = startLoader(urgent(modules, config.Config{}.Needs()), runtime.NumCPU()+1, m.load)
}

// load loads one module and notes how long it took, for whoever looks for time.
func (m *machine) load(path string) error {
	before := sinceStart()
	err := loadModule(path)
	m.log.printf(levelDebug, "module %s %.3fs", moduleName(path), (sinceStart() - before).Seconds())
	return err
}

// kernelMounts are what every program expects, with the options of systemd.
var kernelMounts = []struct {
	target, kind string
	flags        uintptr
	data         string
}{
	{"/dev", "devtmpfs", unix.MS_NOSUID, "mode=755"},
	{"/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
}

func (m *machine) kernelFileSystems() error {
	unix.Umask(0o022)
	for _, k := range kernelMounts {
		if m.prelude && k.target == "/run" {
			continue // mounted, and for the system too
		}
		if err := os.MkdirAll(k.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(k.kind, k.target, k.kind, k.flags, k.data); err != nil && err != unix.EBUSY {
			return fmt.Errorf("mount %s: %w", k.target, err)
		}
	}
	// Without it the kernel drops lines of ours when there are many. It takes
	// the word with its newline only.
	_ = os.WriteFile("/proc/sys/kernel/printk_devkmsg", []byte("on\n"), 0)
	if err := m.log.open(); err != nil {
		return err
	}
	if !m.prelude {
		m.rebootOnCtrlAltDel()
	}
	return nil
}

// rebootOnCtrlAltDel makes the keys a signal to us: the kernel's own way to
// reboot writes nothing out.
func (m *machine) rebootOnCtrlAltDel() {
	if unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF) != nil {
		return
	}
	pressed := make(chan os.Signal, 1)
	signal.Notify(pressed, syscall.SIGINT)
	go func() {
		<-pressed
		reboot()
	}()
}

func (m *machine) configuration() error {
	text, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	m.cmdline = string(text)
	var bad error
	if m.cmd, bad = ParseCmdline(m.cmdline); bad != nil {
		m.log.printf(levelWarning, "command line: %v", bad)
	}
	if m.config, err = readConfig(config.Path); err != nil {
		return err
	}
	return m.modules
}

func readConfig(name string) (c config.Config, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return c, fault.New(fault.Input, "the initramfs was not made by mkimage, or is damaged", "configuration: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("%s: %w", name, err)
	}
	if c.Version != config.Version {
		return c, fmt.Errorf("%s: version %d, expected %d", name, c.Version, config.Version)
	}
	return c, nil
}

func (m *machine) findRoot() error {
	if m.cmd.Shell {
		m.cmd.Shell, m.shell = false, true
		m.shellAsked()
	}
	root, err := ParseRoot(m.cmd.Root)
	if err != nil {
		return err
	}
	if m.finder == nil {
		var ctx context.Context
		ctx, m.cancel = context.WithCancel(context.Background())
		if m.finder, err = newFinder(ctx, host{"/sys", "/dev"}); err != nil {
			m.cancel()
			return err
		}
	}
	before := sinceStart()
	patient := time.AfterFunc(sayAfter, func() {
		m.log.printf(levelWarning, "root %s is not there after %s, waiting up to %s", root, sayAfter, m.cmd.Timeout)
	})
	defer patient.Stop()
	if m.root, err = m.finder.wait(context.Background(), root, m.cmd.Timeout); err != nil {
		m.loader.finish(patience)
		return err
	}
	// What else was to be loaded would only keep the processors from btrfs.
	m.loader.keep(m.config.Needs())
	m.log.printf(levelInfo, "root found %s waited %.2fs", root.describe(m.root), (sinceStart() - before).Seconds())
	return nil
}

func (m *machine) mountAll() error {
	if err := m.needed(); err != nil {
		return err
	}
	// Handing over ends our threads, and a driver that one of them still starts
	// would fail. Only one that is stuck is given up.
	m.loader.finish(max(m.cmd.Timeout, DefaultTimeout))
	loaded, left := m.loader.counts()
	m.log.printf(levelInfo, "modules %d loaded, %d left to the system", loaded, left)
	for _, f := range m.loader.failures() {
		m.log.printf(levelWarning, "module %s", f)
	}
	plan, err := Plan(m.config, m.cmd, m.root.Path())
	if err != nil {
		return err
	}
	m.mounts.undo()
	if err := m.mounts.do(plan); err != nil {
		return withKernelReason(err)
	}
	m.log.printf(levelInfo, "mounted %d file systems%s", len(m.mounts.mounted), mode(m.config, m.cmd))
	return nil
}

func mode(c config.Config, cmd Cmdline) string {
	switch {
	case cmd.Factory:
		return ", factory: changes are lost at power-off"
	case c.Tmpfs != nil:
		return ", / is in memory"
	}
	return ""
}

func withKernelReason(err error) error {
	lines := kernelLines(8, "BTRFS", "overlay", "erofs")
	for _, l := range lines {
		err = fmt.Errorf("%w\n  kernel: %s", err, l)
	}
	return err
}

// handOver ends the boot. Up to the point of no return all is put back for the next try.
func (m *machine) handOver() error {
	init, err := findInit(newRoot, m.cmd.Init)
	if err != nil {
		return err
	}
	m.cancel()
	if err := moveMounts("", newRoot); err != nil {
		return err
	}
	if err = m.prepare(init); err == nil {
		m.log.printf(levelInfo, "switching to %s on %s", init, m.root.Path())
		signal.Reset()
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_ON)
		// What the kernel has given us for init, it gets: arguments and
		// environment.
		err = switchRoot(newRoot, init, append([]string{init}, os.Args[1:]...), os.Environ())
	}
	if errors.Is(err, errCommitted) {
		return err
	}
	m.made.undo()
	return errors.Join(err, moveMounts(newRoot, ""))
}
