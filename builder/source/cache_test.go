package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder"
)

func lockSlot(t *testing.T, dir, key string, log io.Writer) *slot {
	t.Helper()
	s, err := openSlot(t.Context(), dir, key, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	return s
}

// makeOf makes an archive of some bytes.
func makeOf(t *testing.T, content string) func(io.Writer) (record, error) {
	return func(w io.Writer) (record, error) {
		sum, n, err := digest(t.Context(), strings.NewReader(content), 0, builder.Silent{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(w, content)
		return record{Version: recordVersion, SHA256: sum, Size: n, Packages: []Package{{Name: "x1"}}}, err
	}
}

func TestCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := lockSlot(t, dir, "key", io.Discard)
	if rec, err := s.load(t.Context(), builder.Silent{}); rec != nil || err != nil {
		t.Errorf("an empty slot gives %v, %v", rec, err)
	}
	for _, content := range []string{"one", "another"} {
		made, err := s.fill(makeOf(t, content))
		if err != nil {
			t.Fatal(err)
		}
		var got reports
		rec, err := s.load(t.Context(), &got)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(made, rec); d != "" {
			t.Errorf("record (-made +loaded):\n%s", d)
		}
		if data, err := os.ReadFile(s.path(".tar")); string(data) != content || err != nil {
			t.Errorf("archive holds %q, %v; want %q", data, err, content)
		}
		if len(got) == 0 {
			t.Error("no progress of the check")
		}
	}
	checkNames(t, dir, "key.json", "key.lock", "key.tar")
}

func checkNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Name())
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
}

func TestCacheDamage(t *testing.T) {
	tests := []struct {
		name   string
		damage func(s *slot) error
		note   string // part of it
	}{
		{"flipped byte", func(s *slot) error { return os.WriteFile(s.path(".tar"), []byte("cintent"), 0o644) }, "key.tar: is damaged (SHA-256 "},
		{"cut", func(s *slot) error { return os.Truncate(s.path(".tar"), 3) }, "key.tar: is damaged (has 3 bytes, expected 7)"},
		{"longer", func(s *slot) error { return os.Truncate(s.path(".tar"), 8) }, "key.tar: is damaged (has 8 bytes, expected 7)"},
		{"archive is gone", func(s *slot) error { return os.Remove(s.path(".tar")) }, ""},
		{"record is gone", func(s *slot) error { return os.Remove(s.path(".json")) }, ""},
		{"record is cut", func(s *slot) error { return os.Truncate(s.path(".json"), 20) }, "key.json: is damaged (unexpected EOF), and is made again"},
		{"record of another form", func(s *slot) error { return os.WriteFile(s.path(".json"), []byte(`{"version":9}`), 0o644) }, "key.json: is of another form, and is made again"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			s := lockSlot(t, t.TempDir(), "key", &log)
			if _, err := s.fill(makeOf(t, "content")); err != nil {
				t.Fatal(err)
			}
			if err := tt.damage(s); err != nil {
				t.Fatal(err)
			}
			rec, err := s.load(t.Context(), builder.Silent{})
			if rec != nil || err != nil {
				t.Errorf("load = %v, %v; want nothing", rec, err)
			}
			if !strings.Contains(log.String(), tt.note) || tt.note == "" && log.Len() > 0 {
				t.Errorf("note %q; want %q in it", log.String(), tt.note)
			}
			if _, err := s.fill(makeOf(t, "content")); err != nil {
				t.Fatal(err)
			}
			if rec, err := s.load(t.Context(), builder.Silent{}); rec == nil || err != nil {
				t.Errorf("made again: load = %v, %v", rec, err)
			}
		})
	}
}

// TestCacheFailedFill keeps what was there, and leaves nothing behind.
func TestCacheFailedFill(t *testing.T) {
	dir := t.TempDir()
	s := lockSlot(t, dir, "key", io.Discard)
	if _, err := s.fill(makeOf(t, "old")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if _, err := s.fill(func(w io.Writer) (record, error) {
		_, err := io.WriteString(w, "half")
		return record{}, errors.Join(err, broken)
	}); !errors.Is(err, broken) {
		t.Errorf("error %v; want %v", err, broken)
	}
	checkNames(t, dir, "key.json", "key.lock", "key.tar")
	if rec, err := s.load(t.Context(), builder.Silent{}); rec == nil || err != nil {
		t.Errorf("load = %v, %v; want the old archive", rec, err)
	}
}

// TestCacheSweep removes what killed builds left, and nothing that is in use.
func TestCacheSweep(t *testing.T) {
	dir := t.TempDir()
	busy := lockSlot(t, dir, "busy", io.Discard)
	idle := lockSlot(t, dir, "idle", io.Discard)
	if err := idle.close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"busy.1.partial", "idle.1.partial", "key.1.partial", "key.2.partial", "gone.1.partial"} {
		if err := errors.Join(os.Mkdir(filepath.Join(dir, name), 0o700), os.WriteFile(filepath.Join(dir, name, "tar"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	lockSlot(t, dir, "key", io.Discard)
	checkNames(t, dir, "busy.1.partial", "busy.lock", "idle.lock", "key.lock")
	if err := busy.close(); err != nil {
		t.Fatal(err)
	}
}

func TestCacheWaits(t *testing.T) {
	dir := t.TempDir()
	first := lockSlot(t, dir, "key", io.Discard)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	log := writerFunc(func(p []byte) (int, error) {
		if string(p) != "source: waiting for another run that makes key\n" {
			t.Errorf("note %q", p)
		}
		cancel(stop)
		return len(p), nil
	})
	if _, err := openSlot(ctx, dir, "key", log); !errors.Is(err, stop) {
		t.Errorf("error %v; want %v", err, stop)
	}
	second := make(chan error, 1)
	go func() {
		s, err := openSlot(t.Context(), dir, "key", writerFunc(func(p []byte) (int, error) {
			return len(p), first.close()
		}))
		if err == nil {
			err = s.close()
		}
		second <- err
	}()
	if err := <-second; err != nil {
		t.Errorf("second run: %v", err)
	}
}
