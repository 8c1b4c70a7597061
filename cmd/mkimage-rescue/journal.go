package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/disks"
)

// board is the lines on the machine's state that stand above every menu.
type board struct {
	path  string
	mu    sync.Mutex
	names []string
	lines map[string]string
}

// set replaces the line of a name; "" takes it off.
func (b *board) set(name, line string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lines == nil {
		b.lines = map[string]string{}
	}
	if !slices.Contains(b.names, name) {
		b.names = append(b.names, name)
		slices.Sort(b.names)
	}
	b.lines[name] = line
	text := ""
	for _, name := range b.names {
		if b.lines[name] != "" {
			text += name + ": " + b.lines[name] + "\n"
		}
	}
	return replaceFile(b.path, text)
}

// journal is the log of the machine.
type journal struct {
	mu   sync.Mutex
	file *os.File
}

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return &journal{file: f}, nil
}

// printf writes one line, with the time since the kernel started: the clock may be set
// meanwhile.
func (j *journal) printf(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var since unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &since) // it does not fail
	_, _ = fmt.Fprintf(j.file, "%9.2f %s\n", time.Duration(since.Nano()).Seconds(), oneLine(fmt.Sprintf(format, args...)))
}

func (j *journal) close() { _ = j.file.Close() }

// oneLine makes one line of a text from outside, without what could move a cursor.
func oneLine(text string) string {
	return disks.Clean(strings.Join(strings.Fields(text), " "))
}
