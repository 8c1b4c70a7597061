package esp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/fat32"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestFileSizes writes files of all sizes around those of clusters.
func TestFileSizes(t *testing.T) {
	for _, size := range []int64{testSize, 300 << 20} {
		p := params(size)
		g, err := p.mustGeometry()
		if err != nil {
			t.Fatal(err)
		}
		files := map[string]string{}
		for _, n := range []int64{0, 1, g.clusterSize() - 1, g.clusterSize(), g.clusterSize() + 1, 2*g.clusterSize() - 1, 2 * g.clusterSize(), streamBuffer, streamBuffer + 1} {
			files[fmt.Sprintf("file of %d bytes", n)] = strings.Repeat("0123456789abcdef", int(n/16+1))[:n]
		}
		tree := treeOf(t, files)
		d, r := write(t, tree, p)
		verify(t, d, r, tree)
	}
}

// mustGeometry is geometry for Params that are not normal yet.
func (p Params) mustGeometry() (geometry, error) {
	p, err := p.normal()
	if err != nil {
		return geometry{}, err
	}
	return p.geometry()
}

// TestDirectorySizes writes directories that fill their clusters exactly, and
// not.
func TestDirectorySizes(t *testing.T) {
	const slots = 512 / slotSize
	for _, n := range []int{slots - 3, slots - 2, slots - 1, 2*slots - 3, 2*slots - 2, 2*slots - 1} {
		files := map[string]string{"root/": ""}
		for i := range n {
			files[fmt.Sprintf("DIR/FILE%d", i)] = "x"
			files[fmt.Sprintf("FILE%d", i)] = "x"
		}
		tree := treeOf(t, files)
		d, r := write(t, tree, params(testSize))
		verify(t, d, r, tree)
	}
}

// TestSparse writes a file with holes, and nothing where nothing is.
func TestSparse(t *testing.T) {
	tree := fstree.New()
	content := imgtest.Pieces{{Offset: 8 << 20, Length: 5000, Kind: imgtest.Random}, {Offset: 20 << 20, Length: 1, Kind: imgtest.Text}}
	for name, inode := range map[string]*fstree.Inode{
		"holes":   {Mode: fstree.TypeRegular, Size: 30 << 20, Content: content},
		"nothing": {Mode: fstree.TypeRegular, Size: 30 << 20},
	} {
		if _, err := tree.Root().Add(name, inode); err != nil {
			t.Fatal(err)
		}
	}
	d, r := write(t, tree, params(100<<20))
	verify(t, d, r, tree)
	// 60 MiB of chains of clusters of 512 bytes are 480 KiB in each FAT.
	if got, most := len(d.Written()), 2*121+1+1+3+1+2; got > most {
		t.Errorf("%d pages of 4096 bytes written; want at most %d", got, most)
	}
}

// TestLargeWrites counts the calls for many small files.
func TestLargeWrites(t *testing.T) {
	tree := fstree.New()
	for i := range 2000 {
		addFile(t, tree.Root(), fmt.Sprintf("file %d", i), strings.Repeat("x", 5000))
	}
	d, _ := write(t, tree, params(testSize))
	if most := 2000*5120/streamBuffer + 2 + 2 + 4; d.Calls > most {
		t.Errorf("%d writes; want at most %d", d.Calls, most)
	}
}

// TestStamp converts times around the limits of the format.
func TestStamp(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	tests := []struct {
		in          string
		date, clock uint16
		hundredths  byte
	}{
		{"1979-12-31T23:59:59Z", 0<<9 | 1<<5 | 1, 0, 0},
		{"1980-01-01T00:00:00Z", 0<<9 | 1<<5 | 1, 0, 0},
		{"1980-01-01T00:00:01Z", 0<<9 | 1<<5 | 1, 0, 100},
		{"1980-01-01T00:00:02Z", 0<<9 | 1<<5 | 1, 1, 0},
		{"2025-03-04T05:06:07.89Z", 45<<9 | 3<<5 | 4, 5<<11 | 6<<5 | 3, 189},
		{"2025-03-04T01:06:07+05:00", 45<<9 | 3<<5 | 3, 20<<11 | 6<<5 | 3, 100},
		{"2107-12-31T23:59:59Z", 127<<9 | 12<<5 | 31, 23<<11 | 59<<5 | 29, 100},
		{"2108-01-01T00:00:00Z", 127<<9 | 12<<5 | 31, 23<<11 | 59<<5 | 29, 199},
		{"9999-01-01T00:00:00Z", 127<<9 | 12<<5 | 31, 23<<11 | 59<<5 | 29, 199},
	}
	for _, test := range tests {
		date, clock, hundredths := stamp(at(test.in))
		if date != test.date || clock != test.clock || hundredths != test.hundredths {
			t.Errorf("stamp(%s) = %#x, %#x, %d; want %#x, %#x, %d", test.in, date, clock, hundredths, test.date, test.clock, test.hundredths)
		}
	}
}

func TestRefusedParams(t *testing.T) {
	tests := []struct {
		name  string
		do    func(*Params)
		class fault.Class
		want  string
	}{
		{"sector size", func(p *Params) { p.SectorSize = 1024 }, fault.Usage, "FAT32 sector size: 1024"},
		{"serial", func(p *Params) { p.Serial = 0 }, fault.Usage, "FAT32 serial number: 0"},
		{"start", func(p *Params) { p.Start = 513 }, fault.Usage, "byte 513 of the disk, expected a multiple of 512"},
		{"negative start", func(p *Params) { p.Start = -512 }, fault.Usage, "byte -512 of the disk"},
		{"start far away", func(p *Params) { p.Start = 1 << 41 }, fault.Usage, "expected at most 2199023255040"},
		{"label of 12", func(p *Params) { p.Label = "ABCDEFGHIJKL" }, fault.Config, "12 bytes, expected at most 11"},
		{"lower case", func(p *Params) { p.Label = "esp" }, fault.Config, `'e' is not allowed`},
		{"label with a dot", func(p *Params) { p.Label = "A.B" }, fault.Config, `'.' is not allowed`},
		{"umlaut", func(p *Params) { p.Label = "Ä" }, fault.Config, "is not allowed"},
		{"space first", func(p *Params) { p.Label = " A" }, fault.Config, "a space at its start or end"},
		{"space last", func(p *Params) { p.Label = "A " }, fault.Config, "a space at its start or end"},
		{"no name", func(p *Params) { p.Label = "NO NAME" }, fault.Config, "means that there is none"},
		{"negative size", func(p *Params) { p.Size = -1 }, fault.Target, "too small"},
		{"no size", func(p *Params) { p.Size = 0 }, fault.Target, "needs at least 34089472"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := params(testSize)
			test.do(&p)
			d := imgtest.NewMemDisk(testSize)
			_, err := Write(context.Background(), d, fstree.New(), p)
			if fault.ClassOf(err) != test.class || !strings.Contains(fmt.Sprint(err), test.want) || d.Calls > 0 {
				t.Errorf("Write: %v, %d writes; want %q and none", err, d.Calls, test.want)
			}
		})
	}
	for _, label := range []string{"", "A", "A B-C_D~1!#", "ABCDEFGHIJK"} {
		p := params(testSize)
		p.Label = label
		d, _ := write(t, treeOf(t, bootFiles), p)
		readBack(t, d, treeOf(t, bootFiles))
	}
}

// cut is a target that fails from a call on.
type cut struct {
	*imgtest.MemDisk
	left int
}

var errCut = errors.New("no space left on device")

func (c *cut) WriteAt(b []byte, offset int64) (int, error) {
	if c.left--; c.left < 0 {
		return 0, errCut
	}
	return c.MemDisk.WriteAt(b, offset)
}

// TestWriteErrors lets every write fail: there is an error, and no boot sector.
func TestWriteErrors(t *testing.T) {
	tree := treeOf(t, bootFiles)
	whole, _ := write(t, tree, params(testSize))
	for n := range whole.Calls {
		d := &cut{imgtest.NewMemDisk(testSize), n}
		if _, err := Write(context.Background(), d, tree, params(testSize)); !errors.Is(err, errCut) {
			t.Errorf("write %d fails: %v; want the cause", n, err)
		}
		b := make([]byte, 512)
		if _, err := d.ReadAt(b, 0); err != nil || !bytes.Equal(b, make([]byte, 512)) {
			t.Errorf("write %d fails: there is a boot sector, %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Write(ctx, imgtest.NewMemDisk(testSize), tree, params(testSize)); !errors.Is(err, context.Canceled) {
		t.Errorf("Write after cancel: %v", err)
	}
}

// badContent is content that fails in one way.
type badContent struct {
	open, segments, closing error
	at                      []fstree.Segment
	length                  int64
}

func (c badContent) Open(*fstree.Entry) (fstree.File, error) {
	if c.open != nil {
		return nil, c.open
	}
	return badFile{c}, nil
}

type badFile struct{ c badContent }

func (f badFile) Segments() ([]fstree.Segment, error) { return f.c.at, f.c.segments }
func (f badFile) Close() error                        { return f.c.closing }
func (f badFile) ReadAt(b []byte, offset int64) (int, error) {
	if n := f.c.length - offset; n < int64(len(b)) {
		return int(max(n, 0)), io.EOF
	}
	return len(b), nil
}

func TestBadContent(t *testing.T) {
	errBad := errors.New("bad")
	all := []fstree.Segment{{Length: 1000}}
	tests := []struct {
		name string
		c    badContent
		want string
	}{
		{"good", badContent{at: all, length: 1000}, "<nil>"},
		{"open", badContent{open: errBad}, "bad"},
		{"segments", badContent{segments: errBad}, "bad"},
		{"close", badContent{at: all, length: 1000, closing: errBad}, "bad"},
		{"short", badContent{at: all, length: 999}, "f: ends at byte 999, expected 1000 bytes"},
		{"segment over the end", badContent{at: []fstree.Segment{{Offset: 1, Length: 1000}}, length: 2000}, "f: data of 1000 bytes at byte 1, expected it behind byte 0 and before byte 1000"},
		{"segments in disorder", badContent{at: []fstree.Segment{{Offset: 10, Length: 10}, {Offset: 19, Length: 1}}, length: 1000}, "f: data of 1 bytes at byte 19"},
		{"negative segment", badContent{at: []fstree.Segment{{Offset: 0, Length: -1}}, length: 1000}, "f: data of -1 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree := fstree.New()
			if _, err := tree.Root().Add("f", &fstree.Inode{Mode: fstree.TypeRegular, Size: 1000, Content: test.c}); err != nil {
				t.Fatal(err)
			}
			_, err := Write(context.Background(), imgtest.NewMemDisk(testSize), tree, params(testSize))
			if !strings.Contains(fmt.Sprint(err), test.want) {
				t.Errorf("Write: %v; want %s", err, test.want)
			}
		})
	}
}

// TestLibrary has go-diskfs read a file system of ours.
func TestLibrary(t *testing.T) {
	tree := treeOf(t, map[string]string{"EFI/BOOT/BOOTX64.EFI": strings.Repeat("MZ", 3000), "loader/a long name.conf": "title\n", "EMPTY": ""})
	d, _ := write(t, tree, params(testSize))
	f, err := file.OpenFromPath(d.File(t), true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fs, err := fat32.Read(f, testSize, 0, 512)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range treeContents(t, tree) {
		if want == "" {
			continue // a directory, or an empty file, which it cannot read
		}
		got, err := fs.ReadFile(name)
		if err != nil || string(got) != want {
			t.Errorf("go-diskfs reads %s: %d bytes, %v; want %d", name, len(got), err, len(want))
		}
	}
	if label := strings.TrimSpace(fs.Label()); label != "ESP" {
		t.Errorf("go-diskfs reads the label %q", label)
	}
}
