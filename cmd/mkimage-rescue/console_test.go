package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/rescue/menu"
)

// asMenu has the test's own binary show a menu whose entries are commands of a shell.
const asMenu = "MKIMAGE_RESCUE_TEST_MENU"

// onTerminal are those entries.
var onTerminal = []menu.Entry{
	{Title: "what is ended by Ctrl-C", Command: []string{"-c", "echo ready; exec sleep 60"}},
	{Title: "what dies in raw mode", Command: []string{"-c", "stty raw -echo; kill -9 $$"}},
	{Title: "what dies with the terminal", Command: []string{"-ic", "kill -9 $$"}},
	{Title: "what ends with a code", Command: []string{"-c", "exit 5"}},
}

func TestMain(m *testing.M) {
	if os.Getenv(asMenu) == "" {
		code := m.Run()
		if benchDir != "" {
			os.RemoveAll(benchDir)
		}
		os.Exit(code)
	}
	c, err := newConsole()
	if err == nil {
		c.self = "/bin/bash"
		ctx, stop := untouched(context.Background())
		defer stop()
		err = (&menu.Menu{Program: "p", Entries: onTerminal, In: os.Stdin, Out: os.Stdout, Run: c.run, Stays: true}).Loop(ctx)
	}
	fmt.Println("the menu ended:", err)
	os.Exit(1)
}

// person sits at a terminal.
type person struct {
	*testing.T
	fd   int
	file *os.File // the same
	seen string
}

// startMenu starts the menu on a terminal of its own.
func startMenu(t *testing.T) *person {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "/dev/ptmx")
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), asMenu+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = other, other, other
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = errors.Join(other.Close(), f.Close())
	})
	return &person{T: t, fd: fd, file: f}
}

// until reads up to a text, and returns what came before it.
func (p *person) until(text string) string {
	p.Helper()
	b := make([]byte, 256)
	for {
		if before, after, ok := strings.Cut(p.seen, text); ok {
			p.seen = after
			return before
		}
		if err := p.file.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			p.Fatal(err)
		}
		n, err := p.file.Read(b)
		if err != nil {
			p.Fatalf("%v after %q; want %q", err, p.seen[max(0, len(p.seen)-300):], text)
		}
		p.seen += string(b[:n])
	}
}

func (p *person) types(keys string) {
	p.Helper()
	if _, err := p.file.WriteString(keys); err != nil {
		p.Fatal(err)
	}
}

// TestTerminal: whatever becomes of an entry, the menu has the terminal again.
func TestTerminal(t *testing.T) {
	imgtest.Need(t, "/bin/bash", "stty")
	p := startMenu(t)
	p.until("rescue> ")
	for _, tt := range []struct{ number, keys, want string }{
		{"1", "\x03", "-c has ended: interrupted."},
		{"2", "", "-c has ended: killed by killed."},
		{"3", "", "-ic has ended: killed by killed."},
		{"4", "", "-c has ended: code 5."},
	} {
		p.types(tt.number + "\n")
		if tt.keys != "" {
			p.until("ready\r\n")
			p.types(tt.keys)
		}
		p.until(tt.want)
		p.until("rescue> ")
		if modes, err := unix.IoctlGetTermios(p.fd, unix.TCGETS); err != nil || modes.Lflag&unix.ECHO == 0 || modes.Lflag&unix.ICANON == 0 {
			t.Errorf("%s: terminal left in raw mode: %v", tt.number, err)
		}
	}
	p.types("\x03") // of nothing
	p.types("\x04")
	p.until("what is ended by Ctrl-C")
	p.until("rescue> ")
	p.types("9\n")
	p.until("expected a number from 1 to 4")
}

// TestAlone: one console at a time, and the other is told of which.
func TestAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	release, err := alone(path, "recover --all")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alone(path, "boot"); err == nil || err.Error() != `"recover --all" runs on another console: wait until that has ended` {
		t.Errorf("second: %v", err)
	}
	c := &console{self: "/bin/true", lock: path}
	if err := c.run(t.Context(), menu.Entry{Command: []string{"boot"}}); err == nil {
		t.Error("an entry that writes ran beside another")
	}
	if err := c.run(t.Context(), menu.Entry{Command: []string{"inventory"}}); err != nil {
		t.Errorf("an entry that looks: %v", err)
	}
	release()
	if release, err = alone(path, "boot"); err != nil {
		t.Fatal(err)
	}
	release()
	if text, err := os.ReadFile(path); err != nil || string(text) != "boot" {
		t.Errorf("lock %q, %v", text, err)
	}
}
