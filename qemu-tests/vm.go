package qemutests

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// VM is a running machine. Its methods may be used from several goroutines;
// their errors are a *Failure once the machine runs.
type VM struct {
	Console *Console

	machine machine
	ownDir  string // "" when the folder is the caller's
	log     *os.File
	agent   *agent
	events  *eventLog
	kill    context.CancelFunc

	mu      sync.Mutex
	process *process // the present one

	exited chan struct{} // closed when the machine is off
	exit   error         // of QEMU; valid once exited is closed
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
	c.CPUs = cmp.Or(c.CPUs, c.Accel.cpus())
	vm := &VM{machine: machine{Config: c}, exited: make(chan struct{})}
	ctx, vm.kill = context.WithCancel(ctx)
	if err := vm.start(ctx); err != nil {
		close(vm.exited)
		return nil, errors.Join(fmt.Errorf("machine %s: %w", c.Name, err), vm.Close())
	}
	return vm, nil
}

func (vm *VM) start(ctx context.Context) error {
	if err := vm.prepare(); err != nil {
		return err
	}
	vm.Console, vm.agent, vm.events = newConsole(vm.serialWriter()), newAgent(), newEventLog(vm.exited)
	p, err := vm.launch(ctx)
	if err != nil {
		return err
	}
	vm.process = p
	go vm.supervise(ctx)
	return nil
}

// supervise starts QEMU again when the machine restarts, and notes when it is
// off.
//
// A restart within one QEMU would do where KVM executes the guest. TCG keeps
// its translation of the old kernel, and the firmware, which unpacks itself
// over that, pays for it byte by byte: between 5 seconds and 8 minutes,
// depending on where the kernel lay.
func (vm *VM) supervise(ctx context.Context) {
	defer close(vm.exited)
	defer close(vm.Console.off)
	p := vm.process
	for {
		vm.exit = errors.Join(p.wait(), p.exitError())
		if vm.exit != nil || !p.resets.Load() || ctx.Err() != nil {
			return
		}
		if p, vm.exit = vm.launch(ctx); vm.exit != nil {
			return
		}
		vm.mu.Lock()
		vm.process = p
		vm.mu.Unlock()
		vm.events.record(Event{Name: resetEvent})
	}
}

// resetEvent is what QEMU calls a restart of the machine.
const resetEvent = "RESET"

// exitError returns how QEMU ended, with what it said, or nil.
func (p *process) exitError() error {
	if p.err == nil {
		return nil
	}
	return fmt.Errorf("QEMU: %w: %s", p.err, p.stderr.String())
}

// current returns the QEMU that the machine runs in.
func (vm *VM) current() *process {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	return vm.process
}

// event notes an event of a QEMU, whose reader calls it. The end of one whose
// machine restarts is none of the machine.
func (vm *VM) event(p *process, e Event) {
	if isReset(e) {
		p.resets.Store(true)
		return
	}
	vm.events.record(e)
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

// Close ends the machine, if it runs, and removes its temporary files.
func (vm *VM) Close() error {
	vm.kill()
	<-vm.exited
	var errs []error
	if vm.log != nil {
		errs = append(errs, vm.log.Close())
		vm.log = nil
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

// Exited returns a channel that is closed when the machine is off.
func (vm *VM) Exited() <-chan struct{} { return vm.exited }

// Wait waits until the machine is off. An end that is no success of QEMU is an
// error.
func (vm *VM) Wait(ctx context.Context) error {
	select {
	case <-vm.exited:
		return vm.fail(vm.exit)
	case <-ctx.Done():
		return vm.fail(fmt.Errorf("waiting for power-off: %w", ctx.Err()))
	}
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
