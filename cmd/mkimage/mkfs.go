package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// mkfsFlags are the flags of mkfs as they were typed.
type mkfsFlags struct {
	from, output, owner                               string
	rootSubvolume, defaultSubvolume                   string
	subvolumes, readOnly, noDataCow, swaps, snapshots []string
	size, label, seed, timestamp                      string
	compress, metadata, checksum                      string
	blockGroupTree, dryRun                            bool
	workers                                           int
}

func newMkfs(u *ui) *cobra.Command {
	var f mkfsFlags
	cmd := &cobra.Command{
		Use:   "mkfs --from KIND:PATH -o FS",
		Short: "write a btrfs file system with the content of a directory or archive",
		Long: `mkfs writes a btrfs file system into a regular file. It needs no root, mounts
nothing and runs no other program.

The source is always named with its kind: dir:PATH is a directory of this host,
tar:FILE an archive, plain or compressed, and tar:- one on standard input.
Owners, times, extended attributes, hard links, device nodes and holes are kept.

Without subvolume flags the source becomes the top level of the file system.
--root-subvolume NAME puts it into a subvolume instead; --subvolume NAME:PATH
moves a directory of the source into a subvolume of its own and leaves an empty
directory behind, to mount it at; --subvolume NAME makes an empty one. Names are
paths from the top level, such as @home or @/var/lib/machines.

The same input gives the same bytes: identities come from --seed, which without
the flag is a digest of the source's metadata and of the flags, and times come
from --timestamp. FS appears when it is complete; until then it is written as
FS.partial.`,
		Example: `  mkimage mkfs --from dir:rootfs -o fs.img
  mkimage mkfs --from tar:rootfs.tar.zst --owner 0:0 --compress none -o fs.img

  # a laptop with home and swap apart, and the number for resume_offset=
  mkimage mkfs --from dir:rootfs --root-subvolume @ --subvolume @home:home \
      --subvolume @swap --nodatacow @swap --swapfile @swap/swapfile=16GiB \
      --default-subvolume @ --label nixos -o fs.img
  mkimage map-swapfile fs.img @swap/swapfile

  # what would be written, and how large it would be
  mkimage mkfs --from dir:rootfs --dry-run`,
		Args:        takes(0, 0),
		Annotations: exits(fault.Input, fault.Target),
		RunE:        func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), u) },
	}
	f.define(cmd)
	return cmd
}

func (f *mkfsFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.from, "from", "", "the `source`: dir:PATH or tar:FILE")
	flags.StringVarP(&f.output, "output", "o", "", "the `file` to write")
	flags.BoolVar(&f.dryRun, "dry-run", false, "read and compress everything, write nothing, print the result")
	flags.StringVar(&f.owner, "owner", "", "give every file to `UID:GID`, whatever the source says")
	flags.StringVar(&f.rootSubvolume, "root-subvolume", "", "put the source into the subvolume `NAME`")
	flags.StringArrayVar(&f.subvolumes, "subvolume", nil, "make the subvolume `NAME[:PATH]`, of a directory of the source or empty")
	flags.StringArrayVar(&f.readOnly, "readonly-subvolume", nil, "make the subvolume `NAME`, named before, read-only")
	flags.StringArrayVar(&f.noDataCow, "nodatacow", nil, "turn copy-on-write off in the subvolume `NAME`, named before")
	flags.StringArrayVar(&f.swaps, "swapfile", nil, "make a swapfile: `PATH=SIZE`")
	flags.StringArrayVar(&f.snapshots, "snapshot", nil, "make a read-only snapshot: `SUBVOLUME:NAME`")
	flags.StringVar(&f.defaultSubvolume, "default-subvolume", "", "mount the subvolume `NAME` where none is asked for")
	flags.StringVar(&f.compress, "compress", "zstd:3", "how file content is compressed: none, zstd or zstd:1 to zstd:15")
	flags.StringVar(&f.size, "size", "auto", "size of the file system, such as 4GiB; auto is as small as fits")
	flags.StringVar(&f.label, "label", "", "label, up to 255 bytes")
	flags.StringVar(&f.seed, "seed", "", "`HEX` digits that all identities come from; default: a digest of the source's metadata and the flags")
	flags.StringVar(&f.timestamp, "timestamp", "", "`time` of creation, in Unix seconds or as RFC 3339; default: SOURCE_DATE_EPOCH, or the newest in the source")
	flags.StringVar(&f.metadata, "metadata", "dup", "copies of metadata: dup is two, single is one")
	flags.StringVar(&f.checksum, "checksum", "crc32c", "crc32c, xxhash64, sha256 or blake2b")
	flags.BoolVar(&f.blockGroupTree, "block-group-tree", false, "use the block group tree; needs Linux 6.1")
	flags.IntVar(&f.workers, "workers", 0, "goroutines that compress; 0 means one for each processor")
	mustComplete(cmd, "compress", "none", "zstd", "zstd:1", "zstd:3", "zstd:9", "zstd:15")
	mustComplete(cmd, "metadata", "dup", "single")
	mustComplete(cmd, "checksum", ondisk.CRC32C.String(), ondisk.XXHash64.String(), ondisk.SHA256.String(), ondisk.BLAKE2b.String())
}

func (f *mkfsFlags) run(ctx context.Context, u *ui) error {
	p, err := f.params(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	src, err := parseSource(f.from)
	if err != nil {
		return err
	}
	owner, err := parseOwner(f.owner)
	if err != nil {
		return err
	}
	spoolDir := os.TempDir()
	if !f.dryRun {
		// Refused now, not after minutes of reading.
		if err := cmp.Or(checkOutput(f.output, "name a file in it: -o "+shellWord(filepath.Join(f.output, "fs.img"))), src.checkNot(f.output)); err != nil {
			return err
		}
		spoolDir = filepath.Dir(f.output)
	}

	began := time.Now()
	u.Report(builder.StageScan, 0, 0)
	tree, closeSource, err := src.scan(ctx, owner, spoolDir)
	if err != nil {
		return err
	}
	closeSource = sync.OnceValue(closeSource)
	defer closeSource()
	if len(tree.Root().Children()) == 0 {
		// An archive may begin with zeros by accident: then it is an empty one.
		u.warn("%s: holds no files", f.from)
	}
	warnMissing(u, tree, p.Subvolumes)
	if f.seed == "" {
		p.Seed = deriveSeed(tree, &p)
	}
	p.Progress = func(done, total int64) { u.Report(builder.StageWrite, done, total) }
	result, err := f.write(ctx, u, p, tree, closeSource)
	if err != nil {
		return err
	}
	s := newSummary(f, &p, tree, result, time.Since(began))
	return u.summary(s, s.print)
}

// write makes the file system, in a file or, for a dry run, nowhere. It closes
// the source before the file gets its name, because a source may notice then
// that it changed under the run.
func (f *mkfsFlags) write(ctx context.Context, u *ui, p btrfs.Params, tree *fstree.Tree, closeSource func() error) (*btrfs.Result, error) {
	if f.dryRun {
		result, err := btrfs.Write(ctx, nowhere{}, tree, p)
		return result, cmp.Or(err, closeSource())
	}
	out, err := createOutput(f.output, p.Size, modeSecret)
	if err != nil {
		return nil, err
	}
	defer out.discard() // for a panic; otherwise it is done by then
	result, err := btrfs.Write(ctx, out, tree, p)
	if err = cmp.Or(err, closeSource(), ctx.Err()); err != nil {
		return nil, errors.Join(err, out.discard())
	}
	u.Report(builder.StageSync, 0, 0)
	return result, out.publish(result.Size)
}

// nowhere takes what is written and forgets it.
type nowhere struct{}

func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

var _ io.WriterAt = nowhere{}

// warnMissing names subvolumes of directories that the source does not have.
// The writer makes them empty, with a directory to mount them at, which is
// wanted for a source that is not yet complete and is not when it was mistyped.
func warnMissing(u *ui, tree *fstree.Tree, subvolumes []btrfs.Subvolume) {
	for _, s := range subvolumes {
		if !s.Empty && tree.Lookup(s.Source) == nil {
			u.warn("subvolume %s: the source has no directory %s, so it is empty", s.Path, s.Source)
		}
	}
}

// parseSeed reads --seed; without it the seed is derived later.
func (f *mkfsFlags) parseSeed() (ids.Seed, error) {
	if f.seed == "" {
		return ids.Seed{}, nil
	}
	return ids.Parse(f.seed)
}
