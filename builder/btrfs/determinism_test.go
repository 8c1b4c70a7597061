package btrfs

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// digest returns the SHA-256 of a file.
func digest(t testing.TB, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// TestSameBytes writes one tree with one to seven workers, and with one
// processor, under parameters that share and snapshot everything.
func TestSameBytes(t *testing.T) {
	tree := imgtest.EveryCase(t)
	p := allRoles(Params{Compression: Compression{3}, Seed: ids.Seed{1}})
	p.Workers = 1
	image, _ := writeImage(t, tree, p)
	want := digest(t, image)
	for _, workers := range []int{2, 3, 7} {
		p.Workers = workers
		again, _ := writeImage(t, tree, p)
		if got := digest(t, again); got != want {
			t.Errorf("%d workers: %s; want %s as with one", workers, got, want)
		}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	p.Workers = 0
	again, _ := writeImage(t, tree, p)
	if got := digest(t, again); got != want {
		t.Errorf("GOMAXPROCS=1: %s; want %s", got, want)
	}
}

// TestOrderOfListing adds the entries of each directory in another order.
func TestOrderOfListing(t *testing.T) {
	tree := imgtest.EveryCase(t)
	image, _ := writeImage(t, tree, Params{Compression: Compression{3}})
	shuffled := fstree.New()
	*shuffled.Root().Inode = *tree.Root().Inode
	rng := rand.New(rand.NewPCG(1, 2))
	shuffle(t, rng, tree.Root(), shuffled.Root(), map[*fstree.Inode]*fstree.Inode{})
	shuffled.Freeze()
	again, _ := writeImage(t, shuffled, Params{Compression: Compression{3}})
	if a, b := digest(t, image), digest(t, again); a != b {
		t.Errorf("%s; want %s as in order", b, a)
	}
}

func shuffle(t *testing.T, rng *rand.Rand, from, to *fstree.Entry, seen map[*fstree.Inode]*fstree.Inode) {
	t.Helper()
	children := slices.Clone(from.Children())
	rng.Shuffle(len(children), func(i, j int) { children[i], children[j] = children[j], children[i] })
	for _, c := range children {
		inode := seen[c.Inode]
		if inode == nil {
			fresh := fstree.Inode{Mode: c.Mode, UID: c.UID, GID: c.GID, Sec: c.Sec, Nsec: c.Nsec, Size: c.Size,
				Link: c.Link, Rdev: c.Rdev, Xattrs: c.Xattrs, Content: c.Content}
			inode = &fresh
			seen[c.Inode] = inode
		}
		e, err := to.Add(c.Name, inode)
		if err != nil {
			t.Fatal(err)
		}
		shuffle(t, rng, c, e, seen)
	}
}

// TestSeeds checks that another seed gives other identifiers everywhere, and
// the same seed the same ones whatever the content.
func TestSeeds(t *testing.T) {
	p := allRoles(Params{})
	tree := imgtest.Wide(10)
	identities := func(seed byte) map[ids.UUID]bool {
		p.Seed = ids.Seed{seed}
		_, r := writeImage(t, tree, p)
		all := map[ids.UUID]bool{r.FSID: true, r.DeviceUUID: true}
		for _, s := range r.Subvolumes {
			all[s.UUID] = true
		}
		for _, s := range r.Swapfiles {
			all[s.UUID] = true
		}
		if want := 2 + len(r.Subvolumes) + len(r.Swapfiles); len(all) != want {
			t.Errorf("seed %d: %d different identifiers; want %d", seed, len(all), want)
		}
		return all
	}
	first, second := identities(1), identities(2)
	for u := range first {
		if second[u] {
			t.Errorf("seeds 1 and 2 share %v", u)
		}
	}
}
