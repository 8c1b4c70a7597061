package closure

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/nix-community/go-nix/pkg/nixbase32"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/nar"
)

// linksDir is the directory of the store that has a link of every file, by the digest
// of the file (libstore/optimise-store.cc of Nix).
const linksDir = ".links"

// maxLinks is how many names a file may have: on btrfs BTRFS_LINK_MAX of
// include/uapi/linux/btrfs_tree.h.
const maxLinks = 65535

// Optimise makes what Nix makes of a store with auto-optimise-store: files of equal
// content that are all executable or all not become hard links of the first of them, and
// so do symlinks of one target. Each has a name in /nix/store/.links besides, also what
// is there once: that directory alone is what Nix compares with when it adds an object
// later. Where a file would have too many names, as empty ones may, those that come last
// stay files of their own.
//
// The directory gets the time epoch. The closure must be made with FileSums, and must
// not be optimised yet.
func (c *Closure) Optimise(epoch time.Time) error {
	if !c.fileSums {
		return errors.New("closure: was made without FileSums, which Optimise needs")
	}
	store := c.Tree.Lookup(nix.StoreDir)
	// By digest, and then in the order of the tree.
	files := c.files
	c.files = nil
	slices.SortStableFunc(files, func(a, b summedFile) int { return bytes.Compare(a.sum[:], b.sum[:]) })
	dir := &fstree.Inode{Mode: fstree.TypeDir | 0o755}
	dir.SetMTime(epoch)
	links, err := store.Add(linksDir, dir)
	if err != nil {
		return err
	}
	links.MarkIndex()
	for len(files) > 0 {
		same := 1
		for same < len(files) && files[same].sum == files[0].sum {
			same++
		}
		if err := link(links, files[:same]); err != nil {
			return err
		}
		files = files[same:]
	}
	return nil
}

// summedFile is a file or a symlink of a store with its digest.
type summedFile struct {
	sum   nar.Sum
	entry *fstree.Entry
}

// link makes equal files links of the first of them.
func link(links *fstree.Entry, files []summedFile) error {
	first := files[0].entry.Inode
	if _, err := links.Add(nixbase32.EncodeToString(files[0].sum[:]), first); err != nil {
		return err
	}
	for _, f := range files[1:] {
		if first.Links() == maxLinks {
			break
		}
		if err := f.entry.LinkTo(first); err != nil {
			return err
		}
	}
	return nil
}
