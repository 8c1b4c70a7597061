package nixos

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/bincache"
	"github.com/6FaNcY9/mkimage/builder/nix/closure"
	"github.com/6FaNcY9/mkimage/builder/nix/narinfo"
	"github.com/6FaNcY9/mkimage/builder/nix/narstore"
	"github.com/6FaNcY9/mkimage/builder/nix/storedb"
)

const golden = "../nix/testdata/golden"

var epoch = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func text(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	must(t, err)
	return strings.TrimSpace(string(data))
}

func toplevel(t testing.TB) nix.StorePath {
	t.Helper()
	p, err := nix.ParseStorePath(text(t, golden+"/toplevel"))
	must(t, err)
	return p
}

// fetch returns the golden closure.
func fetch(t testing.TB) *closure.Closure {
	t.Helper()
	dir, err := filepath.Abs(golden + "/cache-zstd")
	must(t, err)
	cache, err := bincache.Open(t.Context(), "file://"+dir, bincache.Options{})
	must(t, err)
	store, err := narstore.Open(t.TempDir())
	must(t, err)
	t.Cleanup(func() { store.Close() })
	keys, err := narinfo.ParseKeys(text(t, golden+"/key.pub"))
	must(t, err)
	c, err := closure.Fetch(t.Context(), []nix.StorePath{toplevel(t)}, closure.Options{Caches: []*bincache.Cache{cache}, Store: store, Keys: keys, FileSums: true})
	must(t, err)
	return c
}

// installed returns a tree with the golden system as so many generations.
func installed(t testing.TB, generations int) *fstree.Tree {
	t.Helper()
	return install(t, fetch(t), generations)
}

func install(t testing.TB, c *closure.Closure, generations int) *fstree.Tree {
	t.Helper()
	db := filepath.Join(t.TempDir(), "db.sqlite")
	must(t, storedb.Write(t.Context(), db, c.Objects))
	data, err := os.ReadFile(db)
	must(t, err)
	s := System{Database: data, Epoch: epoch}
	for range generations {
		s.Toplevels = append(s.Toplevels, toplevel(t))
	}
	must(t, Install(c.Tree, s))
	c.Tree.Freeze()
	return c.Tree
}

func TestInstall(t *testing.T) {
	tree := installed(t, 2)
	var got []string
	for e := range tree.All() {
		if strings.HasPrefix(e.Path(), "nix/store/") {
			continue
		}
		if e.Path() != "." && e.Path() != "nix" && e.Path() != "nix/store" && !e.MTime().Equal(epoch) {
			t.Errorf("%s: time %v", e.Path(), e.MTime())
		}
		got = append(got, strings.TrimSpace(fmt.Sprintf("%o %s %s", e.Mode, e.Path(), e.Link)))
	}
	want := []string{
		"40755 .", "40755 dev", "40755 etc", "100644 etc/NIXOS", "40755 nix", "41775 nix/store", "40755 nix/var", "40755 nix/var/nix",
		"40755 nix/var/nix/db", "100644 nix/var/nix/db/db.sqlite", "100644 nix/var/nix/db/schema",
		"40755 nix/var/nix/gcroots", "40755 nix/var/nix/gcroots/per-user", "40755 nix/var/nix/gcroots/per-user/root", "120777 nix/var/nix/gcroots/profiles /nix/var/nix/profiles",
		"40755 nix/var/nix/profiles", "40755 nix/var/nix/profiles/per-user", "40755 nix/var/nix/profiles/per-user/root", "120777 nix/var/nix/profiles/system system-2-link",
		"120777 nix/var/nix/profiles/system-1-link " + toplevel(t).String(), "120777 nix/var/nix/profiles/system-2-link " + toplevel(t).String(), "40755 nix/var/nix/temproots",
		"40755 proc", "40700 root", "40755 run", "40755 sys", "41777 tmp", "40755 var",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestInstallErrors(t *testing.T) {
	tree := fetch(t).Tree
	other := toplevel(t)
	other.Name = "other"
	if err := Install(tree, System{Toplevels: []nix.StorePath{other}, Epoch: epoch}); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), other.String()) {
		t.Errorf("what is not there: %v", err)
	}
	must(t, Install(tree, System{Toplevels: []nix.StorePath{toplevel(t)}, Epoch: epoch}))
	if err := Install(tree, System{Toplevels: []nix.StorePath{toplevel(t)}, Epoch: epoch}); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("twice: %v", err)
	}
}

func TestGenerations(t *testing.T) {
	tree := installed(t, 3)
	if !IsSystem(tree) || IsSystem(fstree.New()) {
		t.Error("is or is no system")
	}
	all, err := Generations(tree)
	must(t, err)
	var numbers []int
	for _, g := range all {
		numbers = append(numbers, g.Number)
		if g.Spec.Toplevel != toplevel(t) || len(g.Spec.Specialisations) != 1 || g.Spec.Kernel.String() == "" {
			t.Errorf("generation %+v", g)
		}
	}
	if diff := cmp.Diff([]int{3, 2, 1}, numbers); diff != "" {
		t.Error(diff)
	}
}

// relink makes a link of the profile lead elsewhere, or takes it away.
func relink(t *testing.T, tree *fstree.Tree, name, target string) {
	t.Helper()
	dir := tree.Lookup(profilesDir)
	if old := dir.Child(name); old != nil {
		dir.Remove(old)
	}
	if target != "" {
		_, err := dir.Add(name, &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Link: target, Size: int64(len(target))})
		must(t, err)
	}
}

func TestGenerationsOrder(t *testing.T) {
	tree := installed(t, 3)
	relink(t, tree, "system", "system-2-link")
	all, err := Generations(tree)
	must(t, err)
	if all[0].Number != 2 || all[1].Number != 3 || all[2].Number != 1 {
		t.Errorf("order %d %d %d; want the current one first", all[0].Number, all[1].Number, all[2].Number)
	}
}

func TestGenerationsErrors(t *testing.T) {
	top := toplevel(t).String()
	tests := []struct {
		name string
		do   func(t *testing.T, tree *fstree.Tree)
		want string
	}{
		{"no profile", func(t *testing.T, tree *fstree.Tree) { relink(t, tree, "system", "") }, "is no symlink"},
		{"foreign profile", func(t *testing.T, tree *fstree.Tree) { relink(t, tree, "system", "/nix/store/x") }, "expected system-NUMBER-link"},
		{"no current", func(t *testing.T, tree *fstree.Tree) { relink(t, tree, "system-1-link", "") }, "leads to generation 1, which is not there"},
		{"outside", func(t *testing.T, tree *fstree.Tree) { relink(t, tree, "system-1-link", "/etc") }, `generation 1: store path "/etc"`},
		{"no files", func(t *testing.T, tree *fstree.Tree) {
			relink(t, tree, "system-1-link", firmware(tree))
		}, "kernel-params: no such file"},
		{"kernel", func(t *testing.T, tree *fstree.Tree) {
			kernel := tree.Lookup(top + "/kernel")
			at, err := tree.Follow(kernel.Link)
			must(t, err)
			at.Parent().Remove(at)
		}, "which is not there"},
		{"boot.json", func(t *testing.T, tree *fstree.Tree) {
			swap(t, tree, top+"/boot.json", "{}")
		}, "boot.json"},
		{"boot.json of another", func(t *testing.T, tree *fstree.Tree) {
			e := tree.Lookup(top + "/boot.json")
			data, err := e.Read(maxText)
			must(t, err)
			spec := string(data)
			swap(t, tree, top+"/boot.json", strings.NewReplacer(`"toplevel":"`+top, `"toplevel":"`+firmware(tree), `"toplevel": "`+top, `"toplevel": "`+firmware(tree)).Replace(spec))
		}, "boot.json: is of"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := installed(t, 1)
			tt.do(t, tree)
			if _, err := Generations(tree); fault.ClassOf(err) != fault.Input || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("error %v; want one with %q", err, tt.want)
			}
		})
	}
}

// firmware returns the path of an object that is no system.
func firmware(tree *fstree.Tree) string {
	for _, e := range tree.Lookup(nix.StoreDir).Children() {
		if strings.HasSuffix(e.Name, "-firmware") {
			return nix.StoreDir + "/" + e.Name
		}
	}
	return ""
}

// swap gives a file another content.
func swap(t *testing.T, tree *fstree.Tree, name, content string) {
	t.Helper()
	e := tree.Lookup(name)
	if e == nil {
		t.Fatalf("no %s", name)
	}
	e.Size, e.Content = int64(len(content)), fstree.Bytes(content)
}

// TestSynthesised: a toplevel without boot.json is the same system but for the name
// of its release.
func TestSynthesised(t *testing.T) {
	tree := installed(t, 1)
	with, err := Generations(tree)
	must(t, err)
	dir := tree.Lookup(toplevel(t).String())
	dir.Remove(dir.Child("boot.json"))
	without, err := Generations(tree)
	must(t, err)
	a, b := with[0].Spec, without[0].Spec
	if a.Kernel != b.Kernel || a.Initrd != b.Initrd || a.Init != b.Init || fmt.Sprint(a.KernelParams) != fmt.Sprint(b.KernelParams) || len(b.Specialisations) != len(a.Specialisations) {
		t.Errorf("%+v\nwithout boot.json %+v", a, b)
	}
}
