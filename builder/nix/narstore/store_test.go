package narstore

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// some returns bytes that pack well but not to nothing.
func some(n int) []byte {
	var out bytes.Buffer
	for i := 0; out.Len() < n; i++ {
		fmt.Fprintf(&out, "line %d\n", i*i)
	}
	return out.Bytes()[:n]
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t *testing.T, s *Store, content []byte) (*Archive, Hash) {
	t.Helper()
	h := sha256.Sum256(content)
	a, err := s.Put(h, func(w io.Writer) error {
		// In pieces of all lengths.
		for n, at := 1, 0; at < len(content); n = n*3 + 1 {
			end := min(len(content), at+n)
			if _, err := w.Write(content[at:end]); err != nil {
				return err
			}
			at = end
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, h
}

func all(t *testing.T, a *Archive) []byte {
	t.Helper()
	out, err := io.ReadAll(io.NewSectionReader(a, 0, a.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPutGet(t *testing.T) {
	s := open(t, t.TempDir())
	for _, n := range []int{0, 1, frameSize - 1, frameSize, frameSize + 1, 5*frameSize + 17} {
		content := some(n)
		a, h := put(t, s, content)
		if got := all(t, a); !bytes.Equal(got, content) || a.Size() != int64(n) {
			t.Errorf("%d bytes: not what was put (%d bytes)", n, a.Size())
		}
		if a, err := s.Get(h); err != nil || a == nil || !bytes.Equal(all(t, a), content) {
			t.Errorf("%d bytes: got %v, %v", n, a, err)
		}
	}
	if a, err := s.Get(sha256.Sum256([]byte("none"))); a != nil || err != nil {
		t.Errorf("got %v, %v of what is not there", a, err)
	}
}

func TestReadAt(t *testing.T) {
	s := open(t, t.TempDir())
	content := some(3*frameSize + 100)
	packed, _ := put(t, s, content)
	name := filepath.Join(t.TempDir(), "plain.nar")
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
	plain, err := s.Plain(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []*Archive{packed, plain} {
		for _, off := range []int64{0, 1, frameSize - 1, frameSize, frameSize + 1, a.Size() - 1, a.Size(), a.Size() + 1} {
			for _, n := range []int{0, 1, 2, frameSize, 2*frameSize + 3} {
				p := bytes.Repeat([]byte{'?'}, n)
				got, err := a.ReadAt(p, off)
				want := max(0, min(int64(n), a.Size()-off))
				if int64(got) != want || (err == io.EOF) != (want < int64(n)) || err != nil && err != io.EOF || !bytes.Equal(p[:got], content[min(off, a.Size()):min(off, a.Size())+want]) {
					t.Errorf("plain %t: %d bytes at %d: got %d, %v; want %d", a.plain, n, off, got, err, want)
				}
			}
		}
		if _, err := a.ReadAt(nil, -1); err == nil {
			t.Error("negative offset: no error")
		}
	}
}

// TestManyArchives: more archives than are open at a time, and more frames than
// are kept, are read by many at once.
func TestManyArchives(t *testing.T) {
	s := open(t, t.TempDir())
	var archives []*Archive
	var contents [][]byte
	for i := range maxOpen + 20 {
		contents = append(contents, some(3*frameSize + i)[i:])
		a, _ := put(t, s, contents[i])
		archives = append(archives, a)
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			buf := make([]byte, 100)
			for i := range 600 {
				n := (i*7 + worker*13) % len(archives)
				off := int64(i*worker*997) % (archives[n].Size() - 100)
				if _, err := archives[n].ReadAt(buf, off); err != nil || !bytes.Equal(buf, contents[n][off:off+100]) {
					t.Errorf("archive %d at %d: %v", n, off, err)
				}
			}
		})
	}
	wg.Wait()
	s.files.mu.Lock()
	defer s.files.mu.Unlock()
	if n := len(s.files.values); n > maxOpen {
		t.Errorf("%d files are open, expected at most %d", n, maxOpen)
	}
	if n := len(s.frames.values); n > maxFrames {
		t.Errorf("%d frames are kept, expected at most %d", n, maxFrames)
	}
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Name() != lockName {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestPutFails(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	mine := errors.New("no")
	_, err := s.Put(Hash{1}, func(w io.Writer) error {
		w.Write(some(2 * frameSize))
		return mine
	})
	if !errors.Is(err, mine) || errors.Is(err, ErrFolder) || len(entries(t, dir)) != 0 {
		t.Errorf("%v, left %q", err, entries(t, dir))
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(Hash{1}, func(io.Writer) error { return nil }); !errors.Is(err, ErrFolder) {
		t.Errorf("without the folder: %v", err)
	}
}

// TestDamaged: an archive that is no archive is removed and counts as not there;
// one with damage inside says so when it is read.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, h := put(t, s, some(3*frameSize))
	name := s.path(h)
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		cut := good[:len(good)*n/20]
		if err := os.WriteFile(name, cut, 0o644); err != nil {
			t.Fatal(err)
		}
		if a, err := s.Get(h); a != nil || err != nil {
			t.Errorf("%d of %d bytes: got %v, %v", len(cut), len(good), a, err)
		}
		if left := entries(t, dir); len(left) != 0 {
			t.Errorf("%d of %d bytes: left %q", len(cut), len(good), left)
		}
	}
	bad := bytes.Clone(good)
	bad[len(good)/2] ^= 0x40
	if err := os.WriteFile(name, bad, 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := s.Get(h)
	if err != nil || a == nil {
		t.Fatal(a, err)
	}
	_, err = io.ReadAll(io.NewSectionReader(a, 0, a.Size()))
	if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), name) {
		t.Errorf("a flipped bit: %v", err)
	}
}

func TestTrim(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var hashes []Hash
	for i := range 4 {
		a, h := put(t, s, some(frameSize + i)[i:])
		hashes = append(hashes, h)
		if err := os.Chtimes(a.Name(), time.Time{}, time.Unix(int64(100+i), 0)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Get(hashes[0]); err != nil { // now it was used last
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x"+partial), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	size := func(h Hash) int64 {
		info, err := os.Stat(s.path(h))
		if err != nil {
			return 0
		}
		return info.Size()
	}
	limit := size(hashes[0]) + size(hashes[3])
	other := open(t, dir)
	if err := s.Trim(limit); err != nil || len(entries(t, dir)) != 5 {
		t.Errorf("beside another: %v, left %d", err, len(entries(t, dir)))
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		most int64
		left []int
	}{{limit + size(hashes[2]), []int{0, 2, 3}}, {limit, []int{0, 3}}, {limit - 1, []int{0}}, {0, nil}} {
		if err := s.Trim(tt.most); err != nil {
			t.Fatal(err)
		}
		var left []int
		for i, h := range hashes {
			if size(h) > 0 {
				left = append(left, i)
			}
		}
		if fmt.Sprint(left) != fmt.Sprint(tt.left) || len(entries(t, dir)) != len(left) {
			t.Errorf("at most %d bytes: left %v and %q; want %v", tt.most, left, entries(t, dir), tt.left)
		}
	}
}

// TestZstd: any zstd unpacks an archive of the store.
func TestZstd(t *testing.T) {
	imgtest.Need(t, "zstd")
	s := open(t, t.TempDir())
	content := some(2*frameSize + 5)
	a, _ := put(t, s, content)
	out, err := exec.Command("zstd", "-dc", a.Name()).Output()
	if err != nil || !bytes.Equal(out, content) {
		t.Errorf("zstd: %d bytes, %v", len(out), err)
	}
}

// FuzzArchive: whatever lies in the folder is an archive, or none.
func FuzzArchive(f *testing.F) {
	s, err := Open(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	content := some(frameSize + 10)
	h := sha256.Sum256(content)
	a, err := s.Put(h, func(w io.Writer) error { _, err := w.Write(content); return err })
	if err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(a.Name())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[len(good)/2:])
	f.Fuzz(func(t *testing.T, data []byte) {
		s := open(t, t.TempDir())
		if err := os.WriteFile(s.path(h), data, 0o644); err != nil {
			t.Fatal(err)
		}
		a, err := s.Get(h)
		if err != nil {
			t.Fatal(err)
		}
		if a != nil {
			n, err := io.Copy(io.Discard, io.NewSectionReader(a, 0, min(a.Size(), 1<<24)))
			if err == nil && n != min(a.Size(), 1<<24) {
				t.Errorf("read %d of %d bytes", n, a.Size())
			}
		}
	})
}
