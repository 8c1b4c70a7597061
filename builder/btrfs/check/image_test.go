package check_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// image is a file system that can be changed in memory; the file below it
// stays as it is.
type image struct {
	base    io.ReaderAt
	size    int64
	patches []patch
}

type patch struct {
	at    int64
	bytes []byte
}

func (m *image) ReadAt(p []byte, at int64) (int, error) {
	n, err := m.base.ReadAt(p, at)
	for _, c := range m.patches {
		if from, to := max(at, c.at), min(at+int64(len(p)), c.at+int64(len(c.bytes))); from < to {
			copy(p[from-at:to-at], c.bytes[from-c.at:to-c.at])
		}
	}
	return n, err
}

func (m *image) write(at ondisk.Physical, b []byte) {
	m.patches = append(m.patches, patch{at: int64(at), bytes: slices.Clone(b)})
}

// flip inverts one byte.
func (m *image) flip(t testing.TB, at ondisk.Physical) {
	t.Helper()
	var b [1]byte
	if _, err := m.ReadAt(b[:], int64(at)); err != nil {
		t.Fatal(err)
	}
	m.write(at, []byte{^b[0]})
}

// clean returns the image without changes.
func (m *image) clean() *image { return &image{base: m.base, size: m.size} }

func (m *image) open() (*reader.FS, error) { return reader.Open(m, m.size) }

// run opens and checks the image.
func (m *image) run(t testing.TB, o check.Options) *check.Report {
	t.Helper()
	f, err := m.open()
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	r, err := check.Run(context.Background(), f, o)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	return r
}

// sourceTree fills a directory with one of everything that mkfs.btrfs takes
// over: inline, regular, compressible and sparse files, links of both kinds,
// xattrs, many names.
func sourceTree(t testing.TB, dir string) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	noise := make([]byte, 300<<10)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	must(os.MkdirAll(filepath.Join(dir, "dir", "deep"), 0o755))
	must(os.MkdirAll(filepath.Join(dir, "sub", "inner"), 0o755))
	must(os.WriteFile(filepath.Join(dir, "dir", "noise"), noise, 0o644))
	must(os.WriteFile(filepath.Join(dir, "dir", "small"), []byte("inline"), 0o600))
	must(os.WriteFile(filepath.Join(dir, "empty"), nil, 0o644))
	must(os.WriteFile(filepath.Join(dir, "text"), bytes.Repeat([]byte("all work and no play "), 5000), 0o644))
	must(os.WriteFile(filepath.Join(dir, "sub", "inner", "file"), noise[:9000], 0o644))
	must(os.Link(filepath.Join(dir, "dir", "noise"), filepath.Join(dir, "dir", "deep", "again")))
	must(os.Symlink("small", filepath.Join(dir, "dir", "link")))
	must(os.Truncate(filepath.Join(dir, "empty"), 0))
	for i := range 200 {
		must(os.WriteFile(filepath.Join(dir, "dir", "deep", fmt.Sprintf("file number %d", i)), []byte{byte(i)}, 0o644))
	}
}

// makeImage makes an image with mkfs.btrfs.
func makeImage(t testing.TB, args ...string) *image {
	t.Helper()
	imgtest.Need(t, "mkfs.btrfs")
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	sourceTree(t, source)
	path := filepath.Join(dir, "image")
	command(t, "mkfs.btrfs", append(append([]string{"-q", "--rootdir", source}, args...), path)...)
	return openImage(t, path)
}

func openImage(t testing.TB, path string) *image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return &image{base: f, size: st.Size()}
}

func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// place is where a tree block stands.
type place struct {
	bytenr ondisk.Logical
	tree   uint64
	level  uint8
	copies []ondisk.Physical
}

// blocksOf returns every block of a tree, parents first.
func blocksOf(t testing.TB, f *reader.FS, tree uint64) []place {
	t.Helper()
	ref, err := f.RootRef(tree)
	if err != nil {
		t.Fatal(err)
	}
	var all []place
	var walk func(reader.BlockRef)
	walk = func(ref reader.BlockRef) {
		raw, h, err := f.ReadBlock(ref)
		if err != nil {
			t.Fatal(err)
		}
		copies, err := f.Copies(ref.Bytenr, int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, place{bytenr: ref.Bytenr, tree: tree, level: h.Level, copies: copies})
		if h.Level == 0 {
			return
		}
		ptrs, err := ondisk.DecodeNode(raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ptrs {
			walk(reader.ChildRef(tree, h.Level, p))
		}
	}
	walk(ref)
	return all
}

// allBlocks returns the blocks of every tree.
func allBlocks(t testing.TB, f *reader.FS) []place {
	t.Helper()
	all := append(blocksOf(t, f, ondisk.ChunkTree), blocksOf(t, f, ondisk.RootTree)...)
	for item, err := range f.Items(ondisk.RootTree, ondisk.Key{}, ondisk.Key{ObjectID: ^uint64(0)}) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Key.Type == ondisk.TypeRootItem {
			all = append(all, blocksOf(t, f, item.Key.ObjectID)...)
		}
	}
	return all
}

// editBlock changes a block and seals all its copies again.
func (m *image) editBlock(t testing.TB, b place, edit func(raw []byte)) {
	t.Helper()
	f, err := m.open()
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, f.Super().NodeSize)
	if _, err := m.ReadAt(raw, int64(b.copies[0])); err != nil {
		t.Fatal(err)
	}
	edit(raw)
	f.Super().Checksum.Seal(raw)
	for _, at := range b.copies {
		m.write(at, raw)
	}
}

// editItem changes the data of the first item for which match holds, and the
// header and key of it if it wants to, and seals the block again.
func (m *image) editItem(t testing.TB, tree uint64, match func(ondisk.Item) bool, edit func(head, data []byte)) {
	t.Helper()
	f, err := m.open()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocksOf(t, f, tree) {
		if b.level > 0 {
			continue
		}
		raw := make([]byte, f.Super().NodeSize)
		if _, err := m.ReadAt(raw, int64(b.copies[0])); err != nil {
			t.Fatal(err)
		}
		items, err := ondisk.DecodeLeaf(raw)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(items, match)
		if i < 0 {
			continue
		}
		m.editBlock(t, b, func(raw []byte) {
			head := raw[ondisk.HeaderSize+i*ondisk.ItemHeaderSize:][:ondisk.ItemHeaderSize]
			at := ondisk.HeaderSize + int(binary.LittleEndian.Uint32(head[ondisk.KeySize:]))
			edit(head, raw[at:at+len(items[i].Data)])
		})
		return
	}
	t.Fatalf("tree %d has no such item", tree)
}

// editSuper changes every copy of the superblock.
func (m *image) editSuper(t testing.TB, edit func(*ondisk.Superblock)) {
	t.Helper()
	for _, at := range ondisk.SuperMirrors {
		if int64(at)+ondisk.SuperSize > m.size {
			break
		}
		m.editSuperAt(t, at, edit)
	}
}

func (m *image) editSuperAt(t testing.TB, at ondisk.Physical, edit func(*ondisk.Superblock)) {
	t.Helper()
	raw := make([]byte, ondisk.SuperSize)
	if _, err := m.ReadAt(raw, int64(at)); err != nil {
		t.Fatal(err)
	}
	s, err := ondisk.DecodeSuperblock(raw)
	if err != nil {
		t.Fatal(err)
	}
	edit(s)
	if raw, err = s.Encode(); err != nil {
		t.Fatal(err)
	}
	m.write(at, raw)
}
