package image

import (
	"context"
	"io"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// offsetWriter writes to a part of the image that begins at off.
type offsetWriter struct {
	to  io.WriterAt
	off int64
}

// WriteAt implements io.WriterAt.
func (w offsetWriter) WriteAt(p []byte, off int64) (int, error) { return w.to.WriteAt(p, w.off+off) }

// writeRoot writes the root file system into its partition.
func (b *build) writeRoot(ctx context.Context) error {
	params, err := rootParams(b.plan, b.in.Workers)
	if err != nil {
		return err
	}
	params.Places = b.in.Places
	params.Progress = func(done, total int64) { b.report(builder.StageWrite, done, total) }
	root := b.plan.Partition("root")
	result, err := btrfs.Write(ctx, offsetWriter{b.out.Writer, root.Start}, b.in.Tree, params)
	if err != nil {
		return fault.New(fault.ClassOf(err), fault.HintOf(err), "partition %s: %w", root.Label, err)
	}
	b.result.Root = result
	return nil
}

// rootParams are the plan's decisions in the words of the writer.
func rootParams(p *plan.Plan, workers int) (btrfs.Params, error) {
	root := p.Partition("root")
	params := btrfs.Params{
		Size: root.Size, Free: int64(p.Layout.Root.Free), Label: root.Label, Seed: p.Seed, Timestamp: p.Epoch, Workers: workers,
	}
	if p.Layout.Root.Metadata == "single" {
		params.Metadata = btrfs.Single
	}
	var err error
	if params.Compression, err = compression(p.Layout.Root.Options); err != nil {
		return params, err
	}
	for _, s := range p.Subvolumes {
		params.Subvolumes = append(params.Subvolumes, btrfs.Subvolume{Path: s.Path, Source: s.Source, Empty: s.Empty, NoDataCow: s.NoDataCow})
	}
	for _, s := range p.Snapshots {
		params.Snapshots = append(params.Snapshots, btrfs.Snapshot{Source: s.Source, Path: s.Path})
	}
	if s := p.Swapfile; s != nil && s.Size > 0 {
		params.Swapfiles = []btrfs.Swapfile{{Path: s.Path, Size: s.Size}}
	}
	return params, nil
}

// compression is what the running system will use for what it writes: the
// image is made as if that had written it. Of several options the last counts,
// as for mount(8).
func compression(options []string) (btrfs.Compression, error) {
	var c btrfs.Compression
	for _, option := range options {
		for _, prefix := range []string{"compress=", "compress-force="} {
			if len(option) > len(prefix) && option[:len(prefix)] == prefix {
				var err error
				if c, err = btrfs.ParseCompression(option[len(prefix):]); err != nil {
					return c, fault.New(fault.Config, "images are written with zstd: use compress=zstd:3", "layout: mount option %q: %w", option, err)
				}
			}
		}
	}
	return c, nil
}
