package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// writeFixture is a loop device, and an image for it.
type writeFixture struct {
	t             *testing.T
	device, image string
}

func newWriteFixture(t *testing.T, size int64, options ...string) *writeFixture {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "losetup", "mkfs.ext4", "mkswap", "swapon", "swapoff", "mount", "umount")
	f := &writeFixture{t: t, image: filepath.Join(t.TempDir(), "in.img")}
	if err := os.WriteFile(f.image, bytes.Repeat([]byte("image"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(f.image, 8<<20); err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, size); err != nil {
		t.Fatal(err)
	}
	f.device = f.command(append(append([]string{"losetup", "--find", "--show"}, options...), disk)...)
	t.Cleanup(func() { f.command("losetup", "--detach", f.device) })
	return f
}

func (f *writeFixture) command(args ...string) string {
	f.t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		f.t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// write runs the command on the device.
func (f *writeFixture) write(args ...string) (code int, out, text string) {
	f.t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(f.t.Context(), append([]string{"write", f.image, "--target", f.device}, args...), stdio{out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

// refused runs the command and wants it to refuse with these words, and to leave
// every byte as it was.
func (f *writeFixture) refused(args []string, words ...string) {
	f.t.Helper()
	before := f.content()
	for _, more := range [][]string{nil, {"--dry-run"}} {
		code, out, text := f.write(append(more, args...)...)
		if code != int(fault.Target) {
			f.t.Errorf("%q: code %d, %s%s", args, code, out, text)
		}
		for _, word := range words {
			if !strings.Contains(text, word) {
				f.t.Errorf("%q: %s; want %q", args, text, word)
			}
		}
	}
	if !bytes.Equal(before, f.content()) {
		f.t.Errorf("%q: something was written", args)
	}
}

func (f *writeFixture) content() []byte {
	f.t.Helper()
	b, err := os.ReadFile(f.device)
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// stopper cancels a run when it reports a stage.
type stopper struct {
	bytes.Buffer
	at     string
	cancel func()
}

// Write implements io.Writer.
func (s *stopper) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(s.at)) {
		s.cancel()
	}
	return s.Buffer.Write(p)
}

// TestWriteStopped is interrupted while it writes to a file that was there.
func TestWriteStopped(t *testing.T) {
	dir := t.TempDir()
	image, target := filepath.Join(dir, "in.img"), filepath.Join(dir, "disk.img")
	for name, data := range map[string][]byte{image: bytes.Repeat([]byte("image"), 4<<20), target: bytes.Repeat([]byte("old"), 8<<20)} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stderr := &stopper{at: `"stage":"write"`, cancel: cancel}
	code := run(ctx, []string{"write", image, "--target", target, "--erase", "disk.img", "--progress", "json"}, stdio{out: io.Discard, err: stderr})
	if text := stderr.String(); code != exitInterrupted || !strings.Contains(text, "disk.img: it has no partition table any more and does not boot; write it again") {
		t.Errorf("%d: %s", code, text)
	}
	b, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	if len(bytes.Trim(b[:1<<20], "\x00")) > 0 || len(bytes.Trim(b[len(b)-1<<20:], "\x00")) > 0 {
		t.Error("the ends are not empty")
	}
}

// TestWriteDevice writes to a loop device, empty and full, and reports it.
func TestWriteDevice(t *testing.T) {
	f := newWriteFixture(t, 16<<20)
	name := filepath.Base(f.device)
	code, out, text := f.write("--json")
	var report struct {
		Target struct{ Name, Path string }
		Result struct{ Written, Compared int64 }
	}
	if err := json.Unmarshal([]byte(out), &report); code != 0 || err != nil || report.Target.Name != name || report.Result.Written != 5<<20 {
		t.Fatalf("empty: %d, %v, %s%s", code, err, out, text)
	}
	f.refused(nil, "is not empty", "--erase "+name)
	f.refused([]string{"--erase", "loop99"}, `--erase says "loop99", but this disk is "`+name+`"`)
	if code, _, text := f.write("--erase", name); code != 0 {
		t.Errorf("erased: %d, %s", code, text)
	}
	image, err := os.ReadFile(f.image)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.content()[:len(image)], image) {
		t.Error("the device is not the image")
	}
}

// TestWriteDeviceInUse refuses what somebody has, and says who and that it is
// not empty in one message.
func TestWriteDeviceInUse(t *testing.T) {
	f := newWriteFixture(t, 16<<20)
	f.command("mkfs.ext4", "-q", "-F", f.device)
	dir := t.TempDir()
	f.command("mount", "-o", "ro", f.device, dir) // the kernel writes to others when it likes
	f.refused(nil, "is mounted at "+dir, "is not empty: ext4", "umount "+dir)
	f.command("umount", dir)
	f.command("mkswap", "-f", f.device)
	f.command("swapon", f.device)
	f.refused(nil, "is swapped to", "swap")
	f.command("swapoff", f.device)
	held, err := os.OpenFile(f.device, os.O_RDONLY|os.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.refused([]string{"--erase", filepath.Base(f.device)}, "is in use")
	held.Close()
}

// TestWriteDeviceUnfit refuses disks that are too small, read-only, with other
// sectors, or the image itself.
func TestWriteDeviceUnfit(t *testing.T) {
	f := newWriteFixture(t, 8<<20-512)
	f.refused(nil, "needs 8388608 bytes, has 8388096: 512 are missing")
	newWriteFixture(t, 16<<20, "--read-only").refused(nil, "is read-only")
	f = newWriteFixture(t, 16<<20, "--sector-size", "4096")
	b := make([]byte, 8<<20)
	copy(b[512:], "EFI PART")
	if err := os.WriteFile(f.image, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f.refused(nil, "has sectors of 4096 bytes, the image's partition table is for sectors of 512")
	f = newWriteFixture(t, 16<<20)
	f.image = f.device
	f.refused(nil, "is the image itself")
	if other := f.node(); other != "" {
		f.image = other
		f.refused(nil, "is the image itself")
	}
	f.image = f.command("losetup", "--noheadings", "--output", "BACK-FILE", f.device)
	f.refused(nil, "is the image itself")
}

// node makes another node of the device, "" where nodes there do not work.
func (f *writeFixture) node() string {
	f.t.Helper()
	info, err := os.Stat(f.device)
	if err != nil {
		f.t.Fatal(err)
	}
	number, _ := rdev(info)
	name := filepath.Join(f.t.TempDir(), "node")
	if err := unix.Mknod(name, unix.S_IFBLK|0o600, int(number)); err != nil {
		return ""
	}
	opened, err := os.Open(name)
	if err != nil {
		return ""
	}
	opened.Close()
	return name
}
