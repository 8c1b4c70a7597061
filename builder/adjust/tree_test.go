package adjust

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// sourceTime is the time of everything in made sources.
const sourceTime = 1_000_000_000

// makeTree makes a tree of lines: "d PATH", "f PATH TEXT" or "l PATH TARGET",
// each with missing parents. In a TEXT ; stands for the end of a line, and a
// mode may follow the letter, as in "f0640".
func makeTree(t testing.TB, specs ...string) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	for _, spec := range specs {
		kind, rest, _ := strings.Cut(spec, " ")
		p, text, _ := strings.Cut(rest, " ")
		at := strings.LastIndexByte(p, '/')
		dir, err := tree.MkdirAll(p[:at+1], &fstree.Inode{Sec: sourceTime})
		if err != nil {
			t.Fatal(err)
		}
		var mode uint32
		if _, err := fmt.Sscanf(kind[1:], "%o", &mode); err != nil && len(kind) > 1 {
			t.Fatal(err)
		}
		inode := &fstree.Inode{Sec: sourceTime}
		switch kind[0] {
		case 'd':
			inode.Mode = fstree.TypeDir | 0o755
		case 'f':
			text = strings.ReplaceAll(text, ";", "\n")
			inode.Mode, inode.Size, inode.Content = fstree.TypeRegular|0o644, int64(len(text)), fstree.Bytes(text)
		case 'l':
			inode.Mode, inode.Link, inode.Size = fstree.TypeSymlink|0o777, text, int64(len(text))
		}
		if mode != 0 {
			inode.Mode = inode.Type() | mode
		}
		if dir.Child(p[at+1:]) != nil && kind == "d" {
			continue
		}
		if _, err := dir.Add(p[at+1:], inode); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

// small is a source with the least that a profile without wishes needs.
func small(more ...string) []string {
	return append([]string{
		"f /usr/lib/systemd/systemd x", "f /usr/sbin/agetty x", "f /bin/sh x",
		"f /usr/lib/os-release NAME=x;ID=debian;", "l /etc/os-release ../usr/lib/os-release",
		"f /etc/passwd root:x:0:0:root:/root:/bin/sh;bin:x:2:2::/bin:/bin/sh;",
		"f /etc/group root:x:0:;bin:x:2:;sudo:x:27:;wheel:x:28:bin;",
		"f0640 /etc/shadow root:*:19000:0:99999:7:::;bin:*:19000:0:99999:7:::;",
		"f0640 /etc/gshadow root:*::;bin:*::;sudo:*::;wheel:*::bin;",
		"f /usr/lib/systemd/system/multi-user.target [Unit];",
	}, more...)
}

func profile() profiles.Profile {
	return profiles.Profile{
		Name: "demo", Hostname: "demo", Source: "dir:x", Layout: "laptop",
		Boot:   profiles.Boot{Loader: "systemd-boot"},
		Locale: profiles.Locale{Lang: "C.UTF-8", Timezone: "UTC", Keymap: "us"},
		Units:  profiles.Units{Target: "multi-user.target"},
		Swap:   profiles.Swap{Policy: plan.SwapSwapfile},
	}
}

func layout() layouts.Layout {
	return layouts.Layout{
		Name: "laptop", ESP: layouts.ESP{Size: 1 << 30, Label: "ESP", Mount: "/boot"},
		Root: layouts.Root{Label: "nixos", Options: []string{"noatime"}, Metadata: "dup"},
		Subvolumes: []layouts.Subvolume{
			{Name: "@", Mount: "/", Early: true}, {Name: "@home", Mount: "/home"},
			{Name: "@var", Mount: "/var", Early: true}, {Name: "@swap", Mount: "/swap", NoDataCow: true},
		},
		Swapfile: layouts.Swapfile{Subvolume: "@swap", Name: "swapfile", Size: "ram", Image: 1 << 20},
	}
}

func makePlan(t testing.TB, p profiles.Profile, l layouts.Layout) *plan.Plan {
	t.Helper()
	made, err := plan.Make(p, l, plan.Options{Seed: &ids.Seed{}, Epoch: time.Unix(1_700_000_000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// apply applies the plan of a profile on layout to a tree.
func apply(t testing.TB, tree *fstree.Tree, p profiles.Profile) {
	t.Helper()
	if err := Apply(tree, makePlan(t, p, layout()), Inputs{}); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

// refused applies a profile and wants an error of class fault.Config.
func refused(t testing.TB, tree *fstree.Tree, p profiles.Profile, want string) {
	t.Helper()
	err := Apply(tree, makePlan(t, p, layout()), Inputs{})
	if fault.ClassOf(err) != fault.Config || !strings.Contains(err.Error(), want) {
		t.Errorf("Apply: %v; want a config error with %q", err, want)
	}
}

// show returns an entry as a line: mode, owner, and text or target; "none" for
// nothing.
func show(t testing.TB, tree *fstree.Tree, p string) string {
	t.Helper()
	e := tree.Lookup(p)
	switch {
	case e == nil:
		return "none"
	case e.IsSymlink():
		return "-> " + e.Link
	case e.IsDir():
		return fmt.Sprintf("dir %o %d:%d %d", e.Mode&fstree.PermMask, e.UID, e.GID, len(e.Children()))
	}
	return fmt.Sprintf("%o %d:%d %s", e.Mode&fstree.PermMask, e.UID, e.GID, strings.ReplaceAll(content(t, e), "\n", ";"))
}

func content(t testing.TB, e *fstree.Entry) string {
	t.Helper()
	if e.Content == nil {
		return strings.Repeat("\x00", int(e.Size))
	}
	f, err := e.Content.Open(e)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, 0, e.Size))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// check compares what is at paths with what show should return.
func check(t testing.TB, tree *fstree.Tree, want map[string]string) {
	t.Helper()
	for p, w := range want {
		if got := show(t, tree, p); got != w {
			t.Errorf("%s: got %q; want %q", p, got, w)
		}
	}
}
