package fstree

import (
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lockThread gives the goroutine a thread that ends with it.
func lockThread() { runtime.LockOSThread() }

func TestHostFileOpenRefusesChanged(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, path string)
		want   string
	}{
		{"vanished", func(t *testing.T, p string) { must(t, os.Remove(p)) }, "d/f: no such file"},
		{"grown", func(t *testing.T, p string) { must(t, os.Truncate(p, 9)) }, "d/f: changed since it was scanned: 9 bytes"},
		{"shrunk", func(t *testing.T, p string) { must(t, os.Truncate(p, 2)) }, "d/f: changed since it was scanned: 2 bytes"},
		{"touched", func(t *testing.T, p string) { setTime(t, p, 1000, 1) }, "modified at 1970-01-01T00:16:40.000000001Z; it had 5 bytes"},
		{"now a symlink", func(t *testing.T, p string) {
			must(t, os.Rename(p, p+".old"))
			must(t, os.Symlink(p+".old", p))
		}, "d/f: too many levels of symbolic links"},
		{"now below a symlink", func(t *testing.T, p string) {
			d := strings.TrimSuffix(p, "/f")
			must(t, os.Rename(d, d+".old"))
			must(t, os.Symlink(d+".old", d))
		}, "d/f: too many levels of symbolic links"},
		{"now a FIFO", func(t *testing.T, p string) {
			must(t, os.Remove(p))
			must(t, unix.Mkfifo(p, 0o644))
		}, "d/f: changed since it was scanned: it is no regular file"},
		{"now a directory", func(t *testing.T, p string) {
			must(t, os.Remove(p))
			must(t, os.Mkdir(p, 0o755))
		}, "d/f: changed since it was scanned: it is no regular file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root+"/d/f", "hello")
			setTime(t, root+"/d/f", 1000, 0)
			e := mustScanDir(t, root).Lookup("d/f")
			tt.change(t, root+"/d/f")
			_, err := e.Content.Open(e)
			wantInputError(t, err, root, tt.want)
		})
	}
}

func TestHostFileCloseReportsChange(t *testing.T) {
	tests := []struct {
		name   string
		change func(path string) error
		want   string
	}{
		{"grown", func(p string) error { return os.Truncate(p, 9) }, "9 bytes"},
		{"shrunk", func(p string) error { return os.Truncate(p, 2) }, "2 bytes"},
		{"rewritten", func(p string) error { return os.WriteFile(p, []byte("HELLO"), 0o644) }, "5 bytes, modified at"},
		{"untouched", func(p string) error { return os.Chmod(p, 0o600) }, ""},
		{"removed while open", os.Remove, ""}, // what was open is whole
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root+"/f", "hello")
			setTime(t, root+"/f", 1000, 0)
			e := mustScanDir(t, root).Lookup("f")
			f, err := e.Content.Open(e)
			must(t, err)
			must(t, tt.change(root+"/f"))
			if err = f.Close(); tt.want == "" {
				must(t, err)
				return
			}
			wantInputError(t, err, root+"/f: changed since it was scanned: "+tt.want)
		})
	}
}

func TestHostFileReadAt(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/f", "0123456789")
	e := mustScanDir(t, root).Lookup("f")
	f, err := e.Content.Open(e)
	must(t, err)
	tests := []struct {
		off  int64
		n    int
		want string
		err  error
	}{
		{0, 10, "0123456789", nil}, {0, 11, "0123456789", io.EOF}, {9, 1, "9", nil}, {9, 2, "9", io.EOF},
		{10, 1, "", io.EOF}, {11, 1, "", io.EOF}, {3, 4, "3456", nil}, {-1, 4, "", io.EOF},
	}
	for _, tt := range tests {
		buf := make([]byte, tt.n)
		n, err := f.ReadAt(buf, tt.off)
		if got := string(buf[:n]); got != tt.want || err != tt.err {
			t.Errorf("ReadAt(%d bytes, %d) = %q, %v; want %q, %v", tt.n, tt.off, got, err, tt.want, tt.err)
		}
	}
	must(t, os.Truncate(root+"/f", 4))
	n, err := f.ReadAt(make([]byte, 10), 0)
	if n != 4 {
		t.Errorf("read %d bytes of what is left; want 4", n)
	}
	wantInputError(t, err, root+"/f: changed since it was scanned: it ends at byte 4; it had 10 bytes")
	f.Close()
}

func TestHostFileSegments(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name string
		size int64
		data []int64 // offsets of one written MiB each
		want []Segment
	}{
		{"empty", 0, nil, nil},
		{"one hole", 8 * mib, nil, nil},
		{"hole at the end", 8 * mib, []int64{0}, []Segment{{0, mib}}},
		{"hole at the start", 8 * mib, []int64{7 * mib}, []Segment{{7 * mib, mib}}},
		{"two parts", 8 * mib, []int64{mib, 5 * mib}, []Segment{{mib, mib}, {5 * mib, mib}}},
		{"touching parts", 8 * mib, []int64{mib, 2 * mib}, []Segment{{mib, 2 * mib}}},
		{"no hole", 2 * mib, []int64{0, mib}, []Segment{{0, 2 * mib}}},
		{"large", 1 << 42, []int64{1 << 41}, []Segment{{1 << 41, mib}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root+"/f", "")
			must(t, os.Truncate(root+"/f", tt.size))
			w, err := os.OpenFile(root+"/f", os.O_WRONLY, 0)
			must(t, err)
			for _, off := range tt.data {
				_, err := w.WriteAt([]byte(strings.Repeat("x", mib)), off)
				must(t, err)
			}
			must(t, w.Close())
			e := mustScanDir(t, root).Lookup("f")
			f, err := e.Content.Open(e)
			must(t, err)
			got, err := f.Segments()
			must(t, err)
			diff(t, "segments", tt.want, got)
			must(t, f.Close())
		})
	}
}

// Of a file that grew while it was open, no more than its old size is told.
func TestHostFileSegmentsOfGrownFile(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name     string
		data     int64 // offset of the first MiB of data
		segments []Segment
	}{
		{"data up to the end", 7 * mib, []Segment{{7 * mib, mib}}},
		{"hole up to the end", 8 * mib, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root+"/f", "")
			must(t, os.Truncate(root+"/f", 8*mib))
			e := mustScanDir(t, root).Lookup("f")
			f, err := e.Content.Open(e)
			must(t, err)
			w, err := os.OpenFile(root+"/f", os.O_WRONLY, 0)
			must(t, err)
			_, err = w.WriteAt(make([]byte, 2*mib), tt.data)
			must(t, err)
			must(t, w.Close())
			must(t, os.Truncate(root+"/f", 100*mib))
			got, err := f.Segments()
			must(t, err)
			diff(t, "segments", tt.segments, got)
			wantInputError(t, f.Close(), "changed since it was scanned")
		})
	}
}

// A size that is not the file's would make a writer pad or cut it.
func TestHostFileWrongSize(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/f", "hello")
	e := mustScanDir(t, root).Lookup("f")
	e.Size = 4
	_, err := e.Content.Open(e)
	wantInputError(t, err, "it had 4 bytes")
}

func TestCopy(t *testing.T) {
	tree := New()
	e := plant(t, tree, "f", file("x"))
	c := e.Copy()
	if c == e.Inode || c.Links() != 0 || c.Size != 1 || c.Content != e.Content {
		t.Errorf("Copy made %+v of %+v", c, e.Inode)
	}
	diff(t, "tree", []string{"./ implied", "f x", "g x"}, brief(t, func() *Tree { plant(t, tree, "g", c); return tree }()))
	if e.Links() != 1 || c.Links() != 1 {
		t.Errorf("f has %d names, its copy %d; want 1 each", e.Links(), c.Links())
	}
}

// The directory stays open as long as a tree needs it, and no longer.
func TestHostSourceIsReleased(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/f", "hello")
	e := mustScanDir(t, root).Lookup("f")
	runtime.GC()
	contentOf(t, e)
	fd := int(e.Content.(*hostDir).src.root.Fd())
	runtime.KeepAlive(e)
	e = nil
	deadline := time.Now().Add(10 * time.Second)
	for _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil; _, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0) {
		if time.Now().After(deadline) {
			t.Fatal("the directory is still open")
		}
		runtime.GC()
	}
}
