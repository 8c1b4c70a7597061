package source

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// What a digest is of, as it begins.
const (
	fileScheme = "sha256:"
	treeScheme = "tree-sha256:"
)

// fileDigest returns the digest of an archive: of its bytes when they lie in a
// file, where sha256sum(1) gives the same, else of the tree in it.
func fileDigest(ctx context.Context, path string, t *fstree.Tree) (string, error) {
	info, err := os.Stat(path)
	if path == "-" || err == nil && !info.Mode().IsRegular() {
		return treeDigest(ctx, t)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fault.New(fault.Input, "", "%w", err)
	}
	defer f.Close()
	sum, _, err := digest(ctx, f, info.Size(), builder.Silent{})
	if err != nil {
		return "", fault.New(fault.Input, "", "%s: %w", path, err)
	}
	return fileScheme + sum, nil
}

// treeDigest returns the digest of a tree. What is hashed is, for each entry in
// the order of the tree, one line of its path, type and mode, owner, time, size,
// device, target, and the number of the entry that it is a hard link of, if any;
// a line for each extended attribute; and the content of a file that is no link.
// Texts are quoted as in Go, so that no two trees give the same bytes.
func treeDigest(ctx context.Context, t *fstree.Tree) (string, error) {
	d := treeHash{sum: sha256.New(), seen: map[*fstree.Inode]int{}}
	d.out = bufio.NewWriterSize(d.sum, 64<<10)
	for e := range t.All() {
		if err := ctx.Err(); err != nil {
			return "", context.Cause(ctx)
		}
		if err := d.entry(e); err != nil {
			return "", err
		}
	}
	if err := d.out.Flush(); err != nil {
		return "", err
	}
	return treeScheme + hex.EncodeToString(d.sum.Sum(nil)), nil
}

type treeHash struct {
	sum  hash.Hash
	out  *bufio.Writer
	seen map[*fstree.Inode]int // number of the first entry of each inode
	n    int
}

func (d *treeHash) entry(e *fstree.Entry) error {
	d.n++
	first, link := d.seen[e.Inode]
	fmt.Fprintf(d.out, "%q %o %d:%d %d.%09d %d %d %q %d\n", e.Path(), e.Mode, e.UID, e.GID, e.Sec, e.Nsec, e.Size, e.Rdev, e.Link, first)
	if link {
		return nil
	}
	d.seen[e.Inode] = d.n
	for _, x := range e.Xattrs {
		fmt.Fprintf(d.out, "%q %q\n", x.Name, x.Value)
	}
	if !e.IsRegular() {
		return nil
	}
	r, closer, err := openEntry(e)
	if err != nil {
		return err
	}
	n, err := io.Copy(d.out, r)
	if cerr := closer(); err == nil {
		err = cerr
	}
	if err == nil && n != e.Size {
		err = fault.New(fault.Input, "", "%s: has %d bytes, expected %d", e.Path(), n, e.Size)
	}
	return err
}
