package reader

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os/exec"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

const testSize = 40 << 20

var epoch = time.Date(2025, 3, 4, 5, 6, 8, 0, time.UTC)

// files is what the test image holds. A name with a slash at its end is a
// directory.
var files = map[string]string{
	"EFI/BOOT/BOOTX64.EFI":       strings.Repeat("MZ", 3000),
	"EFI/Linux/":                 "",
	"loader/loader.conf":         "timeout 3\n",
	"loader/entries/first.conf":  "title a\n",
	"loader/entries/second.conf": "title b\n",
	"Grüße, 世界 \U0001f600 and a name of three parts.txt": "unicode",
	"EMPTY":   "",
	"BIG.BIN": strings.Repeat("0123456789abcdef", 1000),
}

func treeOf(t testing.TB, files map[string]string) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	for name, content := range files {
		dir := path.Dir(name)
		if strings.HasSuffix(name, "/") {
			dir = name
		}
		parent, err := tree.MkdirAll(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		if dir == name {
			continue
		}
		inode := &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: int64(len(content)), Content: fstree.Bytes(content)}
		inode.SetMTime(epoch)
		if _, err := parent.Add(path.Base(name), inode); err != nil {
			t.Fatal(err)
		}
	}
	tree.Freeze()
	return tree
}

// image is a file system that a test may damage.
type image struct {
	*imgtest.MemDisk
	t testing.TB
}

func makeImage(t testing.TB) *image {
	t.Helper()
	d := imgtest.NewMemDisk(testSize)
	if _, err := esp.Write(context.Background(), d, treeOf(t, files), esp.Params{Size: testSize, Label: "ESP", Serial: 1, Timestamp: epoch}); err != nil {
		t.Fatal(err)
	}
	return &image{d, t}
}

func (m *image) open() *FS {
	m.t.Helper()
	f, err := Open(m, m.Size())
	if err != nil {
		m.t.Fatal(err)
	}
	return f
}

// put writes bytes at an offset.
func (m *image) put(offset int64, b ...byte) {
	m.t.Helper()
	if _, err := m.WriteAt(b, offset); err != nil {
		m.t.Fatal(err)
	}
}

// entry sets the entry of a cluster in both FATs.
func (m *image) entry(cluster, value uint32) {
	m.t.Helper()
	b := &m.open().boot
	for i := range b.tables {
		m.put(b.tableOffset+i*b.tableSize+int64(cluster)*entrySize, binary.LittleEndian.AppendUint32(nil, value)...)
	}
}

// first returns the first cluster of a file.
func (m *image) first(name string) uint32 {
	m.t.Helper()
	e, err := m.open().find("test", name)
	if err != nil {
		m.t.Fatal(err)
	}
	return e.first
}

// slot returns the offset of the slot in a directory that starts with prefix.
func (m *image) slot(dir, prefix string) int64 {
	m.t.Helper()
	extents, err := m.open().Extents(dir)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, x := range extents {
		raw := make([]byte, x.Length)
		if _, err := m.ReadAt(raw, x.Physical); err != nil {
			m.t.Fatal(err)
		}
		for at := 0; at < len(raw); at += slotSize {
			if bytes.HasPrefix(raw[at:], []byte(prefix)) {
				return x.Physical + int64(at)
			}
		}
	}
	m.t.Fatalf("%s has no slot %q", dir, prefix)
	return 0
}

// relink makes a slot point at another cluster.
func (m *image) relink(slot int64, cluster uint32) {
	m.t.Helper()
	m.put(slot+20, byte(cluster>>16), byte(cluster>>24))
	m.put(slot+26, byte(cluster), byte(cluster>>8))
}

// rename sets the units of a slot that holds a long name of one part.
func (m *image) rename(slot int64, name string) {
	m.t.Helper()
	for i, at := range []int64{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
		switch {
		case i < len(name):
			m.put(slot+at, name[i], 0)
		case i == len(name):
			m.put(slot+at, 0, 0)
		default:
			m.put(slot+at, 0xff, 0xff)
		}
	}
}

// fsckComplains reports whether fsck.fat finds anything.
func (m *image) fsckComplains() (bool, string) {
	m.t.Helper()
	imgtest.Need(m.t, "fsck.fat")
	out, err := exec.Command("fsck.fat", "-n", m.File(m.t)).CombinedOutput()
	return err != nil || bytes.Count(out, []byte("\n")) > 2, fmt.Sprint(string(out), err)
}
