package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// holderPatience is how long the holder of the lock may take to end what it does: an
// installer, or restic that checks, has to end first.
const holderPatience = 45 * time.Second

// lastCommand is one after which there is no other: that which ends the machine's time. It
// waits for nobody who hangs, if that is agreed to.
type lastCommand struct {
	name      string // of the command
	lock      string // path
	interrupt int    // process of the holder that may be ended; 0 for none
	kill      func(pid int, signal unix.Signal) error
	patience  time.Duration // with the holder
	out       io.Writer
}

// take takes the lock, from its holder if that was named. A lock that cannot be had for
// another reason holds nothing up.
func (l lastCommand) take(ctx context.Context) (release func() error, err error) {
	who := fmt.Sprintf("%d %s", os.Getpid(), l.name)
	release, err = alone(l.lock, who)
	var held *heldError
	if !errors.As(err, &held) {
		if err != nil {
			fmt.Fprintf(l.out, "%v\n", err)
			release = func() error { return nil }
		}
		return release, nil
	}
	if l.interrupt == 0 || held.pid != strconv.Itoa(l.interrupt) {
		return nil, l.refuse(held)
	}
	fmt.Fprintf(l.out, "%s (process %d) is told to end, and has %s for it.\n", held.command, l.interrupt, l.patience)
	if err := l.kill(l.interrupt, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
		fmt.Fprintf(l.out, "process %d: %v\n", l.interrupt, err)
	}
	return l.wait(ctx, who), nil
}

// refuse names the holder, and what ends it.
func (l lastCommand) refuse(held *heldError) error {
	if held.pid == "" {
		return fault.New(fault.Target, "run it again", "%w", held)
	}
	return fault.New(fault.Target, "wait until it has ended, or end it, and lose what it has not written yet: mkimage-rescue "+l.name+" --interrupt "+held.pid, "%w", held)
}

// wait waits for the lock, and goes without it when the time is over.
func (l lastCommand) wait(ctx context.Context, who string) (release func() error) {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	tick := time.NewTicker(emptied)
	defer tick.Stop()
	for {
		if release, err := alone(l.lock, who); err == nil {
			return release
		}
		select {
		case <-ctx.Done():
			fmt.Fprintf(l.out, "process %d does not end: %s goes on without it.\n", l.interrupt, l.name)
			return func() error { return nil }
		case <-tick.C:
		}
	}
}
