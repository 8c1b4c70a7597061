// Package closure makes a tree of store objects and all that they refer to, directly
// or not, out of binary caches or out of a store of this host.
//
// Of every object in a cache the metadata is fetched and trusted by its signature or
// its content address; then its archive is fetched, checked against that metadata and
// listed. Archives stay in a folder of the host (package narstore), from which the
// content of the tree is read.
//
// Of a store of this host the database is read, not its daemon asked: it has the
// signatures, and its form is the same in every version of Nix 2. Every object is
// hashed where it lies and compared with it. The content of the tree is read there,
// and must still be what was hashed.
//
// The tree depends on the objects alone, not on the caches or the store that had them. Where two
// caches have different objects of one name, as of two builds, the first that is asked
// decides.
package closure

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/nix-community/go-nix/pkg/narinfo/signature"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/bincache"
	"github.com/6FaNcY9/mkimage/builder/nix/narinfo"
	"github.com/6FaNcY9/mkimage/builder/nix/narstore"
	"github.com/6FaNcY9/mkimage/builder/nix/storedb"
)

// Options says where a closure comes from. The result does not depend on them.
type Options struct {
	// Caches are asked in this order for each object.
	Caches []*bincache.Cache
	Store  *narstore.Store // what was fetched is kept there
	Keys   narinfo.Keys    // that are trusted
	// Unsigned takes objects whose signature is missing or not trusted.
	Unsigned bool
	Workers  int // archives that are unpacked at a time; 0 means GOMAXPROCS
	// FileSums hashes each file for itself too, which Closure.Optimise needs.
	FileSums bool
	// Progress, when set, is told how many bytes of all archives are there. Calls are
	// made one after the other.
	Progress func(done, total int64)
	Log      func(text string) // notes, such as of a cache that failed; nil drops them
}

// Closure is some store objects with all that they refer to.
type Closure struct {
	Roots   []nix.StorePath  // as they were asked for
	Objects []storedb.Object // sorted by path
	// Tree has nothing but the store directory, in its place, and in that each object
	// with the metadata that Nix gives it. It is not frozen.
	Tree *fstree.Tree

	fileSums bool         // as in Options
	files    []summedFile // in the order of the tree, until Optimise
}

// Fetch returns the closure of some objects. Its tree can be read as long as the store
// is open. Errors are of class fault.Input, and name the object.
func Fetch(ctx context.Context, roots []nix.StorePath, o Options) (*Closure, error) {
	f, err := newFetcher(o)
	if err != nil {
		return nil, err
	}
	objects, err := f.resolve(ctx, roots)
	if err != nil {
		return nil, err
	}
	if err := f.each(ctx, objects, f.object); err != nil {
		return nil, err
	}
	return f.closure(roots, objects), nil
}

// closure is what was made of objects, which are sorted.
func (f *fetcher) closure(roots []nix.StorePath, objects []*found) *Closure {
	c := &Closure{Roots: roots, Tree: f.tree, Objects: make([]storedb.Object, 0, len(objects)), fileSums: f.FileSums}
	files := 0
	for _, o := range objects {
		c.Objects = append(c.Objects, f.record(o.info))
		files += len(o.files)
	}
	c.files = make([]summedFile, 0, files)
	for _, o := range objects {
		c.files = append(c.files, o.files...)
		o.files = nil // the tree has the object
	}
	return c
}

// record is what a database keeps of what a cache or another database says: what is
// proven. Who made an object, its deriver, is not, and caches differ in it.
func (f *fetcher) record(i *narinfo.Info) storedb.Object {
	o := storedb.Object{Path: i.Path, NarHash: i.NarHash, NarSize: i.NarSize, References: i.References, CA: i.CA}
	for _, s := range i.Sigs {
		one := *i
		one.Sigs = []signature.Signature{s}
		if _, err := f.Keys.Verify(&one); err == nil {
			o.Sigs = append(o.Sigs, s.String())
		}
	}
	slices.Sort(o.Sigs)
	return o
}

// Digest identifies the closure: all that a database keeps of its objects, and so
// their content, and nothing of where they came from.
func (c *Closure) Digest() string {
	h := sha256.New()
	for _, r := range c.Roots {
		fmt.Fprintln(h, r)
	}
	for _, o := range c.Objects {
		fmt.Fprintf(h, "%s %x %d", o.Path, o.NarHash, o.NarSize)
		for _, r := range o.References {
			fmt.Fprintf(h, " %s", r)
		}
		fmt.Fprintf(h, " %q %q\n", o.CA, o.Sigs)
	}
	return "closure-sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Size returns the bytes of all objects as archives.
func (c *Closure) Size() (n int64) {
	for _, o := range c.Objects {
		n += o.NarSize
	}
	return n
}

// names lists the caches in a message.
func names(caches []*bincache.Cache) string {
	var all []string
	for _, c := range caches {
		all = append(all, c.URL)
	}
	return strings.Join(all, ", ")
}
