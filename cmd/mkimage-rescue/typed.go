package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// askHidden returns what asks for a line that is not shown, nil where nobody can be asked.
// Its user wipes the line.
func (p *program) askHidden() func(ctx context.Context, question string) ([]byte, error) {
	if !p.interactive() {
		return nil
	}
	return func(ctx context.Context, question string) ([]byte, error) { return p.typed(ctx, question, true) }
}

// typed reads a line of the input. When ctx ends, a terminal shows again what is typed.
func (p *program) typed(ctx context.Context, question string, hidden bool) ([]byte, error) {
	from := p.stdin
	if f, ok := p.stdin.(*os.File); ok {
		restore, err := lineMode(f, hidden)
		if err != nil {
			return nil, err
		}
		defer restore()
		// The reader has a descriptor of its own: it may outlive this function.
		own, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		from = os.NewFile(uintptr(own), f.Name())
	}
	fmt.Fprint(p.stderr, question)
	type result struct {
		line []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		line, err := readLine(from)
		if c, ok := from.(io.Closer); ok && from != p.stdin {
			c.Close()
		}
		done <- result{line, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-done:
		return r.line, r.err
	}
}

// lineMode has a terminal hand in lines, which are shown or not. What is none stays as it
// is, but nothing hidden is read from it.
func lineMode(f *os.File, hidden bool) (restore func(), err error) {
	fd := int(f.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		if hidden {
			return nil, fault.New(fault.Usage, "run it on a terminal", "%s: is no terminal, and a secret is asked for", f.Name())
		}
		return func() {}, nil
	}
	mode := *old
	mode.Lflag |= unix.ICANON | unix.ISIG | unix.ECHO
	mode.Iflag |= unix.ICRNL
	if hidden {
		mode.Lflag = mode.Lflag&^unix.ECHO | unix.ECHONL
	}
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &mode); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, old) }, nil
}

// readLine reads up to a newline, and nothing behind it.
func readLine(r io.Reader) ([]byte, error) {
	var line []byte
	for b := make([]byte, 1); len(line) <= maxAnswer; {
		switch _, err := io.ReadFull(r, b); {
		case errors.Is(err, io.EOF), errors.Is(err, unix.EIO): // the terminal is gone
			return nil, fault.New(fault.Usage, "", "nobody answers: the input has ended")
		case err != nil:
			return nil, err
		case b[0] == '\n':
			return line, nil
		}
		line = append(line, b[0])
	}
	return nil, fault.New(fault.Usage, "", "more than %d bytes were typed in a line", maxAnswer)
}
