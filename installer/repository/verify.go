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
	Files    int64                    // what restic said that it restored, with what was right already
	Progress func(bytes, files int64) // of blobs and of regular files that are right, one call at a time; nil tells nobody
}

// Verdict is what a Proof has found. It is the same for the same directory, in
// whatever order its files were read.
type Verdict struct {
	Wrong    int      // entries that are not as in the snapshot
	First    []string // of these, in the order of the snapshot
	Odd      int      // right but for their owner, mode, time, extended attributes or hard links
	FirstOdd string

	// Merged counts names of files whose content is that of another name, not the one
	// that the snapshot has: both were the same file to restic when they were backed
	// up, between which it was changed, and restic links them.
	Merged      int
	FirstMerged []string // as First
}

// Verify proves that a directory equals what was restored into it, at the cost of
// reading it once. Files whose content is wrong are removed: the next restore then
// writes them anew, also where restic would not, such as the zeros of a sparse
// file over what cannot be read.
//
// It asks the repository itself, by a reader that has nothing of restic: "restore
// --verify" compares only what the same run has written, and that in memory. Each
// file is read from the disk, if it was synced, and each of its blobs has to have
// the hash that the snapshot names it by, but for those that are Merged; what has no
// content has to have the type, the target or the device number.
// What it finds besides in the directory is not its business, nor are sockets, which
// restic does not restore.
//
// A repository that does not say all of it, as far as it is asked, is an error.
func (repo *Repository) Verify(ctx context.Context, p Proof) (Verdict, error) {
	c := &comparison{proof: &p, groups: map[inode]*group{}, jobs: make(chan *entry), findings: findings{progress: p.Progress}}
	tree, err := c.open(ctx, repo)
	if err == nil {
		err = c.run(ctx, tree)
	}
	if ctx.Err() != nil {
		return Verdict{}, context.Cause(ctx)
	}
	if err != nil {
		return Verdict{}, firstboot.Located(p.Name+": comparing", repo.unread(err))
	}
	if c.entries < p.Files {
		return Verdict{}, firstboot.NewProblem(firstboot.CodeIncomplete, repo.Again, "%s: comparing: the snapshot has %d entries, expected %d", p.Name, c.entries, p.Files)
	}
	return c.verdict(), nil
}

// unread says of an error of the reader which repository it is of, and what to do
// about it.
func (repo *Repository) unread(err error) error {
	where := repo.Names.Repository
	switch code := firstboot.CodeOf(err); code {
	case firstboot.CodeNoRepository:
		return firstboot.NewProblem(code, "", "backup disk %s has no repository of restic in %s", repo.Disk, where)
	case firstboot.CodePassword:
		return firstboot.NewProblem(code, repo.PasswordHint, "repository %s: %s is not its password", where, repo.Password)
	case firstboot.CodeDamaged:
		return firstboot.Located("repository "+where+": is damaged", err)
	case firstboot.CodeDisk, firstboot.CodeNoSnapshot:
		return firstboot.NewProblem(code, repo.Again, "repository %s: %w", where, err)
	case firstboot.CodeIncomplete:
		return firstboot.NewProblem(code, repo.Again, "%w", err)
	}
	return err
}

// comparison compares a directory with a tree. One goroutine walks the tree and
// looks at directories; what is in them others look at.
type comparison struct {
	findings
	repo    *reader.Repository
	proof   *Proof
	jobs    chan *entry
	groups  map[inode]*group // of the snapshot; the walk's alone
	entries int64            // that the walk has come by
	seq     int64            // the number of the last one
}

// open opens the repository, and returns the tree of what was restored.
func (c *comparison) open(ctx context.Context, repo *Repository) (tree reader.ID, err error) {
	snapshot, err := reader.ParseID(c.proof.Snapshot)
	if err != nil {
		return tree, err
	}
	password, err := readPassword(repo.PasswordFile)
	if err != nil {
		return tree, err
	}
	if c.repo, err = reader.Open(ctx, repo.Dir, password); err != nil {
		return tree, err
	}
	if tree, err = c.repo.Snapshot(snapshot); err != nil {
		return tree, err
	}
	return c.repo.Directory(tree, c.proof.From)
}

// run compares everything.
func (c *comparison) run(ctx context.Context, tree reader.ID) error {
	top, err := openDir(c.proof.To)
	if err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		defer close(c.jobs)
		defer top.release()
		return c.walk(ctx, top, tree, "", len(c.proof.Includes) == 0, 0)
	})
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() error { return c.work(ctx) })
	}
	if err = all.Wait(); err == nil {
		err = c.resolve()
	}
	for _, d := range c.doubts {
		d.dir.release()
	}
	for _, g := range c.groups { // after an error
		for _, e := range g.waiting {
			e.dir.release()
		}
	}
	return err
}
