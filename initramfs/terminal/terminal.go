// Package terminal talks to a person who may sit at any console of a machine:
// what is said appears on each of them, and keys of each are handed in.
package terminal

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// slowOutput is how long a console may take for a text.
const slowOutput = time.Second

// Set is the consoles of a machine, in raw mode. It is not for concurrent use,
// but for the channel of Input.
type Set struct {
	All     []*Terminal // those that are open
	input   chan Typed
	done    chan struct{}
	readers sync.WaitGroup
}

// Typed is what came from a console.
type Typed struct {
	From *Terminal
	Text []byte
	Err  error // nothing more will come
}

// Terminal is one console.
type Terminal struct {
	Node   string
	file   *os.File
	before unix.Termios
}

// Input is where keys come from, in the order in which they are pressed.
func (t *Set) Input() <-chan Typed { return t.input }

// Open opens those consoles that are terminals.
func Open(nodes []string) *Set {
	t := &Set{input: make(chan Typed), done: make(chan struct{})}
	for _, node := range nodes {
		c, err := openTerminal(node)
		if err != nil {
			continue // such as a console without a keyboard; another may have one
		}
		t.All = append(t.All, c)
		t.readers.Add(1)
		go t.read(c)
	}
	return t
}

func openTerminal(node string) (*Terminal, error) {
	f, err := os.OpenFile(node, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	c := &Terminal{Node: node, file: f}
	if err := c.raw(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return c, nil
}

// raw has keys handed in as they are pressed, and not shown. What was typed
// before is dropped: it was no answer.
func (c *Terminal) raw() error {
	return c.control(func(fd int) error {
		before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		c.before = *before
		raw := *before
		raw.Iflag &^= unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
		raw.Iflag |= unix.IGNBRK
		raw.Oflag &^= unix.OPOST
		raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
		raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
		return errors.Join(unix.IoctlSetTermios(fd, unix.TCSETS, &raw), flushInput(fd))
	})
}

// flushInput drops what was typed and not read.
func flushInput(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH) }

// control calls do with the descriptor, which stays one of the runtime's: its
// reads can be ended.
func (c *Terminal) control(do func(fd int) error) error {
	conn, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) { failed = do(int(fd)) })
	return errors.Join(err, failed)
}

// IsScreen reports whether the console is that of a screen and a keyboard.
func (c *Terminal) IsScreen() bool { return isScreen(c.Node) }

// read hands in what is typed.
func (t *Set) read(c *Terminal) {
	defer t.readers.Done()
	for {
		b := make([]byte, 256)
		n, err := c.file.Read(b)
		if n == 0 && err == nil {
			err = io.EOF
		}
		select {
		case t.input <- Typed{c, b[:n], err}:
		case <-t.done:
			clear(b)
			return
		}
		if err != nil {
			return
		}
	}
}

// Close leaves the consoles as they were. What was typed meanwhile must not
// become the name at a login, for all to see.
func (t *Set) Close() {
	close(t.done)
	for _, c := range t.All {
		_ = c.file.SetReadDeadline(time.Unix(1, 0))
	}
	t.wait()
	for _, c := range t.All {
		c.leave()
	}
	t.All = nil
}

func (c *Terminal) leave() {
	_ = c.control(func(fd int) error {
		return errors.Join(flushInput(fd), unix.IoctlSetTermios(fd, unix.TCSETS, &c.before))
	})
	_ = c.file.Close()
}

// drained is how long nothing must come before all is taken for read: a reader may
// just be between the console and the channel.
const drained = 20 * time.Millisecond

// Flush drops what was typed and not read, and wipes it: keys that were pressed
// before a question are no answer to it.
func (t *Set) Flush() {
	for _, c := range t.All {
		_ = c.control(flushInput)
	}
	for {
		select {
		case in := <-t.input:
			clear(in.Text)
			if in.Err != nil {
				t.Drop(in.From)
			}
		case <-time.After(drained):
			return
		}
	}
}

// Drop leaves out a console that has ended.
func (t *Set) Drop(c *Terminal) {
	if i := slices.Index(t.All, c); i >= 0 {
		t.All = slices.Delete(t.All, i, i+1)
		c.leave()
	}
}

// Show writes a text on every console.
func (t *Set) Show(text string) {
	for _, c := range t.All {
		c.Show(text)
	}
}

// Show writes a text. A console that does not take it must not hold up the rest.
func (c *Terminal) Show(text string) {
	_ = c.file.SetWriteDeadline(time.Now().Add(slowOutput))
	_, _ = c.file.WriteString(strings.ReplaceAll(text, "\n", "\r\n"))
}

// wait waits for the readers, but not for one whose console does not answer.
func (t *Set) wait() {
	ended := make(chan struct{})
	go func() {
		t.readers.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(slowOutput):
	}
}
