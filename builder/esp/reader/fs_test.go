package reader

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

func writeTree(t testing.TB, d *imgtest.MemDisk, files map[string]string) {
	t.Helper()
	if _, err := esp.Write(context.Background(), d, treeOf(t, files), esp.Params{Size: d.Size(), Serial: 1, Timestamp: epoch}); err != nil {
		t.Fatal(err)
	}
}

// TestFS runs the tests of the standard library, and reads every file.
func TestFS(t *testing.T) {
	f := makeImage(t).open()
	var names []string
	for name, content := range files {
		names = append(names, strings.TrimSuffix(name, "/"))
		if strings.HasSuffix(name, "/") {
			continue
		}
		if b, err := f.ReadFile(name); err != nil || string(b) != content {
			t.Errorf("ReadFile(%q) = %d bytes, %v; want %d", name, len(b), err, len(content))
		}
		info, err := f.Stat(strings.ToUpper(name))
		if err != nil || info.Size() != int64(len(content)) || !info.ModTime().Equal(epoch) {
			t.Errorf("Stat of %q in upper case = %v, %v", name, info, err)
		}
	}
	if err := fstest.TestFS(f, names...); err != nil {
		t.Error(err)
	}
	for limit, want := range map[int64]bool{16001: true, 16000: true, 15999: false} {
		if _, err := f.ReadAtMost("BIG.BIN", limit); (err == nil) != want {
			t.Errorf("ReadAtMost(%d) of 16000 bytes: %v; want ok %v", limit, err, want)
		}
	}
	if f.Label() != "ESP" || f.UUID() != "0000-0001" || f.ClusterSize() != 512 || f.Clusters() != 80628 || f.Size() != testSize {
		t.Errorf("label %q, UUID %s, %d clusters of %d bytes, size %d", f.Label(), f.UUID(), f.Clusters(), f.ClusterSize(), f.Size())
	}
}

func TestFSErrors(t *testing.T) {
	m := makeImage(t)
	m.entry(m.first("BIG.BIN")+3, 0)
	m.relink(m.slot("EFI", "LINUX"), m.first("EFI"))
	f := m.open()
	for _, test := range []struct {
		name string
		want error
	}{{"/", fs.ErrInvalid}, {"", fs.ErrInvalid}, {"nothing", fs.ErrNotExist}, {"EMPTY/x", fs.ErrNotExist}, {"EFI/..", fs.ErrInvalid}} {
		if _, err := f.Open(test.name); !errors.Is(err, test.want) {
			t.Errorf("Open(%q): %v; want %v", test.name, err, test.want)
		}
	}
	for _, name := range []string{"BIG.BIN", "EFI/Linux", "EFI/Linux/Linux"} {
		if _, err := f.Open(name); fault.ClassOf(err) != fault.Input {
			t.Errorf("Open(%q): %v; want an error of class input", name, err)
		}
		if _, err := f.Extents(name); fault.ClassOf(err) != fault.Input {
			t.Errorf("Extents(%q): %v; want an error of class input", name, err)
		}
	}
	if _, err := f.ReadFile("EFI"); err == nil {
		t.Errorf("ReadFile of a directory: no error")
	}
	if _, err := f.ReadDir("EMPTY"); err == nil {
		t.Errorf("ReadDir of a file: no error")
	}
}

// TestExtents reads a file in two pieces.
func TestExtents(t *testing.T) {
	m := makeImage(t)
	first := m.first("BIG.BIN")
	whole, err := m.open().ReadFile("BIG.BIN")
	if err != nil {
		t.Fatal(err)
	}
	// The last two of its 32 clusters go elsewhere.
	b := m.open().boot
	m.entry(first+29, 70000)
	m.entry(70000, 70001)
	m.entry(70001, 0xffffffff) // the upper bits mean nothing
	m.put(b.offset(70000), whole[30*512:]...)
	m.put(b.offset(first+30), make([]byte, 1024)...)
	want := []Extent{{0, b.offset(first), 30 * 512}, {30 * 512, b.offset(70000), 16000 - 30*512}}
	f := m.open()
	if got, err := f.Extents("BIG.BIN"); err != nil || !slices.Equal(got, want) {
		t.Errorf("Extents = %v, %v; want %v", got, err, want)
	}
	if got, err := f.ReadFile("BIG.BIN"); err != nil || string(got) != string(whole) {
		t.Errorf("ReadFile of two pieces: other bytes, %v", err)
	}
	if got, err := f.Extents("EMPTY"); err != nil || len(got) != 0 {
		t.Errorf("Extents of an empty file = %v, %v", got, err)
	}
	if got, err := f.Extents("."); err != nil || !slices.Equal(got, []Extent{{0, b.offset(2), 512 * got[0].Length / 512}}) {
		t.Errorf("Extents of the root = %v, %v", got, err)
	}
}

// TestOpenRefuses breaks each field of the boot sector that has a right value.
func TestOpenRefuses(t *testing.T) {
	le := binary.LittleEndian
	tests := []struct {
		name string
		at   int64
		to   []byte
		want string
	}{
		{"signature", 511, []byte{0}, "signature 5500"},
		{"sector size 256", 11, []byte{0, 1}, "sectors of 256 bytes"},
		{"sector size 8192", 11, []byte{0, 32}, "sectors of 8192 bytes"},
		{"sector size odd", 11, []byte{1, 2}, "sectors of 513 bytes"},
		{"cluster 0", 13, []byte{0}, "0 sectors in a cluster"},
		{"cluster 3", 13, []byte{3}, "3 sectors in a cluster"},
		{"FATs 0", 16, []byte{0}, "0 FATs"},
		{"FATs 3", 16, []byte{3}, "3 FATs"},
		{"root entries", 17, []byte{1}, "FAT12 or FAT16"},
		{"small size", 19, []byte{1}, "FAT12 or FAT16"},
		{"media", 21, []byte{0xf7}, "media descriptor 0xf7"},
		{"FAT16 length", 22, []byte{1}, "FAT12 or FAT16"},
		{"one FAT in use", 40, []byte{0x80}, "only one of the FATs"},
		{"version", 42, []byte{1}, "version 0x1"},
		{"extension", 66, []byte{0x28}, "type \"FAT32   \""},
		{"type", 82, []byte("FAT16   "), "type \"FAT16   \""},
		{"size 0", 32, le.AppendUint32(nil, 0), "expected 65525 to"},
		{"size of 65524", 32, le.AppendUint32(nil, 32+2*630+65524), "65524 clusters"},
		{"size over the end", 32, le.AppendUint32(nil, testSize/512+1), "81921 sectors of 512 bytes, the image has 41943040"},
		{"FAT too short", 36, le.AppendUint32(nil, 629), "a FAT of 322048 bytes"},
		{"FAT too long", 36, le.AppendUint32(nil, 1<<32-1), "expected 65525 to"},
		{"root 1", 44, le.AppendUint32(nil, 1), "root directory in cluster 1,"},
		{"root outside", 44, le.AppendUint32(nil, 80630), "root directory in cluster 80630, expected 2 to 80629"},
		{"info 0", 48, []byte{0}, "FSInfo in sector 0"},
		{"info outside", 48, []byte{32}, "FSInfo in sector 32, expected 1 to 31"},
		{"backup outside", 50, []byte{32}, "backup in sector 32"},
	}
	whole := makeImage(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := &image{whole.Clone(), t}
			m.put(test.at, test.to...)
			_, err := Open(m, m.Size())
			if fault.ClassOf(err) != fault.Input || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open: %v; want %q", err, test.want)
			}
		})
	}
	m := &image{whole.Clone(), t}
	m.put(32, le.AppendUint32(nil, 32+2*630+65525)...)
	if f, err := Open(m, m.Size()); err != nil || f.Clusters() != 65525 {
		t.Errorf("Open with 65525 clusters: %v", err)
	}
	if _, err := Open(strings.NewReader("short"), 5); fault.ClassOf(err) != fault.Input {
		t.Errorf("Open of 5 bytes: %v; want an error of class input", err)
	}
}
