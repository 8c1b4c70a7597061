package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
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
	switch {
	case len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-"): // as the program starts itself
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	case os.Getenv(asMachine) != "":
		fmt.Println("the machine ended:", beMachine(os.Getenv(asMachine)))
		os.Exit(1)
	case os.Getenv(asMenu) == "":
		code := m.Run()
		if benchDir != "" {
			os.RemoveAll(benchDir)
		}
		os.Exit(code)
	}
	c, err := newConsole()
	if err == nil {
		c.self = "/bin/bash"
		ctx, lost := whoIsLost(context.Background())
		defer lost()
		ctx, stop := untouched(ctx)
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

// openTerminal returns a person at a terminal, and the terminal's other end.
func openTerminal(t *testing.T) (p *person, other *os.File) {
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
	other, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(other.Close(), f.Close()) })
	return &person{T: t, fd: fd, file: f}, other
}

// startMenu starts the menu on a terminal of its own.
func startMenu(t *testing.T) (*person, *os.Process) {
	t.Helper()
	p, other := openTerminal(t)
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
	})
	return p, cmd.Process
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
	p, _ := startMenu(t)
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

// TestMenuHangup: the end of the keeper, which the kernel tells by SIGHUP, is that of its
// menu, and one who takes its place has the console for itself.
func TestMenuHangup(t *testing.T) {
	p, menu := startMenu(t)
	p.until("rescue> ")
	must(t, menu.Signal(syscall.SIGHUP))
	p.until("the menu ended: context canceled")
}
