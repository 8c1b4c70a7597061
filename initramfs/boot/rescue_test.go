package boot

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestMessage(t *testing.T) {
	r := report{
		step: "root device", shell: "/bin/sh", cmdline: "root=PARTUUID=1 rw",
		err:     fault.New(fault.Input, "look", "PARTUUID=1: no such device within 30s"),
		devices: []string{Device{Name: "vda1", Size: 64 << 20, PartLabel: "ESP", PartUUID: "2"}.String()},
	}
	golden(t, "message", message(r))
	r.step, r.committed = "switch root", true
	golden(t, "message-committed", message(r))
}

// A disk that does not answer is named; it does not keep the others from being
// listed.
func TestDeviceLines(t *testing.T) {
	h := host{t.TempDir(), t.TempDir()}
	for name, size := range map[string]string{"sda": "2048", "sdb": "2048", "sr0": "0"} {
		dir := filepath.Join(h.sys, "class/block", name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{"dev": "8:0", "size": size} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(h.dev, "sdb"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	hanging := filepath.Join(h.dev, "sda")
	if err := unix.Mkfifo(hanging, 0o644); err != nil { // opening it waits for a writer
		t.Fatal(err)
	}
	defer func() {
		if w, err := os.OpenFile(hanging, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
			w.Close()
		}
	}()
	want := []string{"/dev/sda     does not answer", "/dev/sdb        1.0 MiB"}
	if diff := cmp.Diff(want, h.lines(time.Second)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	none := host{filepath.Join(h.sys, "nothing"), h.dev}
	if got := none.lines(time.Second); len(got) != 1 {
		t.Errorf("lines without /sys = %q; want the error", got)
	}
}

func TestWithin(t *testing.T) {
	release := make(chan bool)
	defer close(release)
	within(time.Millisecond, func() { <-release })
	ended := false
	within(time.Hour, func() { ended = true })
	if !ended {
		t.Error("within returned before its function and its limit")
	}
}
