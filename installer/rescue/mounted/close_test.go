package mounted

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestCloseWritesOut has the file system mounted elsewhere too, so that to unmount the
// system writes nothing out: what it has is on the disk all the same when Close returns.
func TestCloseWritesOut(t *testing.T) {
	l := newLaptop(t, nil)
	r, _ := l.request(t, table)
	s, err := Mount(t.Context(), r)
	check(t, err)
	other := t.TempDir()
	check(t, unix.Mount(l.node, other, "btrfs", 0, ""))
	defer func() { check(t, unix.Unmount(other, 0)) }()
	check(t, os.WriteFile(s.Path("/home/alice/new"), []byte("written"), 0o600), s.Close())
	noneBelow(t, r.Dir)

	f, err := os.Open(l.image)
	check(t, err)
	defer f.Close()
	info, err := f.Stat()
	check(t, err)
	fs, err := reader.Open(f, info.Size())
	check(t, err)
	home, err := fs.Subvolume("@home")
	check(t, err)
	if text, err := home.ReadFile("alice/new"); err != nil || string(text) != "written" {
		t.Errorf("on the disk: %q, %v", text, err)
	}
}

// TestCloseFails has a disk that takes no more. That nothing is mounted any more would be
// no sign of it: Close must say so.
func TestCloseFails(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.ext4", "losetup")
	full := t.TempDir()
	check(t, unix.Mount("tmpfs", full, "tmpfs", 0, "size=16m"))
	t.Cleanup(func() { check(t, unix.Unmount(full, 0)) })
	l := &laptop{image: filepath.Join(full, "disk.img")}
	check(t, os.WriteFile(l.image, nil, 0o600), os.Truncate(l.image, 256<<20))
	run(t, "mkfs.ext4", "-q", "-O", "^has_journal", l.image)
	l.plug(t)
	r, _ := l.request(t, "PARTUUID=11 / ext4 defaults 0 1\n")
	s, err := Mount(t.Context(), r)
	check(t, err)
	check(t, os.WriteFile(s.Path("/large"), bytes.Repeat([]byte("data"), 8<<20), 0o600))
	if err := s.Close(); fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "what was written is not on the disk") {
		t.Errorf("Close: %v", err)
	}
	check(t, unix.Unmount(r.Dir, 0))
}
