package source

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix/closure"
)

// openNix makes the root file system of a NixOS of the closure of its toplevels in
// a store of this host, which Nix builds first where a flake is named.
func (s *Source) openNix(ctx context.Context, o Options) error {
	if o.CacheDir == "" {
		return fault.New(fault.Config, "", "source %s: needs a cache directory", s.Spec)
	}
	keys, err := o.Nix.trusted()
	if err != nil {
		return err
	}
	roots, flake, err := s.Spec.nix()
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(cmp.Or(o.Nix.Store, "/"))
	if err != nil {
		return err
	}
	if len(roots) == 0 {
		root, err := flake.build(ctx, dir, o.Log)
		if err != nil {
			return err
		}
		roots = append(roots, root)
	}
	store, err := closure.OpenHostStore(dir)
	if err != nil {
		return err
	}
	s.close = store.Close
	c, err := store.Closure(ctx, roots, closure.HostOptions{
		Keys: keys, Signed: o.Nix.Signed, FileSums: o.Nix.mayOptimise(),
		Progress: func(done, total int64) { o.Progress.Report(builder.StageFetch, done, total) },
	})
	if err == nil {
		err = s.install(ctx, c, o)
	}
	if err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}
