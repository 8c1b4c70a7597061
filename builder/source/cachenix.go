package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix/bincache"
	"github.com/6FaNcY9/mkimage/builder/nix/closure"
	"github.com/6FaNcY9/mkimage/builder/nix/narinfo"
	"github.com/6FaNcY9/mkimage/builder/nix/narstore"
	"github.com/6FaNcY9/mkimage/builder/nix/storedb"
	"github.com/6FaNcY9/mkimage/builder/nixos"
)

// NixOptions says where store objects come from. No byte of a tree depends on it, but
// for Optimise.
type NixOptions struct {
	Substituters []string // URLs of binary caches besides the one that a source names
	// Store is the directory that the store of a nix: source is below; "" means "/".
	Store string
	// Keys are the public keys whose signatures are trusted, as trusted-public-keys
	// of nix.conf has them; none means DefaultKey.
	Keys      []string
	Netrc     string // file with names and passwords for caches; "" for none
	Offline   bool   // ask no cache by network: take what was kept
	Unsigned  bool   // take objects of a cache whose signature is missing or not trusted
	Signed    bool   // want a signature of objects of a store of this host too
	CacheSize int64  // bytes of archives that are kept; 0 keeps none
	// Optimise makes equal files of the store hard links of each other, see
	// closure.Closure.Optimise; nil means what the current system has in its nix.conf.
	Optimise *bool
	// Note, when set, is told of what went wrong and did not end the run, such as of a
	// cache that did not answer. Calls are made one after the other.
	Note func(text string)
}

// DefaultKey is the key of NixOS's own cache, which Nix trusts unless it is told
// otherwise.
const DefaultKey = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="

// trusted returns the keys that are trusted.
func (o *NixOptions) trusted() (narinfo.Keys, error) {
	return narinfo.ParseKeys(cmp.Or(strings.Join(o.Keys, " "), DefaultKey))
}

// openCache makes the root file system of a NixOS of the closure of its toplevels.
func (s *Source) openCache(ctx context.Context, o Options) error {
	if o.CacheDir == "" {
		return fault.New(fault.Config, "", "source %s: needs a cache directory", s.Spec)
	}
	keys, err := o.Nix.trusted()
	if err != nil {
		return err
	}
	url, roots, err := s.Spec.cache()
	if err != nil {
		return err
	}
	note := notes(o.Nix.Note)
	caches, err := openCaches(ctx, append([]string{url}, o.Nix.Substituters...), o, note)
	if err != nil {
		return err
	}
	store, err := narstore.Open(filepath.Join(o.CacheDir, "nar"))
	if err != nil {
		return fault.New(fault.Internal, narstore.Hint(err), "%w", err)
	}
	s.close = func() error {
		if err := store.Trim(o.Nix.CacheSize); err != nil {
			note(fmt.Sprintf("cache directory: %v", err)) // the next build tries again
		}
		return store.Close()
	}
	c, err := closure.Fetch(ctx, roots, closure.Options{
		Caches: caches, Store: store, Keys: keys, Unsigned: o.Nix.Unsigned, FileSums: o.Nix.mayOptimise(),
		Progress: func(done, total int64) { o.Progress.Report(builder.StageFetch, done, total) },
		Log:      note,
	})
	if err == nil {
		err = s.install(ctx, c, o)
	}
	if err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

// notes serialises calls of a function that may be nil.
func notes(note func(string)) func(string) {
	var mu sync.Mutex
	return func(text string) {
		mu.Lock()
		defer mu.Unlock()
		if note != nil {
			note("source: " + text)
		}
	}
}

// install makes a system of a closure.
func (s *Source) install(ctx context.Context, c *closure.Closure, o Options) error {
	database, err := makeDatabase(ctx, o, c.Objects)
	if err != nil {
		return err
	}
	if err := o.Nix.optimise(c, o.Epoch); err != nil {
		return err
	}
	if err := nixos.Install(c.Tree, nixos.System{Toplevels: c.Roots, Database: database, Epoch: o.Epoch}); err != nil {
		return err
	}
	s.Tree, s.Objects = c.Tree, c.Objects
	digest := c.Digest()
	s.digest = func(context.Context) (string, error) { return digest, nil }
	return nil
}

// mayOptimise reports whether the closure has to be made so that optimise can be called.
func (o *NixOptions) mayOptimise() bool { return o.Optimise == nil || *o.Optimise }

// optimise links equal files of a closure, where that is asked for or the last of its
// systems, the current one, does so.
func (o *NixOptions) optimise(c *closure.Closure, epoch time.Time) error {
	wanted := o.mayOptimise()
	if o.Optimise == nil {
		var err error
		if wanted, err = nixos.AutoOptimises(c.Tree, c.Roots[len(c.Roots)-1]); err != nil {
			return err
		}
	}
	if !wanted {
		return nil
	}
	return c.Optimise(epoch)
}

// openCaches opens caches, those that want to be asked first in front. Without
// network those by HTTP are left out. The first must be there; of the others one that
// is not is passed over, as Nix does.
func openCaches(ctx context.Context, urls []string, o Options, note func(string)) ([]*bincache.Cache, error) {
	var caches []*bincache.Cache
	for i, url := range urls {
		if o.Nix.Offline && !strings.HasPrefix(url, "file:") {
			continue
		}
		c, err := bincache.Open(ctx, url, bincache.Options{
			Netrc: o.Nix.Netrc, Retry: func(err error) { note(fmt.Sprintf("%v; trying again", err)) },
		})
		switch {
		case err != nil && i > 0 && fault.ClassOf(err) == fault.Input && ctx.Err() == nil:
			note(fmt.Sprintf("%v; going on without this cache", err))
			continue
		case err != nil:
			return nil, err
		}
		caches = append(caches, c)
	}
	slices.SortStableFunc(caches, func(a, b *bincache.Cache) int { return cmp.Compare(a.Priority, b.Priority) })
	return caches, nil
}

// makeDatabase returns the database of a store that has some objects. It has to be a file
// while it is made; what a killed build has left of one goes with the next.
func makeDatabase(ctx context.Context, o Options, objects []storedb.Object) ([]byte, error) {
	slot, err := openSlot(ctx, filepath.Join(o.CacheDir, slotsDir), "database", o.Log)
	if err != nil {
		return nil, err
	}
	defer slot.close()
	work, err := os.MkdirTemp(slot.dir, slot.key+".*.partial")
	if err != nil {
		return nil, err
	}
	name := filepath.Join(work, "db.sqlite")
	if err = storedb.Write(ctx, name, objects); err != nil {
		return nil, errors.Join(err, os.RemoveAll(work))
	}
	data, err := os.ReadFile(name)
	return data, errors.Join(err, os.RemoveAll(work))
}
