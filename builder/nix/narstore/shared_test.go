package narstore

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestMode: others may read what is kept as far as the umask says.
func TestMode(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, some(10))
	if err := s.PutText("x", []byte("text")); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(t.TempDir(), "plain")
	f, err := os.OpenFile(plain, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	want, err := os.Stat(plain)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range entries(t, dir) {
		if info, err := os.Stat(filepath.Join(dir, name)); name != lockName && (err != nil || info.Mode() != want.Mode()) {
			t.Errorf("%s: mode %v, %v; want %v", name, info.Mode(), err, want.Mode())
		}
	}
}

// TestCreatePartial: files that are made at a time, and what a killed process left, have
// other names.
func TestCreatePartial(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	for _, want := range []string{"x.0.partial", "x.1.partial"} {
		f, err := createPartial(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if filepath.Base(f.Name()) != want {
			t.Errorf("name %s; want %s", f.Name(), want)
		}
	}
	if _, err := createPartial(filepath.Join(name, "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// TestShared: in a folder that all may write to, but for the files of others, another
// user reads what is there, keeps what is not, and removes nothing of others.
func TestShared(t *testing.T) {
	imgtest.NeedRoot(t)
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o777|os.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	mine := open(t, dir)
	_, h := put(t, mine, some(frameSize+1))
	if err := errors.Join(mine.PutText("x", []byte("mine")), os.WriteFile(filepath.Join(dir, "y"+partial), nil, 0o644), mine.Close()); err != nil {
		t.Fatal(err)
	}
	before := entries(t, dir)
	imgtest.AsAnotherUser(t, func() {
		s, err := Open(dir)
		if err != nil {
			t.Errorf("%v, hint %s", err, Hint(err))
			return
		}
		defer s.Close()
		a, err := s.Get(h)
		if err != nil || a == nil || !bytes.Equal(all(t, a), some(frameSize+1)) {
			t.Errorf("Get: %v", err)
		}
		if err := s.PutText("x", []byte("another's")); err != nil {
			t.Errorf("PutText: %v", err)
		}
		put(t, s, some(3))
		if err := s.Trim(0); err != nil {
			t.Errorf("Trim: %v", err)
		}
	})
	if after := entries(t, dir); strings.Join(after, " ") != strings.Join(before, " ") {
		t.Errorf("left %q; want %q", after, before)
	}
	if err := os.Chmod(mine.path(h), 0o600); err != nil {
		t.Fatal(err)
	}
	imgtest.AsAnotherUser(t, func() {
		s := open(t, dir)
		if _, err := s.Get(h); !errors.Is(err, ErrFolder) || !strings.Contains(Hint(err), "let this user read") {
			t.Errorf("Get of a private archive: %v", err)
		}
	})
	if hint := Hint(folderError(unix.ENOSPC)); !strings.HasPrefix(hint, "make room") {
		t.Errorf("hint %q", hint)
	}
}
