package qemutests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// process is one QEMU. A machine that restarts goes on in another, see
// VM.supervise.
type process struct {
	qmp    *qmp
	stderr tail
	ended  chan struct{} // closed when QEMU has ended
	err    error         // how it ended; valid once ended is closed
	resets atomic.Bool   // it ended because the machine restarts

	ends    []io.Closer    // this side's ends of the channels
	readers sync.WaitGroup // of console and agent
}

// launch starts QEMU and connects it with console and agent. On an error
// nothing is left of it.
func (vm *VM) launch(ctx context.Context) (*process, error) {
	p := &process{ended: make(chan struct{})}
	var host [3]io.ReadWriteCloser // qmp, serial, agent, as the descriptors go
	var guest []*os.File
	var err error
	for i := range host {
		var theirs *os.File
		if host[i], theirs, err = socketPair(); err != nil {
			break
		}
		guest, p.ends = append(guest, theirs), append(p.ends, host[i])
	}
	var kill context.CancelFunc
	if err == nil {
		kill, err = p.run(ctx, vm.machine.live(), guest)
	}
	// QEMU has its ends now, and they end with it, or never will.
	for _, f := range guest {
		f.Close()
	}
	if err != nil {
		return nil, errors.Join(err, p.hangUp())
	}
	p.readers.Go(func() { vm.Console.serve(host[1]) })
	p.readers.Go(func() { vm.agent.serve(host[2]) })
	p.readers.Go(func() { vm.agent.greet(host[2]) })
	p.qmp, err = newQMP(ctx, host[0], func(e Event) { vm.event(p, e) })
	if err != nil {
		kill()
		<-p.ended
		p.readers.Wait()
		return nil, errors.Join(fmt.Errorf("QEMU did not start: %w: %s", err, p.stderr.String()), p.hangUp())
	}
	return p, nil
}

// run runs QEMU and closes p.ended when it has ended. The kernel ties
// Pdeathsig to the thread that started the process, so that one is held until
// then.
func (p *process) run(ctx context.Context, args []string, files []*os.File) (kill context.CancelFunc, err error) {
	ctx, kill = context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, Binary, args...)
	cmd.ExtraFiles = files
	cmd.Stderr = &p.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		defer kill()
		defer close(p.ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	err = <-started
	if errors.Is(err, exec.ErrNotFound) {
		err = fault.New(fault.Input, "install the package qemu-system-x86 (Debian, Ubuntu), qemu-system-x86-core (Fedora), qemu-system-x86_64 (Arch) or qemu (NixOS)",
			"the program %s was not found", Binary)
	}
	return kill, err
}

// wait waits until QEMU has ended and all that it sent was read.
func (p *process) wait() error {
	<-p.ended
	<-p.qmp.gone
	p.readers.Wait()
	return p.hangUp()
}

// hangUp closes this side's ends of the channels.
func (p *process) hangUp() error {
	var errs []error
	for _, end := range p.ends {
		errs = append(errs, end.Close())
	}
	return errors.Join(errs...)
}

// isReset reports whether a SHUTDOWN is that of a machine that restarts: QEMU
// is told to end then. (QEMU qapi/run-state.json, ShutdownCause.)
func isReset(e Event) bool {
	var data struct {
		Reason string `json:"reason"`
	}
	return e.Name == "SHUTDOWN" && json.Unmarshal(e.Data, &data) == nil &&
		(data.Reason == "guest-reset" || data.Reason == "host-qmp-system-reset")
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

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-tailSize):]
	return len(p), nil
}

// String may be called once QEMU has ended.
func (t *tail) String() string { return strings.TrimSpace(string(t.b)) }
