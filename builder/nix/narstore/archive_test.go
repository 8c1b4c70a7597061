package narstore

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// TestSealed: a file that was checked stays what it was, or cannot be read: a plain one
// that is written in place, and a packed one that another takes the place of, in use
// and not.
func TestSealed(t *testing.T) {
	for _, n := range []int{1, frameSize - 1, frameSize, frameSize + 1, 3 * frameSize} {
		content := some(n)
		other := bytes.Clone(content)
		other[n-1] ^= 1
		for _, inUse := range []bool{false, true} {
			s := open(t, t.TempDir())
			packed, h := put(t, s, content)
			name := filepath.Join(t.TempDir(), "plain.nar")
			if err := os.WriteFile(name, content, 0o644); err != nil {
				t.Fatal(err)
			}
			plain, err := s.Plain(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range []*Archive{packed, plain} {
				sums := NewSums()
				if _, err := io.Copy(sums, io.NewSectionReader(a, 0, a.Size())); err != nil {
					t.Fatal(err)
				}
				a.Seal(sums)
				if !inUse {
					s.files.clear()
				}
				s.frames.clear()
				if !bytes.Equal(all(t, a), content) {
					t.Errorf("%d bytes, plain %t: sealed, and not what it was", n, a.plain)
				}
				if !inUse {
					s.files.clear()
				}
				s.frames.clear()
			}
			if err := s.Remove(h); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Put(h, func(w io.Writer) error { _, err := w.Write(other); return err }); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, other, 0o644); err != nil {
				t.Fatal(err)
			}
			for _, a := range []*Archive{packed, plain} {
				_, err := a.ReadAt(make([]byte, 1), int64(n-1))
				// The packed one that is open is the old file still.
				if stays := inUse && !a.plain; stays && err != nil || !stays && (fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "have changed")) {
					t.Errorf("%d bytes, plain %t, in use %t: %v", n, a.plain, inUse, err)
				}
			}
		}
	}
}

// TestSealedBetween: what was read in two halves, of a file that changed between them, is
// not what a frame that was kept since has.
func TestSealedBetween(t *testing.T) {
	s := open(t, t.TempDir())
	name := filepath.Join(t.TempDir(), "plain.nar")
	content := some(frameSize)
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := s.Plain(name)
	if err != nil {
		t.Fatal(err)
	}
	sums := NewSums()
	half := io.NewSectionReader(a, 0, frameSize/2)
	if _, err := io.Copy(sums, half); err != nil {
		t.Fatal(err)
	}
	s.frames.clear() // as others need their room
	changed := bytes.Clone(content)
	changed[0] ^= 1
	if err := os.WriteFile(name, changed, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(sums, io.NewSectionReader(a, frameSize/2, frameSize/2)); err != nil {
		t.Fatal(err)
	}
	a.Seal(sums)
	got := make([]byte, frameSize)
	if _, err := a.ReadAt(got, 0); err == nil && !bytes.Equal(got, content) {
		t.Error("sealed, and not what was read")
	}
}

// TestPutTwice: two that keep the same archive at the same time both can read it.
func TestPutTwice(t *testing.T) {
	dir := t.TempDir()
	one, two := open(t, dir), open(t, dir)
	content := some(2 * frameSize)
	first, h := put(t, one, content)
	sums := NewSums()
	if _, err := sums.Write(content); err != nil {
		t.Fatal(err)
	}
	first.Seal(sums)
	before, err := os.Stat(first.Name())
	if err != nil {
		t.Fatal(err)
	}
	second, _ := put(t, two, content)
	after, err := os.Stat(one.path(h))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the second took the place of the first: %v", err)
	}
	for _, a := range []*Archive{first, second} {
		if !bytes.Equal(all(t, a), content) {
			t.Error("is not what was put")
		}
	}
	if left := entries(t, dir); len(left) != 1 {
		t.Errorf("left %q", left)
	}
}

// TestNoArchive: what is no regular file is refused, a pipe without waiting for it.
func TestNoArchive(t *testing.T) {
	s := open(t, t.TempDir())
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{t.TempDir(), pipe} {
		if _, err := s.Plain(name); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
