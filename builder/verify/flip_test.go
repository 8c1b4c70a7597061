package verify_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/verify"
)

// place is a byte of an image, and what is there.
type place struct {
	name  string
	at    int64
	check string // finds it even without the digests of a manifest
	where string // in that problem
}

// espPlaces returns places in every structure of the ESP and in its files.
func espPlaces(t testing.TB, m *testImage) []place {
	t.Helper()
	p := m.manifest.Partition("esp")
	fsys, err := espreader.Open(io.NewSectionReader(m.file, p.Start, p.Size), p.Size)
	if err != nil {
		t.Fatal(err)
	}
	at := func(path string) int64 {
		extents, err := fsys.Extents(path)
		if err != nil || len(extents) == 0 {
			t.Fatalf("%s: extents %v, %v", path, extents, err)
		}
		return p.Start + extents[0].Physical
	}
	const reserved = 32 * 512 // sectors before the first FAT, see package esp
	places := []place{
		{"signature of the boot sector", p.Start + 510, "ESP", "partition 1"},
		{"FSInfo", p.Start + 512 + 488, "ESP", "partition 1"},
		{"backup boot sector", p.Start + 6*512 + 13, "ESP", "partition 1"},
		{"first FAT", p.Start + reserved + 9, "ESP", "partition 1"},
		{"name in the root directory", at(".") + 33, "files", "/EFI/BOOT"},
		{"manifest on the ESP", at("mkimage/manifest.json"), "manifest", "/mkimage/manifest.json"},
	}
	for _, f := range m.manifest.Files {
		places = append(places, place{"file " + f.Path, at(f.Path), "files", "/" + f.Path})
	}
	return places
}

// rootPlaces returns places in every structure of the root file system.
func rootPlaces(t testing.TB, m *testImage) []place {
	t.Helper()
	p := m.manifest.Partition("root")
	fsys, err := reader.Open(io.NewSectionReader(m.file, p.Start, p.Size), p.Size)
	if err != nil {
		t.Fatal(err)
	}
	places := []place{{"superblock", p.Start + int64(ondisk.SuperMirrors[0]) + 100, "root", "partition 2"}}
	if mirror := int64(ondisk.SuperMirrors[1]); mirror < p.Size {
		places = append(places, place{"second superblock", p.Start + mirror + 100, "root", "partition 2"})
	}
	for _, tree := range []uint64{1, 2, 3, 4, 5, 7, 10, 256} {
		ref, err := fsys.RootRef(tree)
		if err != nil {
			t.Fatal(err)
		}
		copies, err := fsys.Copies(ref.Bytenr, int64(fsys.Super().NodeSize))
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range copies {
			places = append(places, place{fmt.Sprintf("tree %d, copy %d", tree, i+1), p.Start + int64(c) + 200, "root", "partition 2"})
		}
	}
	top, err := fsys.Subvolume("")
	if err != nil {
		t.Fatal(err)
	}
	extents, err := top.Extents("@/usr/share/text")
	if err != nil || len(extents) == 0 || extents[0].Kind != reader.ExtentData {
		t.Fatalf("extents %v, %v", extents, err)
	}
	places = append(places, place{"data of a file", p.Start + int64(extents[0].Physical) + 5, "root", "usr/share/text"})
	swap := m.manifest.Swapfile.ResumeOffset * 4096
	return append(places, place{"signature of the swapfile", p.Start + swap + 4090, "swapfile", "root: @swap/swapfile"})
}

// TestFlip inverts one byte of every structure and wants that to be found and
// named: by the digests of the manifest beside the image, and without these by
// the check that knows the structure.
func TestFlip(t *testing.T) {
	m := assemble(t, makeParts(t, "systemd-boot"))
	last := m.size - 512
	places := append(append([]place{
		{"signature of the MBR", 510, "table", "protective MBR"},
		{"primary header", 512 + 24, "table", "primary table"},
		{"primary entries", 2*512 + 32, "table", "primary table"},
		{"backup header", last + 24, "table", "backup table"},
		{"backup entries", last - 32*512 + 32, "table", "backup table"},
	}, espPlaces(t, m)...), rootPlaces(t, m)...)
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			bad := &testImage{file: m.file, size: m.size, manifest: m.manifest}
			bad.flip(t, p.at)
			r := bad.verify(t, verify.Options{Manifest: m.manifest, Data: true})
			wantDigest(t, r, p.at)
			wantProblem(t, bad.verify(t, verify.Options{Data: true}), p.check, p.where, "")
		})
	}
}

// wantDigest wants the digests to differ in the one chunk that holds a byte.
func wantDigest(t testing.TB, r *verify.Report, at int64) {
	t.Helper()
	const chunk = 1 << 20
	for _, c := range r.Checks {
		if c.Name != "digests" {
			continue
		}
		want := fmt.Sprintf("bytes %d to ", at/chunk*chunk)
		if c.Found != 1 || !strings.HasPrefix(c.Problems[0].Where, want) {
			t.Errorf("byte %d: want one problem, at %q:\n%s", at, want, text(t, r))
		}
	}
	if r.Clean() {
		t.Error("the report is clean")
	}
}

// TestFlipAnywhere inverts bytes at random places of chunks that are in use,
// and one in a chunk that is not.
func TestFlipAnywhere(t *testing.T) {
	m := assemble(t, makeParts(t, "systemd-boot"))
	rng := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		c := m.manifest.Chunks[rng.IntN(len(m.manifest.Chunks))]
		at := c.Offset + rng.Int64N(c.Length)
		bad := &testImage{file: m.file, size: m.size, manifest: m.manifest}
		bad.flip(t, at)
		wantDigest(t, bad.verify(t, verify.Options{Manifest: m.manifest}), at)
	}
	used := map[int64]bool{}
	for _, c := range m.manifest.Chunks {
		used[c.Offset] = true
	}
	for at := int64(0); at < m.size; at += 1 << 20 {
		if !used[at] {
			bad := &testImage{file: m.file, size: m.size, manifest: m.manifest}
			bad.flip(t, at+777)
			wantDigest(t, bad.verify(t, verify.Options{Manifest: m.manifest}), at)
			return
		}
	}
	t.Error("every chunk is in use")
}
