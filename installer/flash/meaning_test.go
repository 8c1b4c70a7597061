package flash_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/image"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/flash"
)

// TestMeaning writes a whole system to a disk with old bytes in it. Zeros that a
// file system keeps are there afterwards, and so is what was in free space.
func TestMeaning(t *testing.T) {
	zeros := bytes.Repeat([]byte{0}, 5*mib)
	mixed := append(noise(3, mib), append(bytes.Clone(zeros), 1)...)
	// A FAT of 2 GiB in clusters of 4 KiB is 2 MiB, nearly all of it zeros.
	s := newSystem(t, t.TempDir(), 2<<30, 256*mib, 16*mib, systemFile{"zeros", zeros}, systemFile{"mixed", mixed}, systemFile{"noise", noise(5, 3*mib)})
	size := s.table.DiskSize
	f, err := os.Open(s.name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	root := s.table.Partitions[1]
	extents := plainExtents(t, io.NewSectionReader(f, root.Start, root.Size), root.Size, "zeros", "mixed")

	const old = 0xee
	soil := map[string]int64{
		"FAT":              2*mib + mib/2,
		"second FAT":       4*mib + mib/2,
		"free on the ESP":  mib + 1<<30,
		"free at the end":  root.Start + root.Size - 40*mib + 5,
		"swapfile":         s.swap + 9*mib,
		"old superblock":   64*mib + 4000,
		"end of partition": root.Start + root.Size - 4096,
	}
	want := map[string]bool{"free on the ESP": true, "free at the end": true, "swapfile": true} // the old byte stays
	for i, at := range extents {
		soil[fmt.Sprint("extent of zeros ", i)] = root.Start + at + 3*mib
	}
	packed, err := os.Create(filepath.Join(t.TempDir(), "system.img.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	if err := image.Compress(t.Context(), packed, f, size, 0, nil); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		file         string
		withManifest bool
	}{{s.name, true}, {s.name, false}, {packed.Name(), true}, {packed.Name(), false}} {
		withManifest := tt.withManifest
		r := &recorder{disk: imgtest.NewMemDisk(size + 3*mib)}
		for _, at := range soil {
			put(t, r.disk, at, []byte{old})
		}
		var o flash.Options
		if withManifest {
			o.Manifest = s.manifest
		}
		p, err := flash.NewPlan(t.Context(), open(t, tt.file), size+3*mib, 512, o)
		if err != nil {
			t.Fatal(err)
		}
		if withManifest && (len(p.Notes) > 0 || p.Unused < 2<<30) {
			t.Errorf("plan %+v", p)
		}
		if _, err := p.Write(t.Context(), flash.Disk{Target: r, Size: size + 3*mib, SectorSize: 512}, builder.Silent{}); err != nil {
			t.Fatal(err)
		}
		for name, at := range soil {
			var b [1]byte
			if _, err := r.disk.ReadAt(b[:], at); err != nil {
				t.Fatal(err)
			}
			if stays := b[0] == old; stays != want[name] || !stays && b[0] != 0 {
				t.Errorf("%s, manifest %v: %s, byte %d: %#x; want the old byte %v", filepath.Base(tt.file), withManifest, name, at, b[0], want[name])
			}
		}
		checkSystem(t, s, r.disk)
	}
}

// plainExtents returns where those files of @plain begin in their partition.
func plainExtents(t *testing.T, r io.ReaderAt, size int64, names ...string) (at []int64) {
	t.Helper()
	fs, err := reader.Open(r, size)
	if err != nil {
		t.Fatal(err)
	}
	v, err := fs.Subvolume("@plain")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		extents, err := v.Extents(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range extents {
			if e.Kind == reader.ExtentData && e.DiskLength > 4*mib {
				at = append(at, int64(e.Physical))
			}
			t.Logf("%s: %+v", name, e)
		}
	}
	return at
}

// checkSystem checks both file systems on a disk.
func checkSystem(t *testing.T, s *system, d io.ReaderAt) {
	t.Helper()
	esp, root := s.table.Partitions[0], s.table.Partitions[1]
	fat, err := espreader.Open(io.NewSectionReader(d, esp.Start, esp.Size), esp.Size)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range fat.Check(t.Context()) {
		t.Errorf("ESP: %v", p)
	}
	btrfs, err := reader.Open(io.NewSectionReader(d, root.Start, root.Size), root.Size)
	if err != nil {
		t.Fatal(err)
	}
	report, err := check.Run(t.Context(), btrfs, check.Options{Data: true})
	if err != nil {
		t.Fatal(err)
	}
	if !report.Clean() {
		t.Errorf("root: %+v", report)
	}
}
