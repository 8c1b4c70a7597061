package view

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// files are those of a file system, by their paths: "-> X" is a symlink to X.
type files map[string]string

// image writes a file system with subvolumes, each given as NAME=DIRECTORY.
func (f files) image(t testing.TB, subvolumes ...string) *os.File {
	t.Helper()
	tree := fstree.New()
	for name, text := range f {
		dir, err := tree.MkdirAll(path.Dir(name), nil)
		must(t, err)
		n := &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: int64(len(text)), Content: fstree.Bytes(text)}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			n = &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Size: int64(len(target)), Link: target}
		}
		_, err = dir.Add(path.Base(name), n)
		must(t, err)
	}
	tree.Freeze()
	params := btrfs.Params{}
	for _, s := range subvolumes {
		name, source, _ := strings.Cut(s, "=")
		params.Subvolumes = append(params.Subvolumes, btrfs.Subvolume{Path: name, Source: source})
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "image"))
	must(t, err)
	t.Cleanup(func() { out.Close() })
	result, err := btrfs.Write(t.Context(), out, tree, params)
	must(t, err)
	must(t, out.Truncate(result.Size))
	return out
}

// viewOf shows files, whose subvolumes are mounted as a view says.
func viewOf(t testing.TB, f files, mounts []Mount, subvolumes ...string) *View {
	t.Helper()
	image := f.image(t, subvolumes...)
	info, err := image.Stat()
	must(t, err)
	fsys, err := reader.Open(image, info.Size())
	must(t, err)
	top, err := fsys.Subvolume("")
	must(t, err)
	return New(top, mounts)
}

func TestResolve(t *testing.T) {
	v := viewOf(t, files{
		"etc/a": "", "etc/store": "-> /nix/store", "etc/up": "-> ../../etc/a", "etc/dangling": "-> x", "etc/self": "-> self", "dir/x": "",
		"nix/store/a": "", "nix/store/back": "-> /etc/a", "nix/store/chain": "-> /etc/store/back", "nix/root": "-> /",
	}, []Mount{{"/", "@"}, {"/nix", "@nix"}, {"/not/made", "dir2"}}, "@=", "@nix=nix", "dir2=dir")
	for _, tt := range []struct{ name, want, link string }{ // "" is absent
		{"/", "@", "@"},
		{"/etc/a", "@/etc/a", "@/etc/a"},
		{"/etc/store", "@nix/store", "@/etc/store"},
		{"/etc/store/a", "@nix/store/a", "@nix/store/a"},
		{"/etc/up", "@/etc/a", "@/etc/up"},
		{"/nix/store/chain", "@/etc/a", "@nix/store/chain"},
		{"/nix/root/etc/../nix/./store/a", "@nix/store/a", "@nix/store/a"},
		{"/nixx", "", ""},
		{"/etc/dangling", "", "@/etc/dangling"},
		{"/etc/a/b", "", ""},
		{"/etc/up/b", "", ""},
		{"/not/made/x", "dir2/x", "dir2/x"},
		{"/not/there", "", ""},
	} {
		for last, want := range map[bool]string{true: tt.want, false: tt.link} {
			got, err := v.Resolve(tt.name, last)
			if got != want || (want == "") != errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Resolve(%q, %v) = %q, %v; want %q", tt.name, last, got, err, want)
			}
		}
	}
	if _, err := v.Resolve("/etc/self", true); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "too many levels") {
		t.Errorf("a link to itself: %v", err)
	}
}

// TestResolveNothingAbove has a place below which something is mounted, and nothing at
// the root.
func TestResolveNothingAbove(t *testing.T) {
	v := viewOf(t, files{"store/a": "", "store/b": "-> /nix/store/a", "store/out": "-> /etc/x"}, []Mount{{"/nix", ""}})
	if got, err := v.Resolve("/nix/store/b", true); got != "store/a" {
		t.Errorf("Resolve = %q, %v; want store/a", got, err)
	}
	for _, name := range []string{"/nix/store/out", "/etc"} {
		if got, err := v.Resolve(name, true); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Resolve(%q) = %q, %v; want none", name, got, err)
		}
	}
}

// TestResolveLinks has chains of as many links as may be, and one more.
func TestResolveLinks(t *testing.T) {
	f := files{"0": ""}
	for i := range maxSymlinks + 1 {
		f[strings.Repeat("x", i+1)] = "-> /" + strings.Repeat("x", i)
	}
	f["x"] = "-> /0"
	v := viewOf(t, f, []Mount{{"/", ""}})
	for n, ok := range map[int]bool{maxSymlinks - 1: true, maxSymlinks: true, maxSymlinks + 1: false} {
		if got, err := v.Resolve("/"+strings.Repeat("x", n), true); (err == nil) != ok {
			t.Errorf("%d links: %q, %v; want it found: %v", n, got, err, ok)
		}
	}
}

func TestText(t *testing.T) {
	f := files{"dir/x": "", "link": "-> below", "below": strings.Repeat("x", MaxText-1), "at": strings.Repeat("x", MaxText), "above": strings.Repeat("x", MaxText+1)}
	v := viewOf(t, f, []Mount{{"/", ""}})
	for _, tt := range []struct {
		name string
		size int // -1 is an error
	}{{"below", MaxText - 1}, {"at", MaxText}, {"above", -1}, {"link", MaxText - 1}, {"dir", 0}, {"absent", -1}} {
		got, err := v.Text("/" + tt.name)
		if (err != nil) != (tt.size < 0) || err == nil && len(got) != tt.size {
			t.Errorf("%s: %d bytes, %v; want %d", tt.name, len(got), err, tt.size)
		}
	}
}

func TestList(t *testing.T) {
	v := viewOf(t, files{"dir/b": "", "dir/a": "", "file": "", "link": "-> dir"}, []Mount{{"/", ""}})
	for name, want := range map[string][]string{"/dir": {"a", "b"}, "/link": {"a", "b"}, "/file": nil, "/absent": nil} {
		list, err := v.List(name)
		var got []string
		for _, e := range list {
			got = append(got, e.Name())
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("List(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
	for n, ok := range map[int]bool{maxEntries - 1: true, maxEntries: true, maxEntries + 1: false} {
		if err := checkEntries("x", n); (err == nil) != ok {
			t.Errorf("%d entries: %v", n, err)
		}
	}
}

// TestOpenAndLstat: the one follows a symlink, the other describes it.
func TestOpenAndLstat(t *testing.T) {
	v := viewOf(t, files{"a": "text", "link": "-> a", "nowhere": "-> x"}, []Mount{{"/", ""}})
	f, err := v.Open("/link")
	must(t, err)
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != 4 || !info.Mode().IsRegular() {
		t.Errorf("Open: %v, %v; want the file of 4 bytes", info, err)
	}
	if info, err := v.Lstat("/nowhere"); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("Lstat: %v, %v; want a symlink", info, err)
	}
	if _, err := v.Open("/nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of a symlink to nothing: %v", err)
	}
	if _, err := v.Lstat("/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Lstat of nothing: %v", err)
	}
}
