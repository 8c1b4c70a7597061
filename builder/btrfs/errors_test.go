package btrfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestRefusedParams asks for what cannot be.
func TestRefusedParams(t *testing.T) {
	tree := fstree.New()
	dir := addInode(t, tree.Root(), "home", &fstree.Inode{Mode: fstree.TypeDir | 0o755})
	dir.Xattrs = []fstree.Xattr{{Name: "btrfs.compression", Value: []byte("zstd")}}
	addFile(t, tree, "file", nil)
	addInode(t, tree.Lookup("home"), "user", &fstree.Inode{Mode: fstree.TypeDir | 0o755})
	subs := func(s ...Subvolume) Params { return Params{Subvolumes: s} }
	swap := func(path string, size int64) Params { return Params{Swapfiles: []Swapfile{{path, size}}} }
	home := Subvolume{Path: "@home", Source: "home"}
	tests := []struct {
		params Params
		class  fault.Class
		want   string
	}{
		{Params{Label: strings.Repeat("l", 256)}, fault.Usage, "label: 256 bytes, expected at most 255"},
		{Params{Label: "a\x00b"}, fault.Usage, "holds a NUL byte"},
		{Params{Size: -1}, fault.Usage, "size -1"},
		{Params{Checksum: 4}, fault.Usage, "unknown checksum type 4"},
		{Params{Compression: Compression{16}}, fault.Usage, "compression level 16: expected 0 to 15"},
		{Params{Metadata: 2}, fault.Usage, "metadata profile 2"},
		{subs(home, home), fault.Usage, "subvolume @home: named twice"},
		{subs(home, Subvolume{Path: "@other", Source: "/home/"}), fault.Usage, "home goes to subvolume @home already"},
		{subs(Subvolume{Path: "../x"}), fault.Usage, `element ".." is not a file name`},
		{subs(Subvolume{Path: ""}), fault.Usage, `element "" is not a file name`},
		{subs(Subvolume{Path: strings.Repeat("n", 256)}), fault.Usage, "is not a file name of 1 to 255 bytes"},
		{subs(Subvolume{Path: "a", Source: "../x"}), fault.Usage, `source "../x"`},
		{subs(Subvolume{Path: "a", Source: "file"}), fault.Input, "file in the source is not a directory"},
		{subs(Subvolume{Path: "file/sub", Empty: true}), fault.Input, "subvolume file/sub: file: not a directory in the source"},
		{swap("file/swap", MinSwapfile), fault.Input, "swapfile file/swap: file: not a directory in the source"},
		{subs(Subvolume{Path: "home", Empty: true}), fault.Usage, "the source has a directory home with files there"},
		{swap("@swap/swapfile", MinSwapfile-4096), fault.Usage, "36864 bytes, expected a multiple of 4096 from 40960"},
		{swap("@swap/swapfile", MinSwapfile+1), fault.Usage, "40961 bytes, expected a multiple of 4096"},
		{swap("home/swapfile", MinSwapfile), fault.Usage, "directory home has btrfs.compression=zstd"},
		{swap("home/user", MinSwapfile), fault.Usage, "swapfile home/user"},
		{swap("file", MinSwapfile), fault.Usage, "there is an entry at this path"},
		{Params{Subvolumes: []Subvolume{home}, Swapfiles: []Swapfile{{"@home", MinSwapfile}}}, fault.Usage, "there is a subvolume at this path"},
		{Params{Subvolumes: []Subvolume{{Path: "@s", Empty: true}}, Swapfiles: []Swapfile{{"@s/f", MinSwapfile}},
			Snapshots: []Snapshot{{"@s", "@snap"}}}, fault.Usage, "subvolume @s holds swapfile @s/f"},
		{Params{Snapshots: []Snapshot{{"@no", "@snap"}}}, fault.Usage, `snapshot @snap: no subvolume "@no"`},
		{Params{Subvolumes: []Subvolume{home}, Snapshots: []Snapshot{{"@home", "@home"}}}, fault.Usage, "snapshot @home: there is a subvolume at this path"},
		{Params{Subvolumes: []Subvolume{home}, Snapshots: []Snapshot{{"@home", "@a"}, {"@home", "@a/b"}}}, fault.Usage, "lies inside read-only snapshot @a"},
		{Params{Subvolumes: []Subvolume{home}, Snapshots: []Snapshot{{"@home", "/@a/b"}, {"@home", "@a"}}}, fault.Usage, "lies inside read-only snapshot @a"},
		{Params{Subvolumes: []Subvolume{home, {Path: "@s/sub", Empty: true}}, Snapshots: []Snapshot{{"@home", "@s"}}}, fault.Usage, "@s: there is a directory, swapfile or subvolume at or below"},
		{Params{Subvolumes: []Subvolume{home}, Swapfiles: []Swapfile{{"x/y/s", MinSwapfile}}, Snapshots: []Snapshot{{"@home", "x/y/s"}}}, fault.Usage, "x/y/s: there is a"},
		{Params{Subvolumes: []Subvolume{home}, Swapfiles: []Swapfile{{"x/y/s", MinSwapfile}}, Snapshots: []Snapshot{{"@home", "x/y"}}}, fault.Usage, "x/y: there is a"},
		{Params{Subvolumes: []Subvolume{home}, Snapshots: []Snapshot{{"@home", "home"}}}, fault.Usage, "home: there is a directory"},
		{Params{Subvolumes: []Subvolume{{Path: "@s", Empty: true, ReadOnly: true}}, Swapfiles: []Swapfile{{"@s/f", MinSwapfile}}}, fault.Usage, "swapfile @s/f: subvolume @s is read-only"},
		{swap("../a/b", MinSwapfile), fault.Usage, `swapfile "../a/b": element ".."`},
		{Params{Default: "@no"}, fault.Usage, `default subvolume "@no": there is none`},
	}
	for _, test := range tests {
		writeFails(t, tree, test.params, test.class, test.want)
	}
}

// TestTooSmall asks for a byte less than what is needed, then for just that.
func TestTooSmall(t *testing.T) {
	tree := imgtest.EveryCase(t)
	_, auto := writeImage(t, tree, Params{Compression: Compression{3}})
	for _, size := range []int64{1, 4095, 4096, 10 << 20, auto.Size - 4096, auto.Size - 1} {
		writeFails(t, tree, Params{Compression: Compression{3}, Size: size}, fault.Target, fmt.Sprintf("size %d: the file system needs %d bytes", size, auto.Size))
	}
	for _, size := range []int64{auto.Size, auto.Size + 4095, auto.Size + 4096} {
		image, result := writeImage(t, tree, Params{Compression: Compression{3}, Size: size})
		if want := size / 4096 * 4096; result.Size != want {
			t.Errorf("size %d: got %d; want %d", size, result.Size, want)
		}
		ownCheck(t, image)
	}
}

// failing is an output or a content that fails after some bytes.
type failing struct {
	io.WriterAt
	left int64
}

var errFull = errors.New("no space left on device")

func (f *failing) WriteAt(p []byte, at int64) (int, error) {
	if f.left -= int64(len(p)); f.left < 0 {
		return 0, errFull
	}
	return f.WriterAt.WriteAt(p, at)
}

// TestFullDisk lets the output fail at every write.
func TestFullDisk(t *testing.T) {
	tree := imgtest.Cases()[0].Tree()
	f, err := os.CreateTemp(t.TempDir(), "fs")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for left := int64(0); ; left += 1 << 20 {
		_, err := Write(t.Context(), &failing{f, left}, tree, Params{})
		if err == nil {
			break
		}
		if !errors.Is(err, errFull) {
			t.Fatalf("after %d bytes: %v; want %v", left, err, errFull)
		}
	}
}

// badContent is a file that cannot be read as it was listed.
type badContent struct {
	openErr, readErr, closeErr, segmentsErr error
	short                                   int64
}

func (b badContent) Open(e *fstree.Entry) (fstree.File, error) {
	if b.openErr != nil {
		return nil, b.openErr
	}
	return &badFile{b, e.Size}, nil
}

type badFile struct {
	badContent
	size int64
}

func (f *badFile) ReadAt(p []byte, at int64) (int, error) {
	if f.readErr != nil {
		return 0, f.readErr
	}
	if end := f.size - f.short; at+int64(len(p)) > end {
		return int(max(end-at, 0)), io.EOF
	}
	return len(p), nil
}

func (f *badFile) Segments() ([]fstree.Segment, error) {
	return []fstree.Segment{{Length: f.size}}, f.segmentsErr
}

func (f *badFile) Close() error { return f.closeErr }

// TestUnreadable gives files that fail in every way that files fail.
func TestUnreadable(t *testing.T) {
	broken := errors.New("input/output error")
	tests := []struct {
		name string
		bad  badContent
		want string
	}{
		{"open", badContent{openErr: fault.New(fault.Input, "", "dir/bad: gone")}, "dir/bad: gone"},
		{"segments", badContent{segmentsErr: fault.New(fault.Input, "", "dir/bad: seek")}, "dir/bad: seek"},
		{"read", badContent{readErr: broken}, "dir/bad: input/output error"},
		{"short", badContent{short: 1}, "dir/bad: ends at byte 999999, expected 1000000 bytes: it changed while it was read"},
		{"close", badContent{closeErr: fault.New(fault.Input, "", "dir/bad: changed")}, "dir/bad: changed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree := fstree.New()
			addInode(t, tree.Root(), "dir", &fstree.Inode{Mode: fstree.TypeDir | 0o755})
			addFile(t, tree, "good", bytes.Repeat([]byte("good"), 1<<20))
			addInode(t, tree.Lookup("dir"), "bad", &fstree.Inode{Mode: fstree.TypeRegular, Size: 1_000_000, Content: test.bad})
			addInode(t, tree.Lookup("dir"), "later", &fstree.Inode{Mode: fstree.TypeRegular, Size: 4, Content: fstree.Bytes("late")})
			writeFails(t, tree, Params{Compression: Compression{3}}, fault.Input, test.want)
		})
	}
}

// TestCancel cancels at the first report of progress, and before the start.
func TestCancel(t *testing.T) {
	tree := imgtest.EveryCase(t)
	stop := errors.New("stopped by the user")
	for _, early := range []bool{true, false} {
		ctx, cancel := context.WithCancelCause(t.Context())
		p := Params{Progress: func(done, total int64) { cancel(stop) }}
		if early {
			cancel(stop)
		}
		f, err := os.CreateTemp(t.TempDir(), "fs")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Write(ctx, f, tree, p); !errors.Is(err, stop) {
			t.Errorf("cancelled (early %v): %v; want %v", early, err, stop)
		}
		f.Close()
	}
}

// sparse is a file with a few bytes of data at some places.
type sparse struct {
	size int64
	at   []int64
}

func (s sparse) Open(*fstree.Entry) (fstree.File, error) { return s, nil }

func (s sparse) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

func (s sparse) Segments() ([]fstree.Segment, error) {
	var list []fstree.Segment
	for _, at := range s.at {
		list = append(list, fstree.Segment{Offset: at, Length: 5})
	}
	return list, nil
}

func (s sparse) Close() error { return nil }

// TestProgress checks that reports ascend and end at the total.
func TestProgress(t *testing.T) {
	tree := fstree.New()
	addFile(t, tree, "a", randomBytes(300_000, 1))
	addFile(t, tree, "b", randomBytes(300_000, 1))
	addFile(t, tree, "c", []byte("inline"))
	addInode(t, tree.Root(), "d", &fstree.Inode{Mode: fstree.TypeRegular, Size: 10 << 30, Content: sparse{10 << 30, []int64{1 << 30, 5 << 30}}})
	addInode(t, tree.Root(), "e", &fstree.Inode{Mode: fstree.TypeRegular, Size: 1 << 30, Content: sparse{1 << 30, nil}})
	last, want := int64(0), int64(600_006)+11<<30
	writeImage(t, tree, Params{Progress: func(done, total int64) {
		if done <= last || total != want {
			t.Errorf("progress %d of %d after %d; want more, of %d", done, total, last, want)
		}
		last = done
	}})
	if last != want {
		t.Errorf("last progress %d; want %d", last, want)
	}
}

// TestTimestamp checks that the newest time of the tree is the default.
func TestTimestamp(t *testing.T) {
	tree := fstree.New()
	at := time.Date(2031, 2, 3, 4, 5, 6, 7, time.UTC)
	addFile(t, tree, "f", nil).SetMTime(at)
	if _, r := writeImage(t, tree, Params{}); !r.Timestamp.Equal(at) {
		t.Errorf("timestamp %v; want %v", r.Timestamp, at)
	}
}
