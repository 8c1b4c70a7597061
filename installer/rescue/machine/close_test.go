package machine

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestCloseWritesOut has the file system mounted elsewhere too, so that to unmount it writes
// nothing out: what it has is on the disk all the same when Close returns.
func TestCloseWritesOut(t *testing.T) {
	imgtest.NeedRoot(t)
	image, _ := laptop(t, 0)
	m := look(t, Options{Images: []string{image}})
	s, err := m.System("")
	must(t, err)
	top, err := m.Top(t.Context(), s, false)
	must(t, err)
	other := t.TempDir()
	must(t, unix.Mount(m.loops[0].device.Name(), other, "btrfs", 0, ""))
	defer func() { must(t, unix.Unmount(other, 0)) }()
	must(t, os.WriteFile(filepath.Join(top, "@home/mine"), []byte("new\n"), 0o600), m.Close())

	part, done, err := m.OpenPlace(s.Root)
	must(t, err)
	defer func() { must(t, done()) }()
	fs, err := reader.Open(part, part.Size())
	must(t, err)
	home, err := fs.Subvolume("@home")
	must(t, err)
	if text, err := home.ReadFile("mine"); err != nil || string(text) != "new\n" {
		t.Errorf("on the disk: %q, %v", text, err)
	}
}
