package cut

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/installer/durable"
)

const target = "/d/file"

// steps is code that stops at the first error.
func steps(list ...func(f *FS) error) func(f *FS) error {
	return func(f *FS) error {
		for _, do := range list {
			if err := do(f); err != nil {
				return err
			}
		}
		return nil
	}
}

// put makes a file, in place of one of that name, and syncs it if asked.
func put(name, text string, sync bool) func(f *FS) error {
	return func(f *FS) error {
		if err := f.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		file, err := f.Create(name, 0o600)
		if err != nil {
			return err
		}
		if _, err := file.Write([]byte(text)); err != nil {
			return err
		}
		if sync {
			err = file.Sync()
		}
		return errors.Join(err, file.Close())
	}
}

func rename(old, name string) func(f *FS) error {
	return func(f *FS) error { return f.Rename(old, name) }
}

func sync(name string) func(f *FS) error {
	return func(f *FS) error { return durable.Sync(f, name) }
}

// has is an error unless target has one of these texts.
func has(texts ...string) func(f *FS) error {
	return func(f *FS) error {
		if got, there := f.Text(target); !there || !slices.Contains(texts, got) {
			return fmt.Errorf("there=%t with %q, expected one of %q", there, got, texts)
		}
		return nil
	}
}

func TestExploreFindsMistakes(t *testing.T) {
	tests := []struct {
		name string
		do   func(f *FS) error
		want string // in the error; "" for none
	}{
		{"right", steps(put("/d/new", "NEW!", true), rename("/d/new", target), sync("/d")), ""},
		{"file not synced", steps(put("/d/new", "NEW!", false), rename("/d/new", target), sync("/d")), `there=true with ""`},
		{"file synced too late", steps(put("/d/new", "NEW!", false), rename("/d/new", target), sync(target), sync("/d")), `power cut: there=true with "`},
		{"directory not synced", steps(put("/d/new", "NEW!", true), rename("/d/new", target)), `power cut when the code was done: there=true with "old"`},
		{"in place", steps(put(target, "NEW!", true), sync("/d")), `there=false`},
		{"nothing", steps(), `when the code was done: there=true with "old"`},
		{"stops at what it left", func(f *FS) error {
			if _, there := f.Text("/d/new"); there {
				return errors.New("a leftover")
			}
			return steps(put("/d/new", "NEW!", true), rename("/d/new", target), sync("/d"))(f)
		}, "the code: a leftover"},
		{"leaves a lock", steps(func(f *FS) error { _, err := f.Lock("/d"); return err }), "left a lock"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := New()
			start.Put(target, "old", 0o600, 0)
			_, err := Run{Start: start, Do: tt.do, Check: has("old", "NEW!"), Done: has("NEW!"), Cuts: 2}.Explore()
			if got := fmt.Sprint(err); err == nil != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("Explore: %v, expected %q", err, tt.want)
			}
		})
	}
}

// A directory that was made and not synced by a process that was killed is there
// for the next one, and not after a power cut.
func TestExploreKills(t *testing.T) {
	start := New()
	start.PutDir("/", 0o755, 0)
	do := func(f *FS) error {
		switch err := f.Mkdir("/d", 0o755); {
		case err == nil:
			if err := durable.Sync(f, "/"); err != nil {
				return err
			}
		case !errors.Is(err, fs.ErrExist):
			return err
		}
		return steps(put("/d/new", "NEW!", true), rename("/d/new", target), sync("/d"))(f)
	}
	_, err := Run{Start: start, Do: do, Done: has("NEW!")}.Explore()
	if want := "killed; "; err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "there=false") {
		t.Errorf("Explore: %v, expected %q and that the file is not there", err, want)
	}
}

func TestStates(t *testing.T) {
	describe := func(f *FS) string {
		var b strings.Builder
		for _, name := range f.Names() {
			if text, there := f.Text(name); there {
				_, n, _ := f.find(name)
				fmt.Fprintf(&b, "%s=%q,%o ", name, text, n.meta.perm)
			}
		}
		return strings.TrimSpace(b.String())
	}
	chmod := func(f *FS) error {
		file, err := f.Open("/a")
		if err != nil {
			return err
		}
		return file.Chmod(0o644)
	}
	tests := []struct {
		name string
		do   func(f *FS) error
		want []string
	}{
		{"nothing", steps(), []string{`/a="old",600`}},
		{"mode", chmod, []string{`/a="old",600`, `/a="old",644`}},
		{"mode synced", steps(chmod, sync("/a")), []string{`/a="old",644`}},
		{"content", put("/b", "NEW!", false), []string{
			`/a="old",600`, `/a="old",600 /b="",600`, `/a="old",600 /b="NEW!",600`, `/a="old",600 /b="NE",600`, `/a="old",600 /b="NEW",600`,
			`/a="old",600 /b="NE\x00\x00",600`, `/a="old",600 /b="\x00\x00W!",600`, `/a="old",600 /b="\x00\x00\x00\x00",600`,
		}},
		{"content synced", put("/b", "NEW!", true), []string{`/a="old",600`, `/a="old",600 /b="NEW!",600`}},
		{"name synced", steps(put("/b", "", false), sync("/")), []string{`/a="old",600 /b="",600`}},
		{"renamed", steps(put("/b", "N", true), rename("/b", "/a")), []string{
			`/a="old",600`, `/a="old",600 /b="N",600`, `/a="N",600`,
		}},
		{"linked", func(f *FS) error { return f.Link("/a", "/b") }, []string{`/a="old",600`, `/a="old",600 /b="old",600`}},
		{"removed", func(f *FS) error { return f.Remove("/a") }, []string{`/a="old",600`, ``}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := New()
			f.Put("/a", "old", 0o600, 0)
			if err := tt.do(f); err != nil {
				t.Fatal(err)
			}
			all, err := f.States()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for s := range all {
				got = append(got, describe(s))
			}
			slices.Sort(got)
			slices.Sort(tt.want)
			if !slices.Equal(got, tt.want) {
				t.Errorf("States:\n%s\nexpected:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestStatesBound(t *testing.T) {
	for changes, want := range map[int]bool{14: true, 15: false, 70: false} {
		f := New()
		for n := range changes {
			if err := f.Mkdir(fmt.Sprintf("/%d", n), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.States(); (err == nil) != want {
			t.Errorf("States after %d changes: %v, expected them: %t", changes, err, want)
		}
	}
}

func TestFaultsFindsMistakes(t *testing.T) {
	right := steps(put("/d/new", "NEW!", true), rename("/d/new", target), sync("/d"))
	tests := []struct {
		name string
		do   func(f *FS) error
		want string
	}{
		{"right", right, ""},
		{"ignores errors", func(f *FS) error { right(f); return nil }, "the code returns <nil>"},
		{"cannot go on", func(f *FS) error {
			if _, there := f.Text("/d/new"); there {
				return errors.New("a leftover")
			}
			return right(f)
		}, "the code: a leftover"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := New()
			start.Put(target, "old", 0o600, 0)
			calls, err := Run{Start: start, Do: tt.do, Check: has("old", "NEW!"), Done: has("NEW!")}.Faults(nil)
			if got := fmt.Sprint(err); err == nil != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("Faults: %v, expected %q", err, tt.want)
			}
			if err == nil && calls != 8 {
				t.Errorf("Faults: %d calls, expected 8: remove, create, write, sync, close, rename, open and sync", calls)
			}
		})
	}
}

func TestLock(t *testing.T) {
	f := New()
	lock, err := f.Lock("/")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Lock("/"); err == nil {
		t.Error("Lock twice: no error")
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.Lock("/"); err != nil {
		t.Errorf("Lock after Close: %v", err)
	}
}
