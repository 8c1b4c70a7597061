package qemutests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// VM is a running machine. Its methods may be used from several goroutines;
// their errors are a *Failure once the machine runs.
type VM struct {
	Console *Console

	machine machine
	ownDir  string      // "" when the folder is the caller's
	ends    []io.Closer // this process's ends of the channels
	log     *os.File
	stderr  tail
	qmp     *qmp
	agent   *agent
	kill    context.CancelFunc
	exited  chan struct{}
	exit    error // of QEMU; valid once exited is closed
}

// Start starts a machine. It is killed when ctx ends, when Close is called and
// when this process dies.
func Start(ctx context.Context, c Config) (*VM, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Accel == "" {
		a, err := Probe()
		if err != nil {
			return nil, err
		}
		c.Accel = a
	}
	vm := &VM{machine: machine{Config: c}, exited: make(chan struct{})}
	ctx, vm.kill = context.WithCancel(ctx)
	if err := vm.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("machine %s: %w", c.Name, err), vm.Close())
	}
	return vm, nil
}

func (vm *VM) start(ctx context.Context) error {
	if err := vm.prepare(); err != nil {
		close(vm.exited)
		return err
	}
	var host [3]io.ReadWriteCloser // qmp, serial, agent, as the descriptors go
	var guest []*os.File
	for i := range host {
		ours, theirs, err := socketPair()
		if err != nil {
			close(vm.exited)
			return err
		}
		defer theirs.Close() // QEMU has it by then, or never
		host[i], guest, vm.ends = ours, append(guest, theirs), append(vm.ends, ours)
	}
	if err := vm.launch(ctx, guest); err != nil {
		return err
	}
	vm.Console = newConsole(host[1], vm.serialWriter())
	vm.agent = newAgent(host[2])
	q, err := newQMP(ctx, host[0], vm.event)
	if err != nil {
		vm.kill()
		<-vm.exited
		return fmt.Errorf("QEMU did not start: %w: %s", err, vm.stderr.String())
	}
	vm.qmp = q
	return nil
}

// prepare puts the files of the machine in place.
func (vm *VM) prepare() (err error) {
	m := &vm.machine
	if m.Dir == "" {
		if m.Dir, err = os.MkdirTemp("", "mkimage-vm-"); err != nil {
			return err
		}
		vm.ownDir = m.Dir
	}
	if m.Direct.Kernel == "" {
		if m.Firmware.Code == "" {
			if m.Firmware, err = FindFirmware("/"); err != nil {
				return err
			}
		}
		if m.vars, err = copyVars(m.Firmware.Vars, m.Dir); err != nil {
			return err
		}
	}
	for i, d := range m.Disks {
		file, err := overlay(d, i, m.Dir)
		if err != nil {
			return err
		}
		m.overlays = append(m.overlays, file)
	}
	if m.Keep == "" {
		return nil
	}
	if err := os.MkdirAll(m.Keep, 0o755); err != nil {
		return err
	}
	vm.log, err = os.OpenFile(filepath.Join(m.Keep, m.Name+".serial"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	return err
}

// serialWriter returns what gets the serial console as it comes, or nil.
func (vm *VM) serialWriter() io.Writer {
	switch {
	case vm.log == nil:
		return vm.machine.Serial
	case vm.machine.Serial == nil:
		return vm.log
	}
	return io.MultiWriter(vm.log, vm.machine.Serial)
}

// launch runs QEMU and closes vm.exited when it has ended. The kernel ties
// Pdeathsig to the thread that started the process, so that one is held until
// then.
func (vm *VM) launch(ctx context.Context, files []*os.File) error {
	cmd := exec.CommandContext(ctx, Binary, vm.machine.live()...)
	cmd.ExtraFiles = files
	cmd.Stderr = &vm.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		defer close(vm.exited)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			vm.exit = cmd.Wait()
		}
	}()
	err := <-started
	if errors.Is(err, exec.ErrNotFound) {
		return fault.New(fault.Input, "install the package qemu-system-x86 (Debian, Ubuntu), qemu-system-x86-core (Fedora), qemu-system-x86_64 (Arch) or qemu (NixOS)",
			"the program %s was not found", Binary)
	}
	return err
}

// event keeps the harness in step with the guest. QMP's reader calls it.
func (vm *VM) event(e Event) {
	if e.Name == "RESET" {
		vm.agent.reset()
	}
}

// Close ends the machine, if it runs, and removes its temporary files.
func (vm *VM) Close() error {
	vm.kill()
	<-vm.exited
	var errs []error
	for _, end := range vm.ends {
		end.Close()
	}
	if vm.Console != nil {
		<-vm.Console.gone // its reader is done with the log
	}
	if vm.log != nil {
		errs = append(errs, vm.log.Close())
	}
	if vm.ownDir != "" {
		errs = append(errs, os.RemoveAll(vm.ownDir))
	}
	return errors.Join(errs...)
}

// Command returns a command line that starts a machine like this one on a
// terminal: the serial console is there, Ctrl-A X quits, and nothing is
// written into the images but where the Config says so.
func (vm *VM) Command() string { return shellLine(Binary, vm.machine.replay()) }

// Exited returns a channel that is closed when QEMU has ended.
func (vm *VM) Exited() <-chan struct{} { return vm.exited }

// Wait waits until the machine is off. An end that is no success of QEMU is an
// error.
func (vm *VM) Wait(ctx context.Context) error {
	select {
	case <-vm.exited:
	case <-ctx.Done():
		return vm.fail(fmt.Errorf("waiting for power-off: %w", ctx.Err()))
	}
	if vm.exit != nil {
		return vm.fail(fmt.Errorf("QEMU: %w: %s", vm.exit, vm.stderr.String()))
	}
	return nil
}

// PowerCut ends the machine as a power cut does: with SIGKILL, between two
// instructions. What the guest flushed is on its disk. What it wrote and did
// not flush may be there or not: an image file keeps all that QEMU handed to
// the host's page cache, while new clusters of an overlay are lost, since
// their table was only in QEMU's memory. The image itself then is as the
// machine's disk was; start another with the same Config.Dir to go on.
func (vm *VM) PowerCut() {
	vm.kill()
	<-vm.exited
}

// socketPair returns this process's end of a new stream socket and QEMU's.
func socketPair() (io.ReadWriteCloser, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	// Not blocking, ours is served by the runtime's poller, so that Close ends
	// a Read. QEMU sets its own as it needs it.
	return os.NewFile(uintptr(fds[0]), "channel"), os.NewFile(uintptr(fds[1]), "channel"), nil
}

// tail keeps the last bytes that are written to it.
type tail struct{ b []byte }

// tailSize is enough for what QEMU says before it ends.
const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-tailSize):]
	return len(p), nil
}

// String may be called once QEMU has ended.
func (t *tail) String() string { return strings.TrimSpace(string(t.b)) }
