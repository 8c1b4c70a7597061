package reader_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// maxWalk bounds what a walk of a sample image may meet: far more means that it
// would not have ended.
const maxWalk = 1000

// walkAll reads all there is and returns what it found, by path. Errors are
// part of that.
func walkAll(t testing.TB, f *reader.FS) map[string]string {
	t.Helper()
	found := map[string]string{}
	list, err := f.Subvolumes()
	if err != nil {
		found["subvolumes"] = err.Error()
	}
	for _, s := range list {
		found["subvolume "+s.Path] = s.UUID.String()
	}
	if _, err := f.DefaultSubvolume(); err != nil {
		found["default"] = err.Error()
	}
	for _, id := range []uint64{ondisk.FSTree, 256} {
		v, err := f.VolumeByID(id)
		if err != nil {
			found["volume"] = err.Error()
			continue
		}
		met := 0
		err = fs.WalkDir(v, ".", func(path string, d fs.DirEntry, err error) error {
			if met++; met > maxWalk {
				t.Fatalf("more than %d files: the walk does not end", maxWalk)
			}
			if err != nil {
				found[path] = err.Error()
				return nil
			}
			found[path] = readOne(v, path, d)
			return nil
		})
		if err != nil {
			found["walk"] = err.Error()
		}
	}
	return found
}

// readOne reads what there is to a file, at most 256 KiB of content.
func readOne(v *reader.Volume, path string, d fs.DirEntry) string {
	var out strings.Builder
	note := func(err error) {
		if err != nil {
			out.WriteString("error: " + err.Error())
		}
	}
	info, err := d.Info()
	note(err)
	if err == nil {
		out.WriteString(info.Mode().String())
	}
	_, err = v.Xattrs(path)
	note(err)
	if d.Type() == fs.ModeSymlink {
		target, err := v.ReadLink(path)
		out.WriteString(target)
		note(err)
	}
	if !d.Type().IsRegular() {
		return out.String()
	}
	_, err = v.Extents(path)
	note(err)
	_, _ = v.SwapfileOffset(path)
	file, err := v.Open(path)
	note(err)
	if err == nil {
		_, err = io.Copy(&out, io.LimitReader(file, 256<<10))
		note(err)
	}
	return out.String()
}

// TestMetadataFlips flips bytes in one copy of each block, then in both: the
// first must change nothing but be reported, the second must not give anything
// but errors or the truth.
func TestMetadataFlips(t *testing.T) {
	im := sampleImage(t)
	im.build()
	want := walkAll(t, openBytes(t, im.bytes))
	random := rand.New(rand.NewChaCha8([32]byte{3}))
	for _, block := range im.blocks {
		if block < metaAt {
			continue // the system chunk has one copy
		}
		places := im.places(block)
		offset := random.IntN(testNode)
		if offset >= 4 && offset < ondisk.ChecksumSize {
			offset = 0
		}
		im.bytes[places[0]+offset] ^= 1 << random.IntN(8)
		f := openBytes(t, im.bytes)
		reports := 0
		f.OnDamage(func(d reader.Damage) {
			if reports++; d.Logical != block || d.Copy != 1 || d.Copies != 2 || d.Data || d.Physical != ondisk.Physical(places[0]) {
				t.Errorf("block %d: damage %+v", block, d)
			}
		})
		if diff := cmp.Diff(want, walkAll(t, f)); diff != "" {
			t.Errorf("block %d with one bad copy:\n%s", block, diff)
		}
		saved := bytes.Clone(im.bytes[places[1]:][:testNode])
		copy(im.bytes[places[1]:], im.bytes[places[0]:][:testNode])
		f = openBytes(t, im.bytes)
		for path, got := range walkAll(t, f) {
			if got != want[path] && !isError(got) {
				t.Errorf("block %d with two bad copies: %s = %.60q; want %.60q or an error", block, path, got, want[path])
			}
		}
		copy(im.bytes[places[0]:], saved)
		copy(im.bytes[places[1]:], saved)
	}
}

func isError(got string) bool {
	for _, word := range []string{"error: ", "tree block", "inode", "directory", "chunk"} {
		if strings.Contains(got, word) {
			return true
		}
	}
	return false
}

// TestCheckBlock breaks one thing of a block at a time.
func TestCheckBlock(t *testing.T) {
	im := sampleImage(t)
	im.build()
	f := openBytes(t, im.bytes)
	ref, err := f.RootRef(ondisk.FSTree)
	if err != nil {
		t.Fatal(err)
	}
	good, header, err := f.ReadBlock(ref)
	if err != nil || header.Level == 0 {
		t.Fatalf("ReadBlock: level %d, %v; want a node", header.Level, err)
	}
	key := ondisk.Key{ObjectID: 256, Type: ondisk.TypeInodeItem}
	tests := []struct {
		name string
		edit func(b []byte, ref *reader.BlockRef)
		want string
	}{
		{"as it is", func([]byte, *reader.BlockRef) {}, ""},
		{"any owner", func(_ []byte, r *reader.BlockRef) { r.Owner = 0 }, ""},
		{"any subvolume", func(_ []byte, r *reader.BlockRef) { r.Owner = reader.AnySubvolume }, ""},
		{"first key", func(_ []byte, r *reader.BlockRef) { r.FirstKey = &key }, ""},
		{"address", func(_ []byte, r *reader.BlockRef) { r.Bytenr++ }, "says that it stands at"},
		{"fsid", func(b []byte, _ *reader.BlockRef) { b[32]++ }, "belongs to file system"},
		{"flags", func(b []byte, _ *reader.BlockRef) { b[56] = 0 }, "expected WRITTEN"},
		{"level", func(_ []byte, r *reader.BlockRef) { r.Level-- }, "level 3, expected 2"},
		{"generation", func(_ []byte, r *reader.BlockRef) { r.Generation++ }, "generation 7, expected 8"},
		{"owner", func(_ []byte, r *reader.BlockRef) { r.Owner = 256 }, "belongs to tree 5, expected 256"},
		{"no subvolume", func(b []byte, r *reader.BlockRef) { b[88], r.Owner = 2, reader.AnySubvolume }, "expected a subvolume"},
		{"other first key", func(_ []byte, r *reader.BlockRef) { r.FirstKey = &ondisk.Key{} }, "its parent says (0"},
		{"count", func(b []byte, _ *reader.BlockRef) { b[96] = 0 }, "with 0 pointers"},
		{"order", func(b []byte, _ *reader.BlockRef) { copy(b[101+33:], b[101:101+17]) }, "does not follow"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, r := bytes.Clone(good), ref
			test.edit(b, &r)
			ondisk.CRC32C.Seal(b)
			_, err := f.CheckBlock(b, r)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("CheckBlock = %v; want %q", err, test.want)
			}
		})
	}
	flipped := bytes.Clone(good)
	flipped[4000]++
	if _, err := f.CheckBlock(flipped, ref); err == nil || !strings.Contains(err.Error(), "wrong crc32c checksum") {
		t.Errorf("CheckBlock of a flipped block = %v; want a checksum error", err)
	}
	if _, err := f.CheckBlock(good[:4095], ref); err == nil {
		t.Error("CheckBlock of a short block succeeded")
	}
}

// TestDataDamage breaks file data in one copy and in both.
func TestDataDamage(t *testing.T) {
	for _, name := range []string{"plain", "zlib", "lzo", "zstd"} {
		im := sampleImage(t)
		im.build()
		extents, err := volume(t, openBytes(t, im.bytes), "").Extents(name)
		if err != nil || len(extents) != 1 {
			t.Fatalf("Extents(%q) = %v, %v", name, extents, err)
		}
		at := extents[0].Physical
		im.bytes[at+5]++
		f := openBytes(t, im.bytes)
		var seen []reader.Damage
		f.OnDamage(func(d reader.Damage) { seen = append(seen, d) })
		if got, err := volume(t, f, "").ReadFile(name); err != nil || !bytes.Equal(got, text(10_000)) {
			t.Errorf("%s with one bad copy: %d bytes, %v", name, len(got), err)
		}
		if len(seen) != 1 || !seen[0].Data || seen[0].Copy != 1 {
			t.Errorf("%s: damage %+v; want one of data in copy 1", name, seen)
		}
		im.bytes[at+1<<20+5]++
		f = openBytes(t, im.bytes)
		if _, err := volume(t, f, "").ReadFile(name); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "checksum") {
			t.Errorf("%s with two bad copies: %v; want a checksum error of class Input", name, err)
		}
		f = openBytes(t, im.bytes)
		f.TrustData()
		if got, err := volume(t, f, "").ReadFile(name); name == "plain" && (err != nil || len(got) != 10_000) {
			t.Errorf("%s with TrustData: %d bytes, %v; want all", name, len(got), err)
		}
	}
}

// TestSectorsFromBothCopies has a different sector bad in each copy.
func TestSectorsFromBothCopies(t *testing.T) {
	im := sampleImage(t)
	im.build()
	extents, err := volume(t, openBytes(t, im.bytes), "").Extents("plain")
	if err != nil {
		t.Fatal(err)
	}
	im.bytes[extents[0].Physical]++
	im.bytes[extents[0].Physical+1<<20+4096]++
	if got, err := volume(t, openBytes(t, im.bytes), "").ReadFile("plain"); err != nil || !bytes.Equal(got, text(10_000)) {
		t.Errorf("ReadFile = %d bytes, %v; want the truth", len(got), err)
	}
}

// TestMissingChecksum drops the checksum item of a file.
func TestMissingChecksum(t *testing.T) {
	im := sampleImage(t)
	sums := im.trees[ondisk.CsumTree]
	im.trees[ondisk.CsumTree] = sums[1:]
	v := volume(t, openBytes(t, im.build()), "")
	if _, err := v.ReadFile("plain"); err == nil || !strings.Contains(err.Error(), "there is no checksum") {
		t.Errorf("ReadFile(plain) = %v; want a missing checksum", err)
	}
	if _, err := v.ReadFile("zstd"); err != nil {
		t.Errorf("ReadFile(zstd): %v", err)
	}
	if _, err := v.Stat("absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat(absent) = %v; want fs.ErrNotExist", err)
	}
}
