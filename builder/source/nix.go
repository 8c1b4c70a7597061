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

// openNix makes the root file system of a NixOS system of the closure of its toplevel in
// a store of this host, which Nix builds first where a flake is named.
func (s *Source) openNix(ctx context.Context, o Options) error {
	if o.CacheDir == "" {
		return fault.New(fault.Config, "", "source %s: needs a cache directory", s.Spec)
	}
	keys, err := o.Nix.trusted()
	if err != nil {
		return err
	}
	root, flake, err := s.Spec.nix()
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(cmp.Or(o.Nix.Store, "/"))
	if err != nil {
		return err
	}
	if root.IsZero() {
		if root, err = flake.build(ctx, dir, o.Log); err != nil {
			return err
		}
	}
	store, err := closure.OpenHostStore(dir)
	if err != nil {
		return err
	}
	s.close = store.Close
	c, err := store.Closure(ctx, root, closure.HostOptions{
		Keys: keys, Signed: o.Nix.Signed,
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
