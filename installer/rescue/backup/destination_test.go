package backup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestFinish: what has its name is on the disk, also while that stays mounted.
func TestFinish(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs")
	image := filepath.Join(t.TempDir(), "disk.img")
	must(t, os.WriteFile(image, nil, 0o600), os.Truncate(image, 256<<20))
	command(t, "mkfs.btrfs", "-q", image)
	d, err := newDestination(filepath.Join(imgtest.Mount(t, image), "back"), "key")
	must(t, err)
	defer d.close()
	must(t, os.WriteFile(filepath.Join(d.staging, "notes"), []byte("mine\n"), 0o600), d.finish())

	f, err := os.Open(image)
	must(t, err)
	defer f.Close()
	fs, err := reader.Open(f, 256<<20)
	must(t, err)
	top, err := fs.Subvolume("")
	must(t, err)
	if got, err := top.ReadFile("back/notes"); err != nil || string(got) != "mine\n" {
		t.Errorf("on the disk: %q, %v", got, err)
	}
}
