package backup

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// maxPaths limits what is copied out at once: each entry of the snapshot is compared
// with each path.
const maxPaths = 1000

// Copying is some paths of a snapshot and where they are copied to.
type Copying struct {
	Snapshot string                  // its whole ID
	Paths    []string                // absolute in the snapshot, each with all below it
	To       string                  // a directory that is empty or new, on a file system that keeps owners
	AnySize  bool                    // try what may not fit, as holes of files take no room
	Progress func(done, total int64) // bytes written, and then bytes read back; nil tells nobody
	Log      func(line string)       // what a person should know; nil tells nobody
}

// Copied is what was copied out.
type Copied struct {
	Dir   string // absolute; each path is below it as it is below the top of the snapshot
	Files int64  // with directories
	Bytes int64
}

// CopyOut copies paths of a snapshot to a directory, reads them back, compares
// them with the snapshot, and then gives the directory its name.
//
// A path that is not in the snapshot, a directory that is not empty, and too
// little room are faults before anything is written. After any other error what
// was copied stays beside under a name that says so, and the same copying goes on
// with it. What cannot be read of a damaged repository is named by the error, a
// CodeDamaged, CodeDisk or CodeIncomplete; all else is copied.
func (b *Backup) CopyOut(ctx context.Context, c Copying) (Copied, error) {
	c.setDefaults()
	paths, err := cleaned(c.Paths)
	if err != nil {
		return Copied{}, err
	}
	if err := b.has(c.Snapshot); err != nil {
		return Copied{}, err
	}
	if err := b.present(ctx, c.Snapshot, paths); err != nil {
		return Copied{}, err
	}
	paths = outermost(paths)
	d, err := newDestination(c.To, append([]string{c.Snapshot}, paths...)...)
	if err != nil {
		return Copied{}, err
	}
	defer d.close()
	restoring := repository.Restoring{Snapshot: c.Snapshot, To: d.staging, Includes: paths}
	if slices.Contains(paths, "/") {
		restoring.Includes = nil
	}
	sum, err := b.fill(ctx, d, &c, restoring)
	if err != nil {
		return Copied{}, d.failed(err)
	}
	if err := b.prove(ctx, d, &c, restoring, sum); err != nil {
		return Copied{}, d.failed(err)
	}
	return Copied{Dir: d.at, Files: sum.Files, Bytes: sum.Bytes}, d.finish()
}

func (c *Copying) setDefaults() {
	if c.Progress == nil {
		c.Progress = func(int64, int64) {}
	}
	if c.Log == nil {
		c.Log = func(string) {}
	}
}

// fill restores into the staging directory and syncs it.
func (b *Backup) fill(ctx context.Context, d *destination, c *Copying, r repository.Restoring) (sum repository.Counts, err error) {
	want, err := b.repo.Measure(ctx, r)
	if err != nil {
		return sum, err
	}
	if !c.AnySize {
		if err := d.room(want.Bytes); err != nil {
			return sum, err
		}
	}
	sum, err = b.repo.Restore(ctx, r, func(done repository.Counts) { c.Progress(min(done.Bytes, want.Bytes), 2*want.Bytes) })
	if err != nil {
		return sum, err
	}
	return sum, d.sync()
}

// prove compares the staging directory with the snapshot.
func (b *Backup) prove(ctx context.Context, d *destination, c *Copying, r repository.Restoring, sum repository.Counts) error {
	verdict, err := b.repo.Verify(ctx, repository.Proof{
		Restoring: r, Name: d.staging, Files: sum.Files,
		Progress: func(bytes, _ int64) { c.Progress(sum.Bytes+min(bytes, sum.Bytes), 2*sum.Bytes) },
	})
	if err != nil {
		return err
	}
	for _, line := range verdict.Warnings(d.at) {
		c.Log(line)
	}
	if verdict.Wrong > 0 {
		return firstboot.NewProblem(firstboot.CodeIncomplete, "look at dmesg for errors of the disk, then: "+b.repo.Again,
			"%s: %d entries on the disk are not as in the snapshot: %s", d.staging, verdict.Wrong, repository.Listed(verdict.First))
	}
	return nil
}

// cleaned returns paths from the top, sorted so that what is below one comes right
// after it.
func cleaned(paths []string) (list []string, err error) {
	for _, p := range paths {
		if p == "" || strings.ContainsRune(p, 0) {
			return nil, fault.New(fault.Usage, "", "path %q: expected one of a file or directory", p)
		}
		list = append(list, path.Join("/", p))
	}
	if len(list) == 0 {
		return nil, fault.New(fault.Usage, "name a path, or / for everything", "no path is named")
	}
	if len(list) > maxPaths {
		return nil, fault.New(fault.Usage, "name the directory that they are in", "%d paths, expected at most %d", len(list), maxPaths)
	}
	slices.SortFunc(list, func(a, b string) int { return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")) })
	return list, nil
}

// outermost returns those of cleaned paths that no other one has below it, each
// once.
func outermost(list []string) []string {
	kept := []string{list[0]}
	for _, p := range list[1:] {
		if !repository.IsWithin(p, kept[len(kept)-1]) {
			kept = append(kept, p)
		}
	}
	return kept
}

// located puts where something was found before an error, which keeps its code,
// class and hint.
func located(where string, err error) error {
	if firstboot.CodeOf(err) != 0 {
		return firstboot.Located(where, err)
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fault.New(fault.Target, "make room, or name a directory on another disk", "%s: %w", where, err)
	}
	return fmt.Errorf("%s: %w", where, err)
}
