package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a process may take to start or to end.
const patience = time.Minute

// qemuScript replaces qemu-img for a build.
func (b *smallBuild) qemuScript(text string) {
	b.t.Helper()
	bin := filepath.Join(b.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if text != "" {
		if err := os.WriteFile(filepath.Join(bin, "qemu-img"), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			b.t.Fatal(err)
		}
	}
	b.env = append(b.env, "PATH="+bin)
}

// endlessQemu gives a build a qemu-img that never ends. The reader gets a line
// when it runs and the end of the file when it has been killed.
func endlessQemu(t *testing.T, b *smallBuild) (r, w *os.File) {
	t.Helper()
	life, never := filepath.Join(b.dir, "life"), filepath.Join(b.dir, "never")
	for _, pipe := range []string{life, never} {
		if err := unix.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.qemuScript("exec 5>life\necho runs >&5\nread line <never\n")
	r, err := os.OpenFile(life, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	w, err = os.OpenFile(life, os.O_WRONLY, 0) // until it runs, there must be a writer
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		if f, err := os.OpenFile(never, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
			f.Close() // ends one that was not killed
		}
	})
	if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return r, w
}

// TestBuildEndsQemu ends a build while qemu-img works: it ends too, and what
// may be cleaned up is gone.
func TestBuildEndsQemu(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			b := newSmallBuild(t)
			life, writer := endlessQemu(t, b)
			cmd := b.command(t.Context(), "disk.qcow2")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(life, make([]byte, len("runs\n"))); err != nil {
				_ = cmd.Process.Kill()
				t.Fatalf("qemu-img did not start: %v; %v", err, cmd.Wait())
			}
			if err := errors.Join(writer.Close(), cmd.Process.Signal(signal)); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if rest, err := io.ReadAll(life); err != nil || len(rest) > 0 {
				t.Errorf("qemu-img outlives the build: %q, %v", rest, err)
			}
			if b.digest("disk.qcow2") != "" {
				t.Error("an image that is not complete has its name")
			}
			if signal == syscall.SIGKILL {
				return
			}
			if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || len(b.partials()) > 0 {
				t.Errorf("exit code %d, left %v; want %d and nothing", code, b.partials(), exitInterrupted)
			}
		})
	}
}

// TestBuildQemuFails has no qemu-img, or one that fails.
func TestBuildQemuFails(t *testing.T) {
	tests := []struct {
		name, script string
		code         int
		want         string
	}{
		{"missing", "", 4, "hint: apt-get install qemu-utils"},
		{"fails", "echo disk on fire >&2\nexit 3\n", 1, "qemu-img: exit status 3: disk on fire"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newSmallBuild(t)
			b.qemuScript(test.script)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := b.command(ctx, "disk.qcow2")
			out, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != test.code || !strings.Contains(string(out), test.want) {
				t.Errorf("%v, exit code %d:\n%s\nwant %d and %q", err, code, bytes.TrimSpace(out), test.code, test.want)
			}
			if left := b.partials(); len(left) > 0 || b.digest("disk.qcow2") != "" {
				t.Errorf("left %v", left)
			}
		})
	}
}
