package repository

import (
	"context"
	"sync"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// session is a repository that was opened by its password, for all that is asked of
// it: the password is worth half a second of a processor each time.
type session struct {
	mu     sync.Mutex
	opened *reader.Repository
}

// unlock opens the repository, once.
func (repo *Repository) unlock(ctx context.Context) (*reader.Repository, error) {
	repo.session.mu.Lock()
	defer repo.session.mu.Unlock()
	if repo.session.opened != nil {
		return repo.session.opened, nil
	}
	password, err := readPassword(repo.PasswordFile)
	if err != nil {
		return nil, err
	}
	defer clear(password)
	opened, err := reader.Open(ctx, repo.Dir, password)
	if err != nil {
		return nil, repo.unread(ctx, err)
	}
	repo.session.opened = opened
	return opened, nil
}

// open unlocks the repository, with its index.
func (repo *Repository) open(ctx context.Context) (*reader.Repository, error) {
	opened, err := repo.unlock(ctx)
	if err != nil {
		return nil, err
	}
	if err := opened.ReadIndex(ctx); err != nil {
		return nil, repo.unread(ctx, err)
	}
	return opened, nil
}

// tree returns the tree of a directory of a snapshot.
func (repo *Repository) tree(ctx context.Context, snapshot, dir string) (*reader.Repository, reader.ID, error) {
	id, err := reader.ParseID(snapshot)
	if err != nil {
		return nil, id, err
	}
	opened, err := repo.open(ctx)
	if err != nil {
		return nil, id, err
	}
	s, err := opened.Snapshot(id)
	if err == nil {
		id, err = opened.Directory(*s.Tree, dir)
	}
	if err != nil {
		return nil, id, repo.unread(ctx, err)
	}
	return opened, id, nil
}

// unread says of an error of the reader which repository it is of, and what to do
// about it. One of the context is that.
func (repo *Repository) unread(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	where := repo.Names.Repository
	switch code := firstboot.CodeOf(err); code { // 0 is also that of no error
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
