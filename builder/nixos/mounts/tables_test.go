package mounts

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// top returns the path of a made toplevel.
func top(name string) string {
	return "/nix/store/" + strings.Repeat("0", 32) + "-nixos-system-" + name
}

// put adds a file, or a symlink where its text begins with "->".
func put(t testing.TB, tree *fstree.Tree, name, text string) {
	t.Helper()
	dir, err := tree.MkdirAll(path.Dir(strings.TrimPrefix(name, "/")), &fstree.Inode{})
	must(t, err)
	n := &fstree.Inode{Mode: fstree.TypeRegular | 0o444, Size: int64(len(text)), Content: fstree.Bytes(text)}
	if link, ok := strings.CutPrefix(text, "->"); ok {
		n = &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Size: int64(len(link)), Link: link}
	}
	_, err = dir.Add(path.Base(name), n)
	must(t, err)
}

// bootspec is what a made toplevel says of itself.
func bootspec(t testing.TB, name string, children map[string]any) map[string]any {
	return map[string]any{
		"org.nixos.bootspec.v1": map[string]any{
			"system": "x86_64-linux", "init": top(name) + "/init", "kernel": top(name) + "/init", "kernelParams": []string{}, "label": name, "toplevel": top(name),
		},
		"org.nixos.specialisation.v1": children,
	}
}

// system adds a toplevel with a table behind links, and one of a specialisation.
func system(t testing.TB, tree *fstree.Tree, name, fstab, special string) {
	t.Helper()
	for n, text := range map[string]string{name: fstab, name + "-special": special} {
		put(t, tree, top(n)+"/init", "")
		put(t, tree, top(n)+"/etc", "->"+top(n)+"-etc/etc")
		put(t, tree, top(n)+"-etc/etc/fstab", "->"+top(n)+"-fstab")
		put(t, tree, top(n)+"-fstab", text)
	}
	spec, err := json.Marshal(bootspec(t, name, map[string]any{"special": bootspec(t, name+"-special", map[string]any{})}))
	must(t, err)
	put(t, tree, top(name)+"/boot.json", string(spec))
}

// made returns a tree with two generations, the second of which is current.
func made(t testing.TB) *fstree.Tree {
	tree := fstree.New()
	system(t, tree, "old", laptop, "# the same but for this line\n"+laptop)
	system(t, tree, "new", laptop+"# new\n", laptop)
	put(t, tree, "nix/var/nix/profiles/system", "->system-2-link")
	put(t, tree, "nix/var/nix/profiles/system-1-link", "->"+top("old"))
	put(t, tree, "nix/var/nix/profiles/system-2-link", "->"+top("new"))
	return tree
}

func TestTables(t *testing.T) {
	all, err := tables(made(t))
	must(t, err)
	var got []string
	for _, one := range all {
		got = append(got, fmt.Sprint(strings.TrimPrefix(one.file, top("")), " ", len(one.lines), " ", one.lines[0].Number))
	}
	want := []string{"new/etc/fstab 7 1", "new-special/etc/fstab 7 1", "old-special/etc/fstab 7 2"} // that of old is that of new-special
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestCheckTree: every generation and specialisation counts.
func TestCheckTree(t *testing.T) {
	p := planOf(t, builtin(t, "btrfs-laptop"))
	must(t, Check(made(t), p))
	must(t, Check(fstree.New(), p))
	for _, name := range []string{"old", "new", "old-special", "new-special"} {
		tree := made(t)
		change(t, tree, top(name)+"-fstab", edited("subvol=@home", "subvol=home"))
		if err := Check(tree, p); fault.ClassOf(err) != fault.Config || !strings.HasPrefix(fmt.Sprint(err), top(name)+"/etc/fstab:3:1: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	doc, err := Layout(made(t))
	must(t, err)
	if !strings.Contains(string(doc), `mount = "/swap"`) {
		t.Errorf("%s", doc)
	}
}

// change puts another file in the place of one.
func change(t testing.TB, tree *fstree.Tree, name, text string) {
	t.Helper()
	remove(t, tree, name)
	put(t, tree, name, text)
}

func remove(t testing.TB, tree *fstree.Tree, name string) {
	t.Helper()
	e := tree.Lookup(name)
	if e == nil {
		t.Fatalf("no %s", name)
	}
	e.Parent().Remove(e)
}

func TestTablesErrors(t *testing.T) {
	at := top("old-special")
	tests := []struct {
		name string
		do   func(t *testing.T, tree *fstree.Tree)
		want string
	}{
		{"none", func(t *testing.T, tree *fstree.Tree) { remove(t, tree, at+"-fstab") }, at + "/etc/fstab: is not there, expected the table of what the system mounts"},
		{"loop", func(t *testing.T, tree *fstree.Tree) { change(t, tree, at+"-fstab", "->"+at+"-fstab") }, "leads through more than 40 symlinks"},
		{"line", func(t *testing.T, tree *fstree.Tree) { change(t, tree, at+"-fstab", "a /\n") }, at + "/etc/fstab: line 1: got 2 fields"},
		{"large", func(t *testing.T, tree *fstree.Tree) {
			change(t, tree, at+"-fstab", strings.Repeat("#", maxTable+1))
		}, at + "/etc/fstab: 1048577 bytes, expected at most 1048576"},
		{"no generation", func(t *testing.T, tree *fstree.Tree) { remove(t, tree, "nix/var/nix/profiles/system-2-link") }, "generation 2, which is not there"},
	}
	p := planOf(t, builtin(t, "btrfs-laptop"))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := made(t)
			tt.do(t, tree)
			if err := Check(tree, p); fault.ClassOf(err) != fault.Input || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("error %v; want %q", err, tt.want)
			}
		})
	}
	for _, n := range []int{maxTable - 1, maxTable} {
		tree := made(t)
		change(t, tree, at+"-fstab", laptop+strings.Repeat("#", n-len(laptop)))
		must(t, Check(tree, p))
	}
}
