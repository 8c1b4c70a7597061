package check

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// text is a place that needs no work to be named.
type text string

func (t text) String() string { return string(t) }

// blockPlace names one copy of a tree block, or the block as such.
type blockPlace struct {
	bytenr   ondisk.Logical
	copy, of int // counted from 1; 0 means the block as such
	physical ondisk.Physical
	tree     uint64
}

func (p blockPlace) String() string {
	if p.copy == 0 {
		return fmt.Sprintf("metadata block %d, tree %d", p.bytenr, int64(p.tree))
	}
	return fmt.Sprintf("metadata block %d (copy %d of %d, physical %d), tree %d", p.bytenr, p.copy, p.of, p.physical, int64(p.tree))
}

// itemPlace names an item of a leaf.
type itemPlace struct {
	leaf *leaf
	key  ondisk.Key
}

func (p itemPlace) String() string {
	return fmt.Sprintf("tree %d, level 0 block %d, item %v", int64(p.leaf.tree.id), p.leaf.bytenr, p.key)
}

// inodePlace names an inode, by path where that can be found.
type inodePlace struct {
	c    *checker
	tree uint64
	ino  uint64
}

func (p inodePlace) String() string {
	s := fmt.Sprintf("subvolume %d, inode %d", int64(p.tree), p.ino)
	if path, ok := p.c.path(p.tree, p.ino); ok {
		s += fmt.Sprintf(" (%q)", path)
	}
	return s
}

// extentPlace names a data extent or a part of one, and the first file that
// uses it.
type extentPlace struct {
	c      *checker
	bytenr ondisk.Logical
	length uint64
}

func (p extentPlace) String() string {
	s := fmt.Sprintf("data extent %d+%d", p.bytenr, p.length)
	if ref, ok := p.c.userOf(p.bytenr); ok {
		file := inodePlace{c: p.c, tree: ref.root, ino: ref.ino}
		if ref.compressed { // its bytes on disk are not those of the file
			return s + fmt.Sprintf(" (%v, compressed from file offset %d on)", file, ref.offset)
		}
		s += fmt.Sprintf(" (%v, file offset %d)", file, ref.offset+uint64(p.bytenr-ref.bytenr))
	}
	return s
}

// maxDepth bounds the walk from an inode up to the root of its subvolume:
// PATH_MAX / 2, which no path that the kernel accepts exceeds.
const maxDepth = 2048

// path returns the path of an inode inside its subvolume. It is only looked
// for when a problem is reported.
func (c *checker) path(tree, ino uint64) (string, bool) {
	if !ondisk.IsSubvolume(tree) {
		return "", false
	}
	var parts []string
	mark := uint64(0) // an inode passed before: coming by it again, directories form a circle
	for depth := range maxDepth {
		if ino == mark {
			return "", false
		}
		if depth&(depth-1) == 0 {
			mark = ino
		}
		if ino == ondisk.FirstFree {
			slices.Reverse(parts)
			return "/" + strings.Join(parts, "/"), true
		}
		parent, name, ok := c.nameOf(tree, ino)
		if !ok {
			return "", false
		}
		parts = append(parts, name)
		ino = parent
	}
	return "", false
}

// nameOf returns the first name of an inode and the directory it is in.
func (c *checker) nameOf(tree, ino uint64) (parent uint64, name string, ok bool) {
	from := ondisk.Key{ObjectID: ino, Type: ondisk.TypeInodeRef}
	to := ondisk.Key{ObjectID: ino, Type: ondisk.TypeInodeExtref, Offset: math.MaxUint64}
	for item, err := range c.fs.Items(tree, from, to) {
		if err != nil {
			return 0, "", false
		}
		if item.Key.Type == ondisk.TypeInodeExtref {
			if refs, err := ondisk.DecodeInodeExtrefs(item.Data); err == nil && len(refs) > 0 {
				return refs[0].Parent, refs[0].Name, true
			}
			continue
		}
		if refs, err := ondisk.DecodeInodeRefs(item.Data); err == nil && len(refs) > 0 {
			return item.Key.Offset, refs[0].Name, true
		}
	}
	return 0, "", false
}
