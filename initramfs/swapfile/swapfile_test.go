package swapfile

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
)

const mib = 1 << 20

// disk makes a btrfs of 256 MiB, mounts it so that files are compressed, and returns where
// and what opens it past the mount.
func disk(t *testing.T) (top string, open func() (Device, func() error, error)) {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs", "btrfs", "losetup")
	image := filepath.Join(t.TempDir(), "disk.img")
	must(t, os.WriteFile(image, nil, 0o600), os.Truncate(image, 256*mib))
	if out, err := exec.Command("mkfs.btrfs", "-q", image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.btrfs: %v\n%s", err, out)
	}
	m := imgtest.MountImage(t, image, imgtest.MountOptions{Options: []string{"compress-force=zstd"}})
	return m.Dir, func() (Device, func() error, error) {
		d, err := rawdisk.Open(image, os.O_RDONLY)
		if err != nil {
			return nil, nil, err
		}
		return d, d.Close, nil
	}
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// TestReplace makes a swapfile where there is none, makes it larger, leaves it, and makes
// it anew.
func TestReplace(t *testing.T) {
	top, open := disk(t)
	r := Request{Top: top, Path: "swapfile", Size: 8 * mib, Open: open}
	first, err := Replace(r)
	must(t, err)
	if first.Had != 0 || first.File == nil || first.File.Size != 8*mib {
		t.Errorf("the first: %+v", first)
	}
	for _, tt := range []struct {
		name string
		size int64
		anew bool
		made bool
	}{
		{"as large", 8 * mib, false, false},
		{"smaller", 8*mib - 4096, false, false},
		{"a page larger", 8*mib + 4096, false, true},
		{"anew", 8 * mib, true, true},
	} {
		r.Size, r.Anew = tt.size, tt.anew
		made, err := Replace(r)
		must(t, err)
		if (made.File != nil) != tt.made || made.UUID != first.UUID || tt.made && made.File.Size != tt.size {
			t.Errorf("%s: %+v", tt.name, made)
		}
		if tt.made {
			onDisk(t, open, r.Path, made.File.Offset)
		}
		name := filepath.Join(top, r.Path)
		if tt.made && imgtest.SwapfileOffset(t, name) != made.File.Offset {
			t.Errorf("%s: offset %d; btrfs-progs says %d", tt.name, made.File.Offset, imgtest.SwapfileOffset(t, name))
		}
		imgtest.Swapon(t, name)
		imgtest.Swapoff(t, name)
	}
	// Twice as much does not fit.
	r.Size, r.Anew = 120*mib, false
	for _, anew := range []bool{false, true} {
		r.Anew = anew
		made, err := Replace(r)
		must(t, err)
		if made.File == nil || made.File.Size != r.Size || made.UUID != first.UUID {
			t.Errorf("of nearly all room, anew %v: %+v", anew, made)
		}
	}
	r.Size, r.Anew = 400*mib, true
	var full *TooLarge
	if _, err := Replace(r); !errors.As(err, &full) || full.Had != 120*mib || full.Free < 1 {
		t.Errorf("without room: %v; want a *TooLarge", err)
	}
	if _, err := os.Lstat(filepath.Join(top, r.Path+Suffix)); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
}

// onDisk wants a swapfile at an offset, by its name, past the mount: what is only in memory
// would be lost by a power cut.
func onDisk(t *testing.T, open func() (Device, func() error, error), name string, offset int64) {
	t.Helper()
	d, done, err := open()
	must(t, err)
	got, _, err := Map(d, name)
	if err != nil || got.Offset != offset {
		t.Errorf("%s on the disk: %+v, %v; want offset %d", name, got, err, offset)
	}
	must(t, done())
}

// TestReplaceUnproven leaves the old one where the new one cannot be read back.
func TestReplaceUnproven(t *testing.T) {
	top, open := disk(t)
	r := Request{Top: top, Path: "swapfile", Size: mib, Open: open}
	_, err := Replace(r)
	must(t, err)
	r.Size = 2 * mib
	for _, bad := range []func() (Device, func() error, error){
		func() (Device, func() error, error) { return nil, nil, os.ErrPermission },
		func() (Device, func() error, error) {
			return memory(make([]byte, mib)), func() error { return nil }, nil
		},
		func() (Device, func() error, error) {
			d, done, err := open()
			return otherUUID{d}, done, err
		},
	} {
		r.Open = bad
		if made, err := Replace(r); err == nil {
			t.Errorf("made without a proof: %+v", made)
		}
		if st, err := os.Stat(filepath.Join(top, r.Path)); err != nil || st.Size() != mib {
			t.Errorf("the old one: %v, %v", st, err)
		}
	}
}

// TestReplaceUnnamed leaves nothing behind where the new one cannot get its name.
func TestReplaceUnnamed(t *testing.T) {
	top, open := disk(t)
	name := filepath.Join(top, "swapfile")
	must(t, os.MkdirAll(filepath.Join(name, "a directory"), 0o755))
	if made, err := Replace(Request{Top: top, Path: "swapfile", Size: mib, Open: open}); err == nil {
		t.Errorf("made: %+v", made)
	}
	if _, err := os.Lstat(name + Suffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

// memory is a device.
type memory []byte

func (m memory) Size() int64                            { return int64(len(m)) }
func (m memory) ReadAt(p []byte, at int64) (int, error) { return bytes.NewReader(m).ReadAt(p, at) }

// otherUUID is a device on which every swapfile has another UUID.
type otherUUID struct{ Device }

func (d otherUUID) ReadAt(p []byte, at int64) (int, error) {
	n, err := d.Device.ReadAt(p, at)
	if bytes.HasSuffix(p, []byte(swaparea.Signature)) {
		copy(p, swaparea.New(2*mib, ids.UUID{1}, ""))
	}
	return n, err
}

// TestWrite makes a file in a directory whose files are copied on write.
func TestWrite(t *testing.T) {
	top, _ := disk(t)
	name := filepath.Join(top, "plain")
	must(t, write(name, 8*mib, ids.UUID{7}))
	imgtest.Swapon(t, name)
	imgtest.Swapoff(t, name)
	if err := write(name, 8*mib, ids.UUID{7}); !os.IsExist(err) {
		t.Errorf("over one that is there: %v; want a refusal", err)
	}
	if err := write(filepath.Join(top, "large"), gib, ids.UUID{7}); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("one that does not fit: %v; want %v", err, unix.ENOSPC)
	}
}

func TestReadPageLimits(t *testing.T) {
	d := memory(make([]byte, 3*swaparea.PageSize))
	for offset, good := range map[int64]bool{-1: false, 0: true, 2: true, 3: false} {
		if _, err := ReadPage(d, offset); (err == nil) != good {
			t.Errorf("page %d: %v", offset, err)
		}
	}
}
