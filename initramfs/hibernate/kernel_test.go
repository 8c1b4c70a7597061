package hibernate

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/initramfs/hibernate/record"
)

// mounted mounts a new file system of btrfs-progs.
func mounted(t *testing.T, options ...string) *imgtest.Mounted {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs", "btrfs", "mkswap", "fallocate", "chattr")
	image := filepath.Join(t.TempDir(), "fs.img")
	sh(t, "truncate", "-s", "512M", image)
	sh(t, "mkfs.btrfs", append(append([]string{"-q"}, options...), image)...)
	return imgtest.MountImage(t, image, imgtest.MountOptions{})
}

func sh(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

func makeSwapfile(t *testing.T, file string) {
	t.Helper()
	sh(t, "truncate", "-s", "0", file)
	sh(t, "chattr", "+C", file)
	sh(t, "fallocate", "-l", "16M", file)
	sh(t, "chmod", "600", file)
	sh(t, "mkswap", "-q", file)
}

// TestLocate compares with btrfs-progs, before and after the swapfile was made
// anew elsewhere.
func TestLocate(t *testing.T) {
	for _, tt := range []struct {
		name string
		mkfs []string
	}{{"dup", []string{"-m", "dup"}}, {"single", []string{"-m", "single"}}, {"mixed", []string{"--mixed"}}} {
		t.Run(tt.name, func(t *testing.T) {
			m := mounted(t, tt.mkfs...)
			file := filepath.Join(m.Dir, "swapfile")
			makeSwapfile(t, file)
			first := locate(t, m, file)
			if err := os.Rename(file, file+".old"); err != nil {
				t.Fatal(err)
			}
			makeSwapfile(t, file)
			if second := locate(t, m, file); second == first {
				t.Errorf("both files are at %v", first)
			}
			sh(t, "rm", file+".old")
			sh(t, "btrfs", "balance", "start", "--full-balance", m.Dir)
			locate(t, m, file)
		})
	}
}

// locate checks Locate on a swapfile that is not in use and on one that is.
func locate(t *testing.T, m *imgtest.Mounted, file string) Place {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(m.Device, &st); err != nil {
		t.Fatal(err)
	}
	want := Place{m.Device, unix.Major(st.Rdev), unix.Minor(st.Rdev), imgtest.SwapfileOffset(t, file)}
	got, err := Locate(file)
	if got != want || err != nil {
		t.Errorf("Locate = %v, %v; want %v", got, err, want)
	}
	imgtest.Swapon(t, file)
	if got, err := Locate(file); got != want || err != nil {
		t.Errorf("in use: Locate = %v, %v; want %v", got, err, want)
	}
	imgtest.Swapoff(t, file)
	return want
}

// TestLocateRewritten makes the header anew in its place, once the device's own
// cache has the old one.
func TestLocateRewritten(t *testing.T) {
	m := mounted(t)
	file := filepath.Join(m.Dir, "swapfile")
	makeSwapfile(t, file)
	first := locate(t, m, file)
	device, err := os.Open(m.Device)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	if _, err := device.ReadAt(make([]byte, page), first.Offset*page); err != nil {
		t.Fatal(err)
	}
	sh(t, "mkswap", "-q", file)
	if second := locate(t, m, file); second != first {
		t.Errorf("place %v became %v", first, second)
	}
}

// TestChunkOf searches with room for one chunk at a time.
func TestChunkOf(t *testing.T) {
	m := mounted(t)
	dir, err := os.Open(m.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	before := ondisk.Logical(0)
	for _, at := range []ondisk.Logical{20 << 20, 30 << 20} { // in the first and in the third
		start, c, err := chunkOf(dir.Fd(), at, searchHeader+80+32)
		want, wantChunk, wantErr := chunkOf(dir.Fd(), at, searchBuffer)
		if err != nil || wantErr != nil || start != want || start <= before || c.Length != wantChunk.Length {
			t.Errorf("address %d: chunk at %d of %d bytes, %v; in one answer %d of %d, %v", at, start, c.Length, err, want, wantChunk.Length, wantErr)
		}
		before = start
	}
	if _, _, err := chunkOf(dir.Fd(), 4096, searchBuffer); !hasError(err, "address 4096 is in no chunk") {
		t.Errorf("before all chunks: %v", err)
	}
}

func TestLocateRefuses(t *testing.T) {
	m := mounted(t)
	at := func(name string) string { return filepath.Join(m.Dir, name) }
	makeSwapfile(t, at("plain"))
	tests := []struct {
		name, err string
		make      func(file string)
	}{
		{"nothing", "open: no such file", func(string) {}},
		{"directory", "no regular file", func(file string) { sh(t, "mkdir", file) }},
		{"symlink", "open: too many levels", func(file string) { sh(t, "ln", "-s", "plain", file) }},
		{"empty", "begins with a hole", func(file string) { sh(t, "touch", file) }},
		{"hole", "begins with a hole", func(file string) { sh(t, "truncate", "-s", "1M", file) }},
		{"small", "no fixed place", func(file string) { sh(t, "sh", "-c", "echo x > "+file) }},
		{"no swap space", `expected "SWAPSPACE2"`, func(file string) { sh(t, "dd", "if=/dev/zero", "of="+file, "bs=4k", "count=64") }},
		{"compressed", "no fixed place", func(file string) {
			sh(t, "touch", file)
			sh(t, "chattr", "+c", file)
			sh(t, "dd", "if=/dev/zero", "of="+file, "bs=128k", "count=4")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.make(at(tt.name))
			if p, err := Locate(at(tt.name)); !hasError(err, tt.err) || tt.err == "" {
				t.Errorf("Locate = %v, %v; want %q", p, err, tt.err)
			}
		})
	}
	if p, err := Locate(os.Args[0]); err == nil {
		t.Logf("this test's program is on btrfs without being swap space, and was found at %v", p)
		t.Error("want a refusal")
	}
}

// TestWatch takes swapfiles into use and out of it while Watch runs.
func TestWatch(t *testing.T) {
	m := mounted(t)
	file := filepath.Join(m.Dir, "swapfile")
	makeSwapfile(t, file)
	power := &fakePower{files: map[string]string{"disk": "[platform] shutdown", "resume": "0:0", "resume_offset": "0"}}
	s := Running(file)
	s.Power = power
	if err := (record.Record{Offset: 7}).Write(file); err != nil { // of a system that was not woken
		t.Fatal(err)
	}
	r, w := io.Pipe()
	watching := make(chan error)
	go func() { watching <- s.Watch(w) }()
	expect := func(want string) {
		t.Helper()
		b := make([]byte, 4096)
		n, err := r.Read(b)
		if got := string(b[:n]); !strings.Contains(got, want) || !strings.HasSuffix(got, "\n") || err != nil {
			t.Fatalf("watch says %q, %v; want %q", got, err, want)
		}
	}
	place := func() string {
		p, err := Locate(file)
		if err != nil {
			t.Fatal(err)
		}
		return p.String()
	}
	expect("no hibernation: " + file + " is not in use")
	if _, err := os.Stat(file + record.Suffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("note of a system that was not woken: %v; want none", err)
	}
	imgtest.Swapon(t, file)
	first := place()
	expect("swapfile " + file + " " + first + ", which the kernel was told")
	imgtest.Swapoff(t, file)
	expect("no hibernation: " + file + " is not in use")
	if err := os.Rename(file, file+".old"); err != nil {
		t.Fatal(err)
	}
	makeSwapfile(t, file)
	imgtest.Swapon(t, file)
	second := place()
	expect("swapfile " + file + " " + second + ", which the kernel was told")
	if first == second {
		t.Errorf("both files are at %s", first)
	}
	// Somebody else changed the place, and swap space elsewhere says so.
	power.files["resume_offset"] = "1"
	imgtest.Swapon(t, file+".old")
	expect("swapfile " + file + " " + second + ", which the kernel was told")
	stopped := errors.New("stopped")
	r.CloseWithError(stopped)
	imgtest.Swapoff(t, file)
	if err := <-watching; !errors.Is(err, stopped) {
		t.Errorf("watch: %v; want the error of its output", err)
	}
}
