package durable_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/durable/cut"
)

const name = "/var/lib/x/file"

// isOne is an error unless the file has one of these contents, "" for no file,
// and beside it is nothing but what Write has under its own name.
func isOne(texts ...string) func(f *cut.FS) error {
	return func(f *cut.FS) error {
		text, there := f.Text(name)
		if there && text == "" || !slices.Contains(texts, text) {
			return fmt.Errorf("there=%t with %q, expected one of %q", there, text, texts)
		}
		for _, n := range f.Names() {
			if !strings.HasSuffix(n, "/") && n != name && n != durable.Temporary(name) {
				return fmt.Errorf("%s is there", n)
			}
		}
		return nil
	}
}

// isDone is an error unless the new file is there with its mode and owner, and
// nothing beside it.
func isDone(f *cut.FS) error {
	if err := isOne("new")(f); err != nil {
		return err
	}
	if err := noTemporary(f); err != nil {
		return err
	}
	if got, err := f.Lstat(name); err != nil || got != (durable.Info{Mode: 0o644, Size: 3}) {
		return fmt.Errorf("%v %v, expected 3 bytes of root, mode 0644", got, err)
	}
	if got, err := f.Lstat("/var/lib/x"); err != nil || got.Mode != fs.ModeDir|0o755 {
		return fmt.Errorf("directory: %v %v, expected mode 0755", got, err)
	}
	return nil
}

func noTemporary(f *cut.FS) error {
	if _, there := f.Text(durable.Temporary(name)); there {
		return errors.New("a temporary file is left")
	}
	return nil
}

// starts returns what Write may find.
func starts() map[string]*cut.FS {
	empty := cut.New()
	empty.PutDir("/var", 0o755, 7)
	old := cut.New()
	old.Put(name, "old", 0o600, 1000)
	stale := cut.New()
	stale.Put(name, "old", 0o600, 0)
	stale.Put(durable.Temporary(name), "half of it", 0o600, 0)
	return map[string]*cut.FS{"empty": empty, "old": old, "stale": stale}
}

func TestWriteCut(t *testing.T) {
	for at, start := range starts() {
		t.Run(at, func(t *testing.T) {
			before, _ := start.Text(name)
			cuts := 1
			if at == "empty" {
				cuts = 2
			}
			states, err := cut.Run{
				Start: start, Cuts: cuts, Check: isOne(before, "new"), Done: isDone,
				Do: func(f *cut.FS) error { return durable.Write(f, name, []byte("new"), 0o644) },
			}.Explore()
			if err != nil || states < 20 {
				t.Errorf("%d states, expected at least 20: %v", states, err)
			}
			t.Logf("%d states", states)
		})
	}
}

// TestWriteFAT: on FAT the file may be empty for a moment, but not once Write has
// returned.
func TestWriteFAT(t *testing.T) {
	for at, start := range starts() {
		t.Run(at, func(t *testing.T) {
			start.FAT()
			before, _ := start.Text(name)
			empty := 0
			states, err := cut.Run{
				Start: start, Done: isDone,
				Check: func(f *cut.FS) error {
					if text, there := f.Text(name); there && text == "" {
						empty++
						return nil
					}
					return isOne(before, "new")(f)
				},
				Do: func(f *cut.FS) error { return durable.Write(f, name, []byte("new"), 0o644) },
			}.Explore()
			if err != nil || states < 20 || empty == 0 {
				t.Errorf("%d states, expected at least 20; %d are empty, expected some: %v", states, empty, err)
			}
		})
	}
}

func TestWriteFaults(t *testing.T) {
	for at, start := range starts() {
		t.Run(at, func(t *testing.T) {
			before, _ := start.Text(name)
			failed := noTemporary
			if at == "stale" {
				failed = nil // it may be the removal that fails
			}
			calls, err := cut.Run{
				Start: start, Check: isOne(before, "new"), Done: isDone,
				Do: func(f *cut.FS) error { return durable.Write(f, name, []byte("new"), 0o644) },
			}.Faults(failed)
			if err != nil || calls < 10 {
				t.Errorf("%d calls, expected at least 10: %v", calls, err)
			}
		})
	}
}

func TestMkdirAllCut(t *testing.T) {
	start := cut.New()
	start.PutDir("/var", 0o755, 7)
	done := func(f *cut.FS) error {
		for n, mode := range map[string]fs.FileMode{"/var/lib": 0o755, "/var/lib/a": 0o755, "/var/lib/a/key": 0o700} {
			if got, err := f.Lstat(n); err != nil || got.Mode != mode|fs.ModeDir {
				return fmt.Errorf("%s: %v %v, expected mode %o", n, got, err, mode)
			}
		}
		return nil
	}
	r := cut.Run{Start: start, Done: done, Do: func(f *cut.FS) error { return durable.MkdirAll(f, "/var/lib/a/key", 0o700) }}
	if _, err := r.Explore(); err != nil {
		t.Error(err)
	}
	if _, err := r.Faults(nil); err != nil {
		t.Error(err)
	}
}

func TestWriteRefuses(t *testing.T) {
	tests := []struct{ name, at, want string }{
		{"directory", "/var/lib", "/var/lib: a directory, expected a file"},
		{"below a file", "/var/lib/f/x", "/var/lib/f/x: not a directory"},
		{"relative", "var/x", "var/x: expected an absolute name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := cut.New()
			f.Put("/var/lib/f", "", 0o644, 0)
			for kind, f := range map[string]durable.FS{"model": f, "system": onDisk(t, "/var/lib/f")} {
				err := durable.Write(f, tt.at, nil, 0o644)
				if err == nil || err.Error() != tt.want {
					t.Errorf("%s: Write(%s): %v, expected %s", kind, tt.at, err, tt.want)
				}
			}
		})
	}
}

func TestRead(t *testing.T) {
	f := cut.New()
	f.Put(name, "12345", 0o644, 0)
	for limit, want := range map[int64]string{4: "1234", 5: "12345", 6: "12345"} {
		for kind, f := range map[string]durable.FS{"model": f, "system": onDisk(t, name)} {
			if got, err := durable.Read(f, name, limit); err != nil || string(got) != want {
				t.Errorf("%s: Read with limit %d: %q, %v, expected %q", kind, limit, got, err, want)
			}
		}
	}
	for at, want := range map[string]string{"/var/lib": "a directory, expected a file", "/var/x": "/var/x: file does not exist"} {
		if _, err := durable.Read(f, at, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Read(%s): %v, expected %s", at, err, want)
		}
	}
}
