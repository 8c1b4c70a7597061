package closure

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/bincache"
	"github.com/6FaNcY9/mkimage/builder/nix/narinfo"
	"github.com/6FaNcY9/mkimage/builder/nix/narstore"
	"github.com/6FaNcY9/mkimage/builder/unpack"
)

// asked is how many objects are asked for at a time: as many as package bincache makes
// connections, so that none waits for one while its time runs.
const asked = bincache.Connections

// found is an object of the closure.
type found struct {
	info    *narinfo.Info
	cache   int               // that has it; -1: the archive is in the store
	content *narinfo.CA       // must hold of the content; nil: nothing but the digest
	archive *narstore.Archive // once it is there
	sums    *narstore.Sums    // of the archive that was read last
	files   []summedFile      // of the object in the order of the tree; none without FileSums
}

// fetcher makes one closure.
type fetcher struct {
	Options
	tree  *fstree.Tree
	store *fstree.Entry // the store directory

	unpacker unpack.Opener

	mu    sync.Mutex // of store and done
	done  int64
	total int64
}

func newFetcher(o Options) (*fetcher, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	o.Workers = min(o.Workers, asked)
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	f := &fetcher{Options: o, tree: fstree.New()}
	var err error
	if f.store, err = f.tree.MkdirAll(nix.StoreDir, nil); err != nil {
		return nil, err
	}
	f.store.Mode, f.store.GID, f.store.Sec = modeStoreDir, buildersGID, storeTime
	return f, nil
}

// resolve returns some objects and all that they refer to, sorted by path.
func (f *fetcher) resolve(ctx context.Context, roots []nix.StorePath) ([]*found, error) {
	w := &walk{fetcher: f, known: map[nix.StorePath]bool{}}
	w.group, w.ctx = errgroup.WithContext(ctx)
	w.slots = make(chan struct{}, asked)
	w.mu.Lock()
	w.visitAll(roots, nix.StorePath{})
	w.mu.Unlock()
	if err := w.group.Wait(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	slices.SortFunc(w.found, func(a, b *found) int { return a.info.Path.Compare(b.info.Path) })
	return w.found, nil
}

// walk follows references.
type walk struct {
	*fetcher
	ctx   context.Context
	group *errgroup.Group
	slots chan struct{}

	mu    sync.Mutex
	known map[nix.StorePath]bool
	found []*found
}

// visit asks for an object, and then for those that it refers to. By says which
// object refers to it, for messages.
func (w *walk) visit(p, by nix.StorePath) {
	w.group.Go(func() error {
		select {
		case w.slots <- struct{}{}:
		case <-w.ctx.Done():
			return context.Cause(w.ctx)
		}
		o, err := w.find(w.ctx, p)
		<-w.slots
		if err != nil {
			return neededBy(err, by)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.found = append(w.found, o)
		w.visitAll(o.info.References, p)
		return nil
	})
}

// visitAll visits those that were not visited yet. The caller has the lock.
func (w *walk) visitAll(paths []nix.StorePath, by nix.StorePath) {
	for _, p := range paths {
		if !w.known[p] {
			w.known[p] = true
			w.visit(p, by)
		}
	}
}

// neededBy says in an error which object refers to the one that it is about.
func neededBy(err error, by nix.StorePath) error {
	if by.IsZero() {
		return err
	}
	return fault.New(fault.ClassOf(err), fault.HintOf(err), "%w; %s refers to it", err, by)
}

// find returns the first of what the store and the caches say about an object that
// is to be trusted.
func (f *fetcher) find(ctx context.Context, p nix.StorePath) (*found, error) {
	if err := noDerivation(p); err != nil {
		return nil, err
	}
	o, refused := f.kept(p)
	// What is not signed may have changed since it was kept.
	if o != nil && (!f.Unsigned || len(f.Caches) == 0) {
		return o, nil
	}
	o, err := f.ask(ctx, p, 0, nil)
	if err != nil && refused != nil && len(f.Caches) == 0 {
		return nil, fault.New(fault.Input, "build without --offline, if it was taken from a cache of trusted=1; or "+fault.HintOf(refused), "%w; it was fetched before, by another trust", refused)
	}
	return o, err
}

// noDerivation refuses what a database knows more of than a cache says.
func noDerivation(p nix.StorePath) error {
	if !strings.HasSuffix(p.Name, ".drv") {
		return nil
	}
	return fault.New(fault.Input, "set system.includeBuildDependencies = false, and take derivations out of system.extraDependencies",
		"%s: is a derivation, which is not supported in the closure of a system", p)
}

// ask asks the caches from one on. When like is not nil the object must be the same.
func (f *fetcher) ask(ctx context.Context, p nix.StorePath, from int, like *found) (*found, error) {
	var worst, refused error
	for i, c := range f.Caches[min(from, len(f.Caches)):] {
		info, text, err := c.Info(ctx, p)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var content *narinfo.CA
		if err == nil {
			content, err = f.trust(info, c.Trusted)
		}
		if err == nil && like != nil && !like.same(info) {
			err = fault.New(fault.Input, "", "%s: %s has another object of that name", p, c.URL)
		}
		if err == nil {
			if err := f.Store.PutText(p.Hash, text); err != nil {
				return nil, of("cache directory", err)
			}
			return &found{info: info, cache: from + i, content: content}, nil
		}
		// That a cache does not have it is said only when no other says more, such as that
		// it wants a password.
		switch absent := errors.Is(err, bincache.ErrAbsent); {
		case worst == nil && !absent:
			worst = err
		case refused == nil && absent && fault.HintOf(err) != "":
			refused = err
		}
		if !errors.Is(err, bincache.ErrAbsent) && from+i+1 < len(f.Caches) {
			f.Log(err.Error() + "; asking the next cache")
		}
	}
	if worst != nil {
		return nil, worst
	}
	if len(f.Caches) == 0 {
		return nil, fault.New(fault.Input, "build once without --offline", "%s: was not fetched before, and there is no cache to ask", p)
	}
	if refused != nil {
		return nil, fault.New(fault.Input, fault.HintOf(refused), "%w; asked for it: %s", refused, names(f.Caches))
	}
	return nil, fault.New(fault.Input, "name a cache that has it, such as https://cache.nixos.org, in nix.substituters, or copy it there: nix copy --to CACHE "+p.String(), "%s: is not in %s", p, names(f.Caches))
}

// same reports whether another cache has the same object. Of one whose path proves its
// content the archive is proven when it is read.
func (o *found) same(other *narinfo.Info) bool {
	return (o.content != nil || o.info.NarHash == other.NarHash && o.info.NarSize == other.NarSize) && slices.Equal(o.info.References, other.References)
}

// kept returns an object of which both metadata and archive are in the store, nil where
// the caches are to be asked; refused says that it would be there, but is not trusted.
func (f *fetcher) kept(p nix.StorePath) (o *found, refused error) {
	text, err := f.Store.Text(p.Hash)
	if err != nil || text == nil {
		return nil, nil
	}
	info, err := narinfo.Parse(p.Hash, text)
	if err != nil || info.Path != p {
		return nil, nil
	}
	o = &found{info: info, cache: -1}
	o.content, refused = f.trust(info, false)
	if o.archive, err = f.Store.Get(info.NarHash); err != nil || o.archive == nil || o.archive.Size() != info.NarSize {
		return nil, nil
	}
	if refused != nil {
		return nil, refused
	}
	return o, nil
}

// trust decides whether what a cache says about an object is to be taken: by its
// signature, or by its content address, which then must hold. One that is not
// proven is forgotten: no signature covers it.
func (f *fetcher) trust(info *narinfo.Info, trusted bool) (*narinfo.CA, error) {
	content, notByContent := info.ContentAddressed()
	if content != nil {
		return content, nil
	}
	if !trusted && !f.Unsigned {
		if _, err := f.Keys.Verify(info); err != nil {
			if notByContent != nil {
				// Both were tried; the signature is what a user can mend.
				f.Log(notByContent.Error())
			}
			return nil, err
		}
	}
	if !errors.Is(notByContent, narinfo.ErrSelfReference) {
		info.CA = ""
	}
	return nil, nil
}
