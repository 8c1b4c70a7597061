package nixos

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestNix: Nix takes the store that is in a file system with the system, finds
// everything in it right, and keeps it when it collects garbage. Of a store that was
// optimised it checks the names in .links too.
func TestNix(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "nix-store", "mount", "umount")
	for _, optimised := range []bool{false, true} {
		t.Run(fmt.Sprintf("optimised=%v", optimised), func(t *testing.T) {
			c := fetch(t)
			if optimised {
				must(t, c.Optimise(epoch))
			}
			store, root := mounted(t, install(t, c, 2))
			checkStore(t, store, root)
			checkOptimise(t, store, root, optimised)
			checkStore(t, store, root)
		})
	}
}

// mounted writes a tree into a file system, mounts that, and returns what runs
// nix-store with it, and where it is.
func mounted(t *testing.T, tree *fstree.Tree) (store func(args ...string) string, root string) {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Create(dir + "/image")
	must(t, err)
	defer f.Close()
	result, err := btrfs.Write(t.Context(), f, tree, btrfs.Params{Seed: ids.Seed{1}, Free: 64 << 20, Timestamp: epoch})
	must(t, err)
	must(t, f.Truncate(result.Size))
	root = dir + "/root"
	must(t, os.Mkdir(root, 0o755))
	run(t, "mount", "-o", "loop", f.Name(), root)
	t.Cleanup(func() { run(t, "umount", root) })
	return func(args ...string) string {
		return run(t, append([]string{"env", "NIX_CONFIG=build-users-group =\nsubstituters =\n", "nix-store", "--store", root}, args...)...)
	}, root
}

// list returns all that is in a store, with inodes and counts of links.
func list(t *testing.T, root string) string { return run(t, "ls", "-AliR", root+"/nix/store") }

// checkStore has Nix check all of a store, which must not change it.
func checkStore(t *testing.T, store func(args ...string) string, root string) {
	t.Helper()
	before := store("--dump-db")
	listed := list(t, root) // with the .links that Nix makes where there is none
	store("--verify", "--check-contents")
	if got := strings.Fields(store("--query", "--requisites", toplevel(t).String())); len(got) != len(strings.Fields(text(t, golden+"/store-paths"))) {
		t.Errorf("requisites %q", got)
	}
	if out := store("--gc"); !strings.Contains(out, "0 store paths deleted") {
		t.Errorf("garbage collection: %s", out)
	}
	if after := list(t, root); after != listed {
		t.Errorf("before:\n%s\nafter:\n%s", listed, after)
	}
	if after := store("--dump-db"); after != before {
		t.Error("the database has changed")
	}
}

// checkOptimise has Nix look for equal files: it finds none where there are none left,
// and has nothing to add to .links.
func checkOptimise(t *testing.T, store func(args ...string) string, root string, optimised bool) {
	t.Helper()
	before := list(t, root)
	out := store("--optimise", "-vv")
	if found := !strings.Contains(out, "hard-linking 0 files"); found == optimised {
		t.Errorf("optimising: %s", out)
	}
	if after := list(t, root); (after == before) != optimised {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}
