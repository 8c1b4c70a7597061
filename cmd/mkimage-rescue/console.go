package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/rescue/menu"
)

// console is where a menu runs its entries: standard input, output and errors.
type console struct {
	self   string        // this program
	before *unix.Termios // nil where it is no terminal
}

func newConsole() (*console, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &console{self: self}
	if t, err := unix.IoctlGetTermios(unix.Stdin, unix.TCGETS); err == nil {
		c.before = t
	}
	return c, nil
}

// run runs the program with other arguments and waits for it. It is a process of its own,
// so that its end, of whatever kind, is not that of the menu. What writes to disks takes
// the lock itself, as if it were typed in a shell.
func (c *console) run(_ context.Context, e menu.Entry) error {
	cmd := exec.Command(c.self, e.Command...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	c.restore()
	return how(err)
}

// how says how a program ended, which has told the reason itself.
func how(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	switch status := exit.Sys().(syscall.WaitStatus); {
	case status.Signaled() && status.Signal() == syscall.SIGINT, status.ExitStatus() == exitInterrupted:
		return errors.New("interrupted")
	case status.Signaled():
		return fmt.Errorf("killed by %s", status.Signal())
	default:
		return fmt.Errorf("code %d", status.ExitStatus())
	}
}

// restore makes the terminal the menu's again, as it was: what ran may have ended in the
// middle of a question. What was typed meanwhile was for that, and is dropped.
func (c *console) restore() {
	if c.before == nil {
		return
	}
	_ = takeTerminal(unix.Stdin) // of a session that is not ours it cannot be taken, and need not
	_ = unix.IoctlSetTermios(unix.Stdin, unix.TCSETS, c.before)
	_ = unix.IoctlSetInt(unix.Stdin, unix.TCFLSH, unix.TCIFLUSH)
}

// takeTerminal puts this process into the foreground of its terminal. The signal for who
// does that from the background is blocked and not ignored: programs that are started
// would inherit that.
func takeTerminal(fd int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const bits = 64
	var block, before unix.Sigset_t
	block.Val[(unix.SIGTTOU-1)/bits] |= 1 << ((unix.SIGTTOU - 1) % bits)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &block, &before); err != nil {
		return err
	}
	err := unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, unix.Getpgrp())
	return errors.Join(err, unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil))
}
