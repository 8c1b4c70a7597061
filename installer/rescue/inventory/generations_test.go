package inventory

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixcache"
	"github.com/6FaNcY9/mkimage/builder/loader"
)

// store are the files of a NixOS: "-> X" is a symlink to X.
type store map[string]string

func top(name string) string { return nixcache.Path("nixos-system-" + name).String() }

// system adds a toplevel, and the link of a generation to it.
func (s store) system(number int, name string) {
	t := strings.TrimPrefix(top(name), "/")
	s[t+"/nixos-version"] = name
	s[t+"/etc/fstab"] = "LABEL=nixos / btrfs subvol=@ 0 0\nLABEL=nixos /nix btrfs subvol=@nix 0 0\n"
	s[t+"/etc/hostname"] = "fox\n"
	s[t+"/init"] = "x"
	s[t+"/kernel-modules/lib/modules/6.12.1/x"] = "x"
	s[fmt.Sprintf("nix/var/nix/profiles/system-%d-link", number)] = "-> " + top(name)
}

// boot gives a toplevel its boot.json, with a specialisation where one is named.
func (s store) boot(name, special string) {
	spec := func(name string) string {
		return fmt.Sprintf(`"org.nixos.bootspec.v1":{"system":"x86_64-linux","init":"%[1]s/init","kernel":"%[1]s/init","kernelParams":[],"label":"NixOS %[2]s","toplevel":"%[1]s"}`, top(name), name)
	}
	children := ""
	if special != "" {
		children = fmt.Sprintf(`"%s":{%s,"org.nixos.specialisation.v1":{}}`, special, spec(special))
		s[strings.TrimPrefix(top(special), "/")+"/init"] = "x"
	}
	s[strings.TrimPrefix(top(name), "/")+"/boot.json"] = fmt.Sprintf(`{%s,"org.nixos.specialisation.v1":{%s}}`, spec(name), children)
}

// image writes the file system, on a disk without a table.
func (s store) image(t testing.TB) string {
	t.Helper()
	tree := fstree.New()
	for name, text := range s {
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			dir, err := tree.MkdirAll(filepath.Dir(name), nil)
			must(t, err)
			n := &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Size: int64(len(target)), Link: target}
			n.SetMTime(monday)
			_, err = dir.Add(filepath.Base(name), n)
			must(t, err)
			continue
		}
		must(t, loader.Put(tree, name, []byte(text), monday))
	}
	tree.Freeze()
	name := filepath.Join(t.TempDir(), "nixos.img")
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	res, err := btrfs.Write(t.Context(), f, tree, btrfs.Params{Label: "nixos", Subvolumes: []btrfs.Subvolume{{Path: "@"}, {Path: "@nix", Source: "nix"}}})
	must(t, err)
	must(t, f.Truncate(res.Size))
	return name
}

func twoSystems() store {
	s := store{"nix/var/nix/profiles/system": "-> system-2-link", "etc/NIXOS": "", "etc/hostname": "-> /etc/static/hostname"}
	s.system(1, "a")
	s.system(2, "b")
	return s
}

func TestGenerations(t *testing.T) {
	s := twoSystems()
	s.boot("b", "game")
	s[strings.TrimPrefix(top("a"), "/")+"/specialisation/old"] = "-> " + top("old")
	s["nix/var/nix/profiles/system-x-link"] = "-> /"
	inv := take(t, Options{}, s.image(t))
	got := inv.Systems[0]
	want := []Generation{
		{Number: 2, Date: monday, Title: "NixOS b", Kernel: "6.12.1", Toplevel: top("b"), Specialisations: []string{"game"}, Current: true, Entries: []string{}},
		{Number: 1, Date: monday, Title: "NixOS a", Kernel: "6.12.1", Toplevel: top("a"), Specialisations: []string{"old"}, Entries: []string{}},
	}
	if diff := cmp.Diff(want, got.Generations); diff != "" {
		t.Errorf("generations (-want +got):\n%s", diff)
	}
	if !got.NixOS || got.Hostname != "fox" || len(got.Mounts) != 2 || got.Subvolumes[0].Role != RoleRoot || got.Subvolumes[1].Role != RoleNix {
		t.Errorf("system: %+v", got)
	}
}

// TestGenerationsDamaged takes things out of the store.
func TestGenerationsDamaged(t *testing.T) {
	without := func(s store, name string) {
		for file := range s {
			if strings.HasPrefix("/"+file, top(name)) {
				delete(s, file)
			}
		}
	}
	for _, tt := range []struct {
		name    string
		change  func(store)
		want    string
		current int // 0 for none
	}{
		{"old one is gone", func(s store) { without(s, "a") }, "note nixos.img: generation 1: its system is not in the store", 2},
		{"current one is gone", func(s store) { without(s, "b") }, "boot nixos.img: generation 2: its system is not in the store", 2},
		{"kernel is gone", func(s store) { s.boot("b", ""); delete(s, strings.TrimPrefix(top("b"), "/")+"/init") }, "names " + top("b") + "/init: ", 2},
		{"bootspec is none", func(s store) { s[strings.TrimPrefix(top("b"), "/")+"/boot.json"] = "{" }, "boot nixos.img: generation 2: ", 2},
		{"profile leads nowhere", func(s store) { s["nix/var/nix/profiles/system"] = "-> system-7-link" }, "boot nixos.img: NixOS: its profile leads to no generation that is there", 0},
		{"link to nothing of the store", func(s store) { s["nix/var/nix/profiles/system-1-link"] = "-> /tmp" }, "note nixos.img: generation 1: ", 2},
		{"no profile", func(s store) { delete(s, "nix/var/nix/profiles/system") }, "boot nixos.img: NixOS: its profile leads to no generation that is there", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := twoSystems()
			tt.change(s)
			inv := take(t, Options{}, s.image(t))
			if got := texts(inv); !strings.Contains(got, tt.want) {
				t.Errorf("problems:\n%swant %q", got, tt.want)
			}
			current := 0
			for _, g := range inv.Systems[0].Generations {
				if g.Current {
					current = g.Number
				}
			}
			if len(inv.Systems[0].Generations) != 2 || current != tt.current {
				t.Errorf("generations %+v; want number %d current", inv.Systems[0].Generations, tt.current)
			}
		})
	}
}

// TestGenerationsLimit has as many generations as are read, and one more.
func TestGenerationsLimit(t *testing.T) {
	for n, ok := range map[int]bool{maxGenerations - 1: true, maxGenerations: true, maxGenerations + 1: false} {
		s := store{"nix/var/nix/profiles/system": fmt.Sprintf("-> system-%d-link", n)}
		s.system(n, "a")
		for i := 1; i < n; i++ {
			s[fmt.Sprintf("nix/var/nix/profiles/system-%d-link", i)] = "-> " + top("a")
		}
		inv := take(t, Options{}, s.image(t))
		got := inv.Systems[0].Generations
		if len(got) != min(n, maxGenerations) || got[0].Number != n || strings.Contains(texts(inv), "of which the newest") == ok {
			t.Errorf("%d generations: %d, the first %d; problems:\n%s", n, len(got), got[0].Number, texts(inv))
		}
	}
}

func TestJoin(t *testing.T) {
	make := func() []*generation {
		return []*generation{{Generation: Generation{Number: 2}, top: top("b"), tops: []string{top("game")}}, {Generation: Generation{Number: 1}, top: top("a")}}
	}
	for _, tt := range []struct {
		name string
		in   Entry
		want int // index of the generation that has it
	}{
		{"system", Entry{ID: "x", Toplevel: top("a")}, 1},
		{"specialisation", Entry{ID: "x", Toplevel: top("game")}, 0},
		{"other system", Entry{ID: "x", Toplevel: top("c")}, 2},
		{"no system", Entry{ID: "x"}, 2},
		{"factory", Entry{ID: "x", Toplevel: top("a"), Options: "a mkimage.factory b"}, 2},
		{"shell", Entry{ID: "x", Toplevel: top("a"), Options: "mkimage.shell"}, 2},
		{"system before", Entry{ID: "x", Toplevel: top("a"), Options: "mkimage.back=i1"}, 2},
		{"a word that begins so", Entry{ID: "x", Toplevel: top("a"), Options: "mkimage.factoryx mkimage.backx"}, 1},
	} {
		got := join(make(), tt.in)
		if len(got) != max(2, tt.want+1) || !slices.Equal(got[tt.want].Entries, []string{"x"}) {
			t.Errorf("%s: %d generations, entries %q; want it at %d", tt.name, len(got), got[min(tt.want, len(got)-1)].Entries, tt.want)
		}
	}
}

func TestToplevelOf(t *testing.T) {
	for in, want := range map[string]string{
		"quiet init=" + top("a") + "/init x": top("a"), "init=/sbin/init": "", "": "", "init=" + top("a"): "", "xinit=" + top("a") + "/init": "",
	} {
		if got := toplevelOf(in); got != want {
			t.Errorf("%q: %q; want %q", in, got, want)
		}
	}
}
