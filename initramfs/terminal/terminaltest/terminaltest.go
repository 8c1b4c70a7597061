// Package terminaltest is a person at a terminal, for tests.
package terminaltest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// deadline is how long a text may take that is waited for.
const deadline = time.Minute

// Console is a terminal at which a test sits.
type Console struct {
	t      testing.TB
	Node   string // its name
	master *os.File
	slave  *os.File // so that the terminal stays while nobody else has it
	before unix.Termios

	mu      sync.Mutex
	text    string // all that it showed
	at      int    // behind what See has found
	changed chan struct{}
}

// New makes a terminal, and the end of which a test has.
func New(t testing.TB) *Console {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no pseudo terminals: %v", err)
	}
	c := &Console{t: t, master: master, changed: make(chan struct{}, 1)}
	err = control(master, func(fd int) error {
		number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
		c.Node = fmt.Sprint("/dev/pts/", number)
		if err != nil {
			return err
		}
		return unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.slave, err = os.OpenFile(c.Node, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	c.before = c.termios()
	t.Cleanup(func() {
		master.Close()
		c.slave.Close()
	})
	go c.watch()
	return c
}

// control calls do with a descriptor, which stays one of the runtime's.
func control(f *os.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) { failed = do(int(fd)) })
	return errors.Join(err, failed)
}

func (c *Console) watch() {
	b := make([]byte, 4096)
	for {
		n, err := c.master.Read(b)
		if err != nil {
			return
		}
		c.mu.Lock()
		c.text += string(b[:n])
		c.mu.Unlock()
		select {
		case c.changed <- struct{}{}:
		default:
		}
	}
}

func (c *Console) termios() unix.Termios {
	c.t.Helper()
	var got *unix.Termios
	if err := control(c.slave, func(fd int) (err error) { got, err = unix.IoctlGetTermios(fd, unix.TCGETS); return err }); err != nil {
		c.t.Fatal(err)
	}
	return *got
}

// See waits for a text behind the one that it saw last.
func (c *Console) See(text string) {
	c.t.Helper()
	late := time.After(deadline)
	for {
		c.mu.Lock()
		i := strings.Index(c.text[c.at:], text)
		if i >= 0 {
			c.at += i + len(text)
			c.mu.Unlock()
			return
		}
		shown := c.text
		c.mu.Unlock()
		select {
		case <-c.changed:
		case <-late:
			c.t.Fatalf("no %q on the console:\n%s", text, shown)
		}
	}
}

// All is what it has shown so far.
func (c *Console) All() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text
}

// Press types keys.
func (c *Console) Press(keys string) {
	c.t.Helper()
	if _, err := c.master.WriteString(keys); err != nil {
		c.t.Fatal(err)
	}
}

// Left checks that the console is as it was, and has shown no secret.
func (c *Console) Left(secrets ...string) {
	c.t.Helper()
	if c.termios() != c.before {
		c.t.Errorf("the terminal is %+v; was %+v", c.termios(), c.before)
	}
	for _, secret := range secrets {
		if strings.Contains(c.All(), secret) {
			c.t.Errorf("%q is on the console:\n%s", secret, c.All())
		}
	}
}

// HangUp ends it.
func (c *Console) HangUp() {
	c.slave.Close()
	c.master.Close()
}
