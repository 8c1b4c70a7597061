package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	qemutests "github.com/6FaNcY9/mkimage/qemu-tests"
)

// escapeKey is Ctrl-A: what follows it is for this program.
const escapeKey = 0x01

// attachTerminal hands what is typed to the machine until it is off or the user
// ends it.
func attachTerminal(ctx context.Context, vm *qemutests.VM, in *os.File) error {
	restore := rawTerminal(in)
	defer restore()
	ended := make(chan struct{})
	go func() {
		if typeInto(in, console{ctx, vm}) {
			close(ended)
		}
	}()
	select {
	case <-ended:
		vm.PowerCut()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-vm.Exited():
		// Not the caller's context: the machine is off already.
		return vm.Wait(context.Background())
	}
}

// keyboard is where keys go.
type keyboard interface {
	send(b byte)
	powerButton()
}

type console struct {
	ctx context.Context
	vm  *qemutests.VM
}

// send drops a key that comes while the machine restarts, as hardware does: the
// next must still reach it, or end it.
func (c console) send(b byte) { _ = c.vm.Console.Send(string([]byte{b})) }

// powerButton is pressed without waiting for what the machine makes of it.
func (c console) powerButton() {
	_ = c.vm.Execute(c.ctx, "system_powerdown", nil, nil)
}

// typeInto sends keys until there are no more, or the user ends the machine:
// then it returns true.
func typeInto(in io.Reader, to keyboard) bool {
	keys := bufio.NewReader(in)
	escaped := false
	for {
		b, err := keys.ReadByte()
		if err != nil {
			return false
		}
		switch {
		case !escaped && b == escapeKey:
			escaped = true
			continue
		case escaped && (b == 'x' || b == 'X'):
			return true
		case escaped && (b == 'p' || b == 'P'):
			to.powerButton()
		case escaped && (b == 'a' || b == 'A' || b == escapeKey):
			to.send(escapeKey)
		default: // an unknown key after Ctrl-A is for the machine
			to.send(b)
		}
		escaped = false
	}
}

// rawTerminal makes a terminal hand on every key as it is, and returns what
// undoes that. Anything but a terminal is left alone.
func rawTerminal(f *os.File) (restore func()) {
	fd := int(f.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return func() {}
	}
	raw := *old
	// As cfmakeraw(3) does, but that output keeps its new lines.
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil && !errors.Is(err, unix.EINTR) {
		return func() {}
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, old) }
}
