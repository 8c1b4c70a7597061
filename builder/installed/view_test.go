package installed

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// viewOf shows files, whose subvolumes are mounted as a view says.
func viewOf(t testing.TB, f files, mounts []mount, subvolumes ...string) *view {
	t.Helper()
	image := f.image(t, subvolumes...)
	info, err := image.Stat()
	must(t, err)
	fsys, err := reader.Open(image, info.Size())
	must(t, err)
	top, err := fsys.Subvolume("")
	must(t, err)
	return &view{top: top, mounts: mounts}
}

func TestResolve(t *testing.T) {
	v := viewOf(t, files{
		"etc/a": "", "etc/store": "-> /nix/store", "etc/up": "-> ../../etc/a", "etc/dangling": "-> x", "etc/self": "-> self", "dir/x": "",
		"nix/store/a": "", "nix/store/back": "-> /etc/a", "nix/store/chain": "-> /etc/store/back", "nix/root": "-> /",
	}, []mount{{"/", "@"}, {"/nix", "@nix"}, {"/not/made", "dir2"}}, "@=", "@nix=nix", "dir2=dir")
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
			got, err := v.resolve(tt.name, last)
			if got != want || (want == "") != errors.Is(err, fs.ErrNotExist) {
				t.Errorf("resolve(%q, %v) = %q, %v; want %q", tt.name, last, got, err, want)
			}
		}
	}
	if _, err := v.resolve("/etc/self", true); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "too many levels") {
		t.Errorf("a link to itself: %v", err)
	}
}

// TestResolveNothingAbove has a place below which something is mounted, and nothing at
// the root.
func TestResolveNothingAbove(t *testing.T) {
	v := viewOf(t, files{"store/a": "", "store/b": "-> /nix/store/a", "store/out": "-> /etc/x"}, []mount{{"/nix", ""}})
	if got, err := v.resolve("/nix/store/b", true); got != "store/a" {
		t.Errorf("resolve = %q, %v; want store/a", got, err)
	}
	for _, name := range []string{"/nix/store/out", "/etc"} {
		if got, err := v.resolve(name, true); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("resolve(%q) = %q, %v; want none", name, got, err)
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
	v := viewOf(t, f, []mount{{"/", ""}})
	for n, ok := range map[int]bool{maxSymlinks - 1: true, maxSymlinks: true, maxSymlinks + 1: false} {
		if got, err := v.resolve("/"+strings.Repeat("x", n), true); (err == nil) != ok {
			t.Errorf("%d links: %q, %v; want it found: %v", n, got, err, ok)
		}
	}
}

func TestText(t *testing.T) {
	f := files{"dir/x": "", "link": "-> below", "below": strings.Repeat("x", maxText-1), "at": strings.Repeat("x", maxText), "above": strings.Repeat("x", maxText+1)}
	v := viewOf(t, f, []mount{{"/", ""}})
	for _, tt := range []struct {
		name string
		size int // -1 is an error
	}{{"below", maxText - 1}, {"at", maxText}, {"above", -1}, {"link", maxText - 1}, {"dir", 0}, {"absent", -1}} {
		got, err := v.text("/" + tt.name)
		if (err != nil) != (tt.size < 0) || err == nil && len(got) != tt.size {
			t.Errorf("%s: %d bytes, %v; want %d", tt.name, len(got), err, tt.size)
		}
	}
	r := &unitReader{view: v, size: maxUnits - maxText + 1}
	if _, err := r.text("/below"); err != nil || r.size != maxUnits {
		t.Errorf("texts of as many bytes as may be, %d: %v", r.size, err)
	}
	r.size = maxUnits - maxText
	if _, err := r.text("/below"); err != nil {
		t.Error(err)
	}
	r.size = maxUnits - maxText + 2
	if _, err := r.text("/below"); fault.ClassOf(err) != fault.Input {
		t.Errorf("texts of one byte more: %v", err)
	}
}

func TestList(t *testing.T) {
	v := viewOf(t, files{"dir/b": "", "dir/a": "", "file": "", "link": "-> dir"}, []mount{{"/", ""}})
	for name, want := range map[string][]string{"/dir": {"a", "b"}, "/link": {"a", "b"}, "/file": nil, "/absent": nil} {
		list, err := v.list(name)
		var got []string
		for _, e := range list {
			got = append(got, e.Name())
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("list(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
	for n, ok := range map[int]bool{maxEntries - 1: true, maxEntries: true, maxEntries + 1: false} {
		if err := checkEntries("x", n); (err == nil) != ok {
			t.Errorf("%d entries: %v", n, err)
		}
	}
}
