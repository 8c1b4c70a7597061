package repository

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// Proof is a comparison of a directory with what was restored into it.
type Proof struct {
	Restoring
	Name     string                   // what errors call the directory
	Files    int64                    // what Restore has counted
	Progress func(bytes, files int64) // of blobs and of regular files that are right, one call at a time; nil tells nobody
}

// Verdict is what a Proof has found. It is the same for the same directory, in
// whatever order its files were read.
type Verdict struct {
	Wrong    int      // entries that are not as in the snapshot
	First    []string // of these, in the order of the snapshot
	Odd      int      // right but for their owner, mode, time, extended attributes or hard links
	FirstOdd string
}

// Verify proves that a directory equals what was restored into it, at the cost of
// reading it once. Files whose content is wrong are removed: the next restore then
// writes them anew.
//
// Each file is read from the disk, if it was synced, and each of its blobs has to have
// the hash that the snapshot names it by; what has no content has to have the type, the
// target or the device number. Nothing that a restore has in memory is asked. What it
// finds besides in the directory is not its business, nor are sockets, which are not
// restored.
//
// A repository that does not say all of it, as far as it is asked, is an error.
func (repo *Repository) Verify(ctx context.Context, p Proof) (Verdict, error) {
	opened, tree, err := repo.tree(ctx, p.Snapshot, p.From)
	if err != nil {
		return Verdict{}, firstboot.Located(p.Name+": comparing", err)
	}
	c := &comparison{repo: opened, groups: map[inode]*group{}, jobs: make(chan *placed), findings: findings{progress: p.Progress}}
	entries, err := c.run(ctx, tree, &p)
	if ctx.Err() != nil {
		return Verdict{}, context.Cause(ctx)
	}
	if err != nil {
		return Verdict{}, firstboot.Located(p.Name+": comparing", repo.unread(ctx, err))
	}
	if entries < p.Files {
		return Verdict{}, firstboot.NewProblem(firstboot.CodeIncomplete, repo.Again, "%s: comparing: the snapshot has %d entries, expected %d", p.Name, entries, p.Files)
	}
	return c.verdict(), nil
}

// comparison compares a directory with a tree. One goroutine walks the tree and
// looks at directories; what is in them others look at.
type comparison struct {
	findings
	repo   *reader.Repository
	jobs   chan *placed
	dirs   []*directory     // that the walk is in; its alone
	groups map[inode]*group // of the snapshot; the walk's alone
}

// run compares everything, and returns how many entries that was.
func (c *comparison) run(ctx context.Context, tree reader.ID, p *Proof) (int64, error) {
	top, err := openDir(p.To)
	if err != nil {
		return 0, err
	}
	c.dirs = []*directory{top}
	w := &walker{repo: c.repo, includes: p.Includes, visitor: c}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		defer close(c.jobs)
		defer top.release()
		return w.walk(ctx, tree)
	})
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() error { return c.work(ctx) })
	}
	err = all.Wait()
	for _, g := range c.groups { // after an error
		for _, e := range g.waiting {
			e.dir.release()
		}
	}
	return w.entries, err
}
