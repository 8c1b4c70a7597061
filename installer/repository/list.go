package repository

import (
	"context"
	"path"

	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// Lookup returns what a snapshot has at a path, or nil. The top of a snapshot is a
// directory of no name.
func (repo *Repository) Lookup(ctx context.Context, snapshot, at string) (*reader.Node, error) {
	opened, tree, err := repo.tree(ctx, snapshot, "")
	if err != nil {
		return nil, err
	}
	n, err := opened.Lookup(tree, path.Join("/", at))
	return n, repo.unread(ctx, err)
}

// List calls a function with each entry of a directory that Lookup has returned, sorted
// by name. It ends with the error of the function.
func (repo *Repository) List(ctx context.Context, dir *reader.Node, call func(*reader.Node) error) error {
	opened, err := repo.open(ctx)
	if err != nil {
		return err
	}
	for n, err := range opened.Nodes(*dir.Subtree) {
		if err != nil || ctx.Err() != nil {
			return repo.unread(ctx, err)
		}
		if err := call(n); err != nil {
			return err
		}
	}
	return nil
}
