package keephome

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/treecopy"
)

const liesHint = "the disk does not keep what is written to it: use another one"

// Seal returns when the new system is on the disk, and it was read back and
// compared: with the payload, and what was carried with the old system. Nothing
// may have changed that meanwhile. The caller can unmount and mount both, or have
// the kernel drop its caches, before it; what was read of files is dropped in any
// case. Progress is in bytes. The error is of class fault.Mismatch where
// something differs.
func (in *Install) Seal(ctx context.Context, progress func(done, total int64)) error {
	if err := syncTop(in.Top); err != nil {
		return err
	}
	done := int64(0)
	tell := func(n int64) { done += n; progress(done, max(done, in.bytes)) }
	for i := range in.copies {
		c := &in.copies[i]
		found, err := in.compare(ctx, c, tell)
		if err != nil {
			return fmt.Errorf("%s, read back: %w", in.target(c), err)
		}
		if len(found) > 0 {
			return fault.New(fault.Mismatch, liesHint, "%s, read back: %s", in.target(c), strings.Join(found, "; "))
		}
	}
	return in.checkFstab()
}

// target is where a copy is, from the top level.
func (in *Install) target(c *copied) string {
	if c.place != nil {
		return path.Join(in.inNew(c.place.subvolume), c.place.name)
	}
	return in.newName(c.in)
}

func (in *Install) compare(ctx context.Context, c *copied, progress func(n int64)) ([]string, error) {
	from, to, err := in.open(c)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	defer to.Close()
	o := c.options
	o.Progress = progress
	if c.place == nil {
		changed := in.except[c.in]
		o.Except = func(name string) bool {
			return slices.ContainsFunc(changed, func(c string) bool { return below(c, name) })
		}
	}
	return treecopy.Compare(ctx, from, to, c.digests, o)
}

// checkFstab compares the file that was rewritten.
func (in *Install) checkFstab() error {
	if in.fstab == nil {
		return nil
	}
	text, err := in.read(fstabPath, maxFstab)
	if err != nil {
		return err
	}
	if !bytes.Equal(text, in.fstab) {
		return fault.New(fault.Mismatch, liesHint, "%s, read back: %q, expected %q", fstabPath, text, in.fstab)
	}
	return nil
}
