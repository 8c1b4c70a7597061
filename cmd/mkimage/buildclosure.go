package main

import (
	"context"
	"errors"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nixos"
	"github.com/6FaNcY9/mkimage/builder/nixos/mounts"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// openForLayout opens the source of a profile whose layout is that of the system in it, and
// makes that layout known. Any other source is opened when its image is planned: then it
// returns nil.
func (f *buildFlags) openForLayout(ctx context.Context, u *ui, progress builder.Progress, name string) (*source.Source, error) {
	r, err := f.resolve(name)
	if err != nil || !r.system().waits {
		return nil, err
	}
	o, err := f.options()
	if err != nil {
		return nil, err
	}
	epoch, err := plan.EpochOf(o.Epoch)
	if err != nil {
		return nil, err
	}
	src, err := f.open(ctx, u, progress, &r.system().profile, epoch)
	if err != nil {
		return nil, err
	}
	if f.closureLayout, err = layoutOf(src); err != nil {
		return nil, errors.Join(err, src.Close())
	}
	return src, nil
}

// layoutOf returns the layout of the system in a source.
func layoutOf(src *source.Source) ([]byte, error) {
	if !nixos.IsSystem(src.Tree) {
		return nil, fault.New(fault.Config, "name a layout: mkimage layouts lists them", "layout %q: expected a NixOS system in the source, %s has none", mounts.LayoutName, src.Spec)
	}
	return mounts.Layout(src.Tree)
}
