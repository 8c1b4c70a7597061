package agekey

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/durable/cut"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

const (
	keyPath = "/var/lib/sops-nix/key.txt"
	oldPath = keyPath + ".old-20260102T020405Z"
)

// now is in another zone than names of old keys.
var now = time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))

// keyFiles returns all in the key's directory but what durable.Write has there.
func keyFiles(f *cut.FS) map[string]string {
	files := map[string]string{}
	for _, name := range f.Names() {
		if text, there := f.Text(name); there && name != durable.Temporary(keyPath) {
			files[name] = text
		}
	}
	return files
}

func TestInstallCut(t *testing.T) {
	k := parse(t, private)
	other, _ := generate(t)
	tests := []struct {
		name    string
		old     string // "" for none
		outcome Outcome
		files   map[string]string // in the end
	}{
		{"fresh", "", Installed, map[string]string{keyPath: string(k.Text())}},
		{"replaced", other + "\n", Replaced, map[string]string{keyPath: string(k.Text()), oldPath: other + "\n"}},
		{"damaged", "\x00\x00", Replaced, map[string]string{keyPath: string(k.Text()), oldPath: "\x00\x00"}},
		{"kept", private, Kept, map[string]string{keyPath: private}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := cut.New()
			start.PutDir("/var", 0o755, 0)
			if tt.old != "" {
				start.Put(keyPath, tt.old, 0o644, 1000)
			}
			run := cut.Run{
				Start: start,
				Do:    func(f *cut.FS) error { _, err := Install(f, keyPath, k, now); return err },
				Check: func(f *cut.FS) error { return oldOrNew(keyFiles(f), tt.old, tt.files[keyPath]) },
				Done: func(f *cut.FS) error {
					if diff := cmp.Diff(tt.files, keyFiles(f)); diff != "" {
						return errors.New(diff)
					}
					for name := range tt.files {
						if info, err := f.Lstat(name); err != nil || info.Mode != 0o600 || info.UID != 0 || info.GID != 0 {
							return fmt.Errorf("%s: %v, %v, expected root's with mode 0600", name, info, err)
						}
					}
					return nil
				},
			}
			states, err := run.Explore()
			if err != nil {
				t.Error(err)
			}
			if tt.outcome == Kept { // or, when it cannot be read, replaced by itself
				run.Done = func(f *cut.FS) error {
					got, err := Read(f, keyPath)
					if err == nil && !got.has(k) {
						err = fmt.Errorf("%v, expected %v", got, k)
					}
					return err
				}
			}
			calls, err := run.Faults(nil)
			if err != nil {
				t.Error(err)
			}
			t.Logf("%d states, %d calls", states, calls)
			if outcome, err := Install(start, keyPath, k, now); outcome != tt.outcome || err != nil {
				t.Errorf("Install: %v, %v, expected %v", outcome, err, tt.outcome)
			}
			if outcome, err := Install(start, keyPath, k, now); outcome != Kept || err != nil {
				t.Errorf("Install again: %v, %v, expected %v", outcome, err, Kept)
			}
		})
	}
}

// oldOrNew is an error unless the old key or the new one is in its place, and the
// old one somewhere.
func oldOrNew(files map[string]string, old, new string) error {
	text, there := files[keyPath]
	if there && text != old && text != new || !there && old != "" {
		return fmt.Errorf("key: there=%t with %q", there, text)
	}
	if old != "" && !slices.Contains([]string{files[keyPath], files[oldPath]}, old) {
		return errors.New("the old key is lost")
	}
	return nil
}

// What has the name of an old key already is kept too.
func TestInstallNames(t *testing.T) {
	first, _ := generate(t)
	second, _ := generate(t)
	third, _ := generate(t)
	f := cut.New()
	want := map[string]string{}
	for i, text := range []string{first, second, third, private} {
		if outcome, err := Install(f, keyPath, parse(t, text), now); err != nil || (outcome == Installed) != (i == 0) {
			t.Fatalf("Install: %v, %v", outcome, err)
		}
	}
	for name, text := range map[string]string{keyPath: private, oldPath: first, oldPath + "-2": second, oldPath + "-3": third} {
		want[name] = string(parse(t, text).Text())
	}
	if diff := cmp.Diff(want, keyFiles(f)); diff != "" {
		t.Error(diff)
	}
}

func TestInstallHasMore(t *testing.T) {
	a, pa := generate(t)
	both := parse(t, private+"\n"+a)
	f := cut.New()
	f.Put(keyPath, a+"\n"+private+"\n", 0o600, 0)
	for _, k := range []*Key{parse(t, a), parse(t, private), both} {
		if outcome, err := Install(f, keyPath, k, now); outcome != Kept || err != nil {
			t.Errorf("Install of a part: %v, %v, expected %v", outcome, err, Kept)
		}
	}
	f.Put("/k/key", a, 0o600, 0)
	if outcome, err := Install(f, "/k/key", both, now); outcome != Replaced || err != nil {
		t.Errorf("Install of more: %v, %v, expected %v", outcome, err, Replaced)
	}
	if k, err := Read(f, "/k/key"); err != nil || !slices.Equal(k.Recipients(), []string{public, pa}) {
		t.Errorf("Read: %v, %v", k, err)
	}
}

func TestInstallDirectories(t *testing.T) {
	f := cut.New()
	f.PutDir("/etc", 0o755, 0)
	for _, name := range []string{keyPath, "/etc/key"} {
		if _, err := Install(f, name, parse(t, private), now); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string]fs.FileMode{"/var": 0o755, "/var/lib": 0o755, "/var/lib/sops-nix": 0o700, "/etc": 0o755} {
		if info, err := f.Lstat(dir); err != nil || info.Mode != want|fs.ModeDir {
			t.Errorf("%s: %v, %v, expected mode %o", dir, info.Mode, err, want)
		}
	}
	_, err := Install(f, "/var/lib", parse(t, private), now)
	if firstboot.CodeOf(err) != firstboot.CodeSecret || err.Error() != "/var/lib: a directory, expected the file of the key" {
		t.Errorf("Install at a directory: %v", err)
	}
}

// On a disk: a key that is too large to be one, and symlinks, which are kept.
func TestInstallOnDisk(t *testing.T) {
	k := parse(t, private)
	large := strings.Repeat("x", maxText+2)
	tests := []struct {
		name    string
		plant   func(path string) error
		outcome Outcome
		link    string // target of the old key
	}{
		{"none", func(string) error { return nil }, Installed, ""},
		{"same", func(path string) error { return os.WriteFile(path, []byte(private), 0o644) }, Kept, ""},
		{"large", func(path string) error { return os.WriteFile(path, []byte(large), 0o644) }, Replaced, ""},
		{"dangling", func(path string) error { return os.Symlink("/persist/none", path) }, Replaced, "/persist/none"},
		{"link to the same", func(path string) error { return os.Symlink("/persist/key", path) }, Kept, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for _, dir := range []string{"persist", filepath.Dir(keyPath)} {
				if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(root, "persist/key"), []byte(private), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := tt.plant(filepath.Join(root, keyPath)); err != nil {
				t.Fatal(err)
			}
			f := durable.OS(root)
			if outcome, err := Install(f, keyPath, k, now); outcome != tt.outcome || err != nil {
				t.Fatalf("Install: %v, %v, expected %v", outcome, err, tt.outcome)
			}
			if got, err := Read(f, keyPath); err != nil || !got.has(k) {
				t.Errorf("Read: %v, %v, expected %v", got, err, k)
			}
			if info, err := os.Stat(filepath.Join(root, keyPath)); tt.name != "link to the same" && (err != nil || info.Mode() != 0o600) {
				t.Errorf("mode: %v, %v, expected 0600", info, err)
			}
			_, err := f.Lstat(oldPath)
			if (err == nil) != (tt.outcome == Replaced) {
				t.Errorf("old key: %v, expected it: %t", err, tt.outcome == Replaced)
			}
			if target, err := os.Readlink(filepath.Join(root, oldPath)); tt.link != "" && target != tt.link {
				t.Errorf("old key: %s, %v, expected a symlink to %s", target, err, tt.link)
			}
		})
	}
}

func TestRead(t *testing.T) {
	f := cut.New()
	f.Put("/good", private, 0o600, 0)
	f.Put("/bad", "# x\n"+strings.ToLower(private), 0o600, 0)
	f.Put("/large", private+strings.Repeat("\n", maxText), 0o600, 0)
	if k, err := Read(f, "/good"); err != nil || !slices.Equal(k.Recipients(), []string{public}) {
		t.Errorf("Read: %v, %v", k, err)
	}
	tests := []struct {
		name string
		code firstboot.Code
		want string
	}{
		{"/none", firstboot.CodeNoKey, "/none: file does not exist"},
		{"/bad", firstboot.CodeBadKey, "/bad: line 2: a secret key in small letters"},
		{"/large", firstboot.CodeBadKey, "/large: key of age: larger than 65536 bytes"},
	}
	for _, tt := range tests {
		_, err := Read(f, tt.name)
		if firstboot.CodeOf(err) != tt.code || !strings.HasPrefix(fmt.Sprint(err), tt.want) {
			t.Errorf("Read(%s): code %d: %v, expected code %d and %s", tt.name, firstboot.CodeOf(err), err, tt.code, tt.want)
		}
		noLeak(t, private, err)
	}
	if _, err := Read(f, "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read: %v, expected fs.ErrNotExist", err)
	}
}
