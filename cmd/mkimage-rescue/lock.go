package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// maxLock bounds what is written into a lock and read of it, in bytes.
const maxLock = 200

// lockHere is the path of the lock of those that write to disks; "" elsewhere than in the
// rescue environment, where the disks are another one's and each image is for itself.
func lockHere() string {
	if isHere() {
		return lockPath
	}
	return ""
}

// alone takes the lock of the commands that write to disks: of two that are started, by
// whom and on which console ever, the second one is refused. The lock goes with the
// process that has it, however that ends.
func (p *program) alone() (release func() error, err error) {
	if p.lock == "" {
		return func() error { return nil }, nil
	}
	return alone(p.lock, fmt.Sprintf("%d %s", os.Getpid(), oneLine(strings.Join(p.args, " "))))
}

// staysAlone takes the lock until the command has ended, and undone what it mounted.
func (p *program) staysAlone() error {
	release, err := p.alone()
	if err != nil {
		return err
	}
	p.after = append([]func() error{release}, p.after...)
	return nil
}

// alone takes a lock for a process and its command, "PID COMMAND".
func alone(path, who string) (release func() error, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(refusal(f), f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(who[:min(len(who), maxLock)]), 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { return errors.Join(f.Truncate(0), f.Close()) }, nil
}

// heldError says who has a lock. A holder that has only just come has not said yet who it
// is.
type heldError struct{ pid, command string }

func (e *heldError) Error() string {
	return fmt.Sprintf("%q runs (process %s): expected no other command that writes to disks", cmp.Or(e.command, "another command"), cmp.Or(e.pid, "unknown"))
}

// refusal is the error for who comes second.
func refusal(lock *os.File) error {
	text := make([]byte, maxLock)
	n, _ := lock.ReadAt(text, 0)
	var held heldError
	held.pid, held.command, _ = strings.Cut(string(text[:n]), " ")
	return fault.New(fault.Target, "wait until it has ended; mkimage-rescue inventory looks meanwhile", "%w", &held)
}
