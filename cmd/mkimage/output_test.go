package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// names returns what is in a directory.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

func TestOutputPublish(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "fs.img")
	if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name+partialSuffix, []byte("left by a killed run, longer than what follows"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := createOutput(name, 100, modeSecret)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name + partialSuffix); err != nil || info.Mode() != modeSecret {
		t.Errorf("the partial file: %v, %v; want mode %v", info, err, fs.FileMode(modeSecret))
	}
	if _, err := o.WriteAt([]byte("new"), 10); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "old" {
		t.Errorf("before publish the file holds %q, %v; want what it held", b, err)
	}
	if err := o.publish(16); err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat("\x00", 10) + "new\x00\x00\x00"
	if b, err := os.ReadFile(name); err != nil || string(b) != want {
		t.Errorf("after publish the file holds %q, %v; want %q", b, err, want)
	}
	if got := names(t, dir); got != "fs.img" {
		t.Errorf("the folder holds %s; want fs.img", got)
	}
}

func TestOutputDiscard(t *testing.T) {
	dir := t.TempDir()
	o, err := createOutput(filepath.Join(dir, "fs.img"), 100, modePlain)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.discard(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); got != "" {
		t.Errorf("the folder holds %s; want nothing", got)
	}
}

// TestOutputPublishFails makes the rename fail: the name has become a
// directory meanwhile.
func TestOutputPublishFails(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "fs.img")
	o, err := createOutput(name, 100, modePlain)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := o.publish(100); err == nil {
		t.Error("publish over a directory gave no error")
	}
	if got := names(t, dir); got != "fs.img" {
		t.Errorf("the folder holds %s; want the directory fs.img alone", got)
	}
}

func TestOutputRefused(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.Mkdir(path("folder"), 0o755),
		os.WriteFile(path("file"), nil, 0o644),
		os.Symlink("file", path("link")),
		os.Symlink("absent", path("dangling")),
		unix.Mkfifo(path("fifo"), 0o644),
		os.Mkdir(path("blocked"+partialSuffix), 0o755),
		os.Symlink("file", path("trap"+partialSuffix)),
		unix.Mkfifo(path("pipe"+partialSuffix), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	before := names(t, dir)
	tests := []struct{ name, in, want string }{
		{"nothing", "", "no such file"},
		{"directory", path("folder"), "is a directory"},
		{"device", "/dev/null", "is a device"},
		{"symlink", path("link"), "is a symbolic link"},
		{"dangling symlink", path("dangling"), "is a symbolic link"},
		{"fifo", path("fifo"), "is not a regular file"},
		{"no such folder", path("absent/fs.img"), "no such directory"},
		{"file for a folder", path("file/fs.img"), "not a directory"},
		{"directory for the partial file", path("blocked"), "is a directory"},
		{"symlink for the partial file", path("trap"), "symbolic links"},
		{"fifo for the partial file", path("pipe"), "is not a regular file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := checkOutput(tt.in, "")
			if err == nil {
				_, err = createOutput(tt.in, 100, modePlain)
			}
			if fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("output %q: %v; want an error of class Target with %q", tt.in, err, tt.want)
			}
		})
	}
	if after := names(t, dir); after != before {
		t.Errorf("the folder holds %s; want %s", after, before)
	}
}

// TestOutputTwoRuns starts a second run while the first one writes.
func TestOutputTwoRuns(t *testing.T) {
	name := filepath.Join(t.TempDir(), "fs.img")
	first, err := createOutput(name, 100, modePlain)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := createOutput(name, 100, modePlain); fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "another run is writing it") {
		t.Errorf("second createOutput = %v; want it refused", err)
	}
	if err := first.publish(100); err != nil {
		t.Errorf("publish = %v after a second run was refused", err)
	}
}

// TestOutputRace has many runs begin at once, with the file of a killed run
// there. Each time one of them or none gets the name, and its file keeps it.
func TestOutputRace(t *testing.T) {
	const runs, rounds = 8, 50
	for range rounds {
		name := filepath.Join(t.TempDir(), "fs.img")
		if err := os.WriteFile(name+partialSuffix, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		outputs := make([]*output, runs)
		var wait sync.WaitGroup
		for i := range runs {
			wait.Go(func() {
				o, err := createOutput(name, 100, modePlain)
				if err != nil && !strings.Contains(err.Error(), "another run is writing it") {
					t.Errorf("createOutput = %v", err)
				}
				outputs[i] = o
			})
		}
		wait.Wait()
		writing := 0
		for _, o := range outputs {
			if o == nil {
				continue
			}
			writing++
			if err := o.publish(100); err != nil {
				t.Errorf("publish = %v", err)
			}
		}
		if writing > 1 {
			t.Fatalf("%d runs write one file", writing)
		}
	}
}

// TestHasName looks at a file whose name another has taken.
func TestHasName(t *testing.T) {
	name := filepath.Join(t.TempDir(), "fs.img")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !hasName(f, name) {
		t.Error("a file that was just made has not its name")
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if hasName(f, name) {
		t.Error("a file that was removed has its name")
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if hasName(f, name) {
		t.Error("a file that was replaced has its name")
	}
}

// TestEarlyWriteback writes forward and back, reads it again, and looks at what
// is left for the sync.
func TestEarlyWriteback(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name    string
		offsets []int64 // of writes of 1 MiB
		waits   int64   // bytes
	}{
		{"below the window", []int64{0, 1, 2, 3, 4, 5, 6}, 7 * mib},
		{"at the window", []int64{0, 1, 2, 3, 4, 5, 6, 7}, 0},
		{"above the window", []int64{0, 1, 2, 3, 4, 5, 6, 7, 8}, mib},
		{"back", []int64{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, mib},
		{"elsewhere", []int64{0, 1, 2, 9, 3, 4}, 2 * mib},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "fs.img")
			o, err := createOutput(name, 10*mib, modePlain)
			if err != nil {
				t.Fatal(err)
			}
			want := make([]byte, 10*mib)
			for _, at := range tt.offsets {
				block := bytes.Repeat([]byte{byte(at + 1)}, mib)
				copy(want[at*mib:], block)
				if _, err := o.WriteAt(block, at*mib); err != nil {
					t.Fatal(err)
				}
			}
			if got := o.to - o.from; got != tt.waits {
				t.Errorf("%d bytes wait; want %d", got, tt.waits)
			}
			if err := o.publish(10 * mib); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
				t.Errorf("the %d bytes read back, %v, are not the %d written", len(got), err, len(want))
			}
		})
	}
}
