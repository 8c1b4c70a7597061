package reader_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
)

const (
	regular = 0o100644
	symlink = 0o120777
	folder  = 0o040755
)

// sampleImage holds one of everything that this package reads.
func sampleImage(t testing.TB) *testImage {
	t.Helper()
	im := newImage()
	const top, nested = ondisk.FSTree, 256
	im.subvolume(top)
	im.subvolume(nested)
	body := text(10_000)
	im.file(top, 256, 257, "inline", regular, 100, 0)
	im.extent(top, 257, 0, ondisk.FileExtent{Kind: ondisk.ExtentInline, RAMBytes: 100, Inline: text(100)})
	for ino, how := range []ondisk.Compression{ondisk.CompressNone, ondisk.CompressZlib, ondisk.CompressLZO, ondisk.CompressZstd} {
		name := []string{"plain", "zlib", "lzo", "zstd"}[ino]
		im.file(top, 256, uint64(258+ino), name, regular, uint64(len(body)), 0)
		im.write(top, uint64(258+ino), len(body), pack(t, how, body), how)
	}
	im.file(top, 256, 262, "holes", regular, 20_000, 0)
	im.extent(top, 262, 8192, ondisk.FileExtent{Kind: ondisk.ExtentRegular, RAMBytes: 12288, DiskBytenr: dataAt, DiskNumBytes: 12288, Offset: 4096, NumBytes: 4096})
	im.extent(top, 262, 12288, ondisk.FileExtent{Kind: ondisk.ExtentRegular, NumBytes: 4096, RAMBytes: 4096})
	im.file(top, 256, 263, "link", symlink, 9, 0)
	im.extent(top, 263, 0, ondisk.FileExtent{Kind: ondisk.ExtentInline, RAMBytes: 9, Inline: []byte("dir/below")})
	im.file(top, 256, 264, "dir", folder, 0, 0)
	im.file(top, 264, 265, "below", regular, 0, 0)
	xattr := ondisk.DirItem{Type: ondisk.FileXattr, Name: "user.name", Data: []byte("value")}
	im.add(top, 264, ondisk.TypeXattrItem, ondisk.NameHash(xattr.Name), xattr.Append(nil))
	im.entry(top, 256, 300, "nested", ondisk.Key{ObjectID: nested, Type: ondisk.TypeRootItem}, ondisk.FileDir)
	im.entry(top, 264, 301, "stub", ondisk.Key{ObjectID: nested, Type: ondisk.TypeRootItem}, ondisk.FileDir)
	ref := ondisk.RootRef{DirID: 256, Sequence: 300, Name: "nested"}
	im.add(ondisk.RootTree, nested, ondisk.TypeRootBackref, top, ref.Append(nil))
	im.add(ondisk.RootTree, top, ondisk.TypeRootRef, nested, ref.Append(nil))
	addSwap(im, nested, 257)
	return im
}

// addSwap adds a swapfile of two extents that follow each other.
func addSwap(im *testImage, tree, ino uint64) {
	im.file(tree, 256, ino, "swap", regular, 16384, ondisk.InodeNoDataCow|ondisk.InodeNoDataSum)
	im.extent(tree, ino, 0, ondisk.FileExtent{Kind: ondisk.ExtentRegular, RAMBytes: 12288, DiskBytenr: swapAt + 8192, DiskNumBytes: 12288, NumBytes: 4096})
	im.extent(tree, ino, 4096, ondisk.FileExtent{Kind: ondisk.ExtentPrealloc, RAMBytes: 12288, DiskBytenr: swapAt + 8192, DiskNumBytes: 12288, Offset: 4096, NumBytes: 8192})
	im.extent(tree, ino, 12288, ondisk.FileExtent{Kind: ondisk.ExtentPrealloc, RAMBytes: 4096, DiskBytenr: swapAt + 20480, DiskNumBytes: 4096, NumBytes: 4096})
	for _, e := range []struct {
		at, length, fileOffset uint64
		count                  uint32
	}{{uint64(swapAt) + 8192, 12288, 0, 2}, {uint64(swapAt) + 20480, 4096, 12288, 1}} {
		item := ondisk.ExtentItem{Refs: uint64(e.count), Generation: testGen, Flags: ondisk.ExtentFlagData}.Append(nil)
		item = append(item, uint8(ondisk.TypeExtentDataRef))
		item = ondisk.DataRef{Root: tree, ObjectID: ino, Offset: e.fileOffset, Count: e.count}.Append(item)
		im.add(ondisk.ExtentTree, e.at, ondisk.TypeExtentItem, e.length, item)
	}
	copy(im.bytes[6<<20+8192:], swaparea.New(16384, ids.UUID{9}, ""))
}

// pack compresses body as the kernel would store it.
func pack(t testing.TB, how ondisk.Compression, body []byte) []byte {
	t.Helper()
	switch how {
	case ondisk.CompressZlib:
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		w.Close()
		return b.Bytes()
	case ondisk.CompressZstd:
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		return w.EncodeAll(body, nil)
	case ondisk.CompressLZO:
		return packLZO(body)
	}
	return body
}

// packLZO makes an lzo extent of literals, with the padding that keeps lengths
// within a sector.
func packLZO(body []byte) []byte {
	out := make([]byte, 4)
	for len(body) > 0 {
		part := body[:min(len(body), ondisk.SectorSize)]
		body = body[len(part):]
		if left := ondisk.SectorSize - len(out)%ondisk.SectorSize; left < 4 {
			out = append(out, make([]byte, left)...)
		}
		stream := literals(part)
		out = append(binary.LittleEndian.AppendUint32(out, uint32(len(stream))), stream...)
	}
	binary.LittleEndian.PutUint32(out, uint32(len(out)))
	return out
}

// literals is an LZO1X stream of one run of literals: zero, then the length
// less 18 as a sum of bytes, then the end mark.
func literals(b []byte) []byte {
	if len(b) <= 238 {
		return append(append([]byte{byte(17 + len(b))}, b...), 0x11, 0, 0)
	}
	out := []byte{0}
	n := len(b) - 18
	for ; n > 255; n -= 255 {
		out = append(out, 0)
	}
	return append(append(append(out, byte(n)), b...), 0x11, 0, 0)
}

func TestSample(t *testing.T) {
	f := openBytes(t, sampleImage(t).build())
	f.OnDamage(nil)
	v := volume(t, f, "")
	if err := fstest.TestFS(v, "inline", "plain", "zlib", "lzo", "zstd", "holes", "link", "dir/below", "dir/stub", "nested/swap"); err != nil {
		t.Error(err)
	}
	holes := make([]byte, 20_000)
	copy(holes[8192:], text(10_000)[4096:8192])
	for name, want := range map[string][]byte{
		"inline": text(100), "plain": text(10_000), "zlib": text(10_000), "lzo": text(10_000), "zstd": text(10_000), "holes": holes,
	} {
		if got, err := v.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("ReadFile(%q) = %d bytes, %v; want %d bytes", name, len(got), err, len(want))
		}
	}
	if xattrs, err := v.Xattrs("dir"); err != nil || len(xattrs) != 1 || string(xattrs[0].Value) != "value" || !sortedByName(xattrs) {
		t.Errorf("Xattrs(dir) = %v, %v", xattrs, err)
	}
	if s, err := v.Swapfile("nested/swap"); err != nil || s.Offset != (6<<20+8192)/4096 || s.Fragments != 1 || s.Size != 16384 {
		t.Errorf("Swapfile = %+v, %v; want offset %d, one fragment", s, err, (6<<20+8192)/4096)
	}
	entries, err := v.ReadDir("dir/stub")
	if err != nil || len(entries) != 0 {
		t.Errorf("ReadDir(dir/stub) = %v, %v; want an empty directory", entries, err)
	}
}

// TestReadAt reads at every place around sector boundaries.
func TestReadAt(t *testing.T) {
	v := volume(t, openBytes(t, sampleImage(t).build()), "")
	want := text(10_000)
	for _, name := range []string{"plain", "lzo", "zlib", "zstd"} {
		file, err := v.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		r := file.(io.ReaderAt)
		for _, at := range []int{0, 1, 4095, 4096, 4097, 8191, 8192, 9998, 9999} {
			for _, n := range []int{0, 1, 2, 4095, 4096, 4097, 10_000} {
				p := []byte(strings.Repeat("?", n))
				got, err := r.ReadAt(p, int64(at))
				end := min(at+n, len(want))
				if got != end-at || !bytes.Equal(p[:got], want[at:end]) || (err == io.EOF) != (at+n > len(want)) {
					t.Errorf("%s: ReadAt(%d bytes, %d) = %d, %v; want %d", name, n, at, got, err, end-at)
				}
			}
		}
		if _, err := r.ReadAt(make([]byte, 1), 10_000); err != io.EOF {
			t.Errorf("%s: ReadAt at the end = %v; want EOF", name, err)
		}
	}
}
