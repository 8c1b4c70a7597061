package disks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	btrfs "github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	fat "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
)

// lookIntoBtrfs finds subvolumes, restic repositories and a sleeping session. A
// file system that is damaged, or has several devices, is described as far as it
// could be read.
func lookIntoBtrfs(ctx context.Context, p *probe, c *Content) {
	found := *c
	err := btrfs.Retry(func() (*btrfs.FS, error) {
		found = *c
		f, err := btrfs.Open(p.r, p.size)
		if err != nil {
			return nil, err
		}
		return f, found.readBtrfs(ctx, f)
	})
	if err != nil {
		found.Problem = err.Error()
	}
	*c = found
}

func (c *Content) readBtrfs(ctx context.Context, f *btrfs.FS) error {
	list, err := f.Subvolumes()
	if err != nil {
		return err
	}
	nested := map[string]bool{}
	for _, s := range list {
		c.Subvolumes = append(c.Subvolumes, s.Path)
		nested[s.Path] = true
	}
	var errs []error
	budget := maxDirectories
	for _, sub := range append([]btrfs.Subvolume{{ID: ondisk.FSTree}}, list...) {
		v, err := f.VolumeByID(sub.ID)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if hibernated(v) {
			c.Hibernated = true
		}
		s := repositorySearch{ctx: ctx, files: v, budget: &budget, elsewhere: func(name string) bool { return nested[path.Join(sub.Path, name)] }}
		if err := s.run(); err != nil {
			errs = append(errs, fmt.Errorf("subvolume /%s: %w", sub.Path, err))
		}
		for _, name := range s.found {
			c.Repositories = append(c.Repositories, path.Join(sub.Path, name))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errors.Join(errs...)
}

// swapfile is the name that swapfiles have, in our layouts and by habit.
const swapfile = "swapfile"

// hibernated reports whether a session sleeps in the swapfile in the top
// directory of a subvolume.
func hibernated(files fs.FS) bool {
	f, err := files.Open(swapfile)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	page := make([]byte, swaparea.PageSize)
	if _, err := io.ReadFull(f, page); err != nil {
		return false
	}
	return swaparea.Hibernated(page)
}

// lookIntoFAT finds restic repositories. FAT12 and FAT16 are not read.
func lookIntoFAT(ctx context.Context, p *probe, c *Content) {
	if s, ok := shapeOfFAT(p); !ok || s.kind != 32 {
		return
	}
	f, err := fat.Open(p.r, p.size)
	if err != nil {
		c.Problem = err.Error()
		return
	}
	budget := maxDirectories
	s := repositorySearch{ctx: ctx, files: f, budget: &budget, elsewhere: func(string) bool { return false }}
	if err := s.run(); err != nil {
		c.Problem = err.Error()
	}
	c.Repositories = s.found
}

// Bounds of the search for repositories.
const (
	maxDepth       = 3     // directories below the top
	maxInOne       = 2000  // directories that are looked at in one subvolume, the upper ones first
	maxDirectories = 20000 // in all subvolumes of a file system
)

// systemDirs are directories at the top of a system that are large and hold no
// backups of anybody.
var systemDirs = []string{"nix", "usr", "proc", "sys", "dev", "run", "bin", "lib", "sbin"}

// repositoryParts are what makes a directory a restic repository, the rarest
// first.
var repositoryParts = []string{"snapshots", "config", "keys", "index", "data"}

// repositorySearch looks for restic repositories in a file system, level by
// level.
type repositorySearch struct {
	ctx       context.Context
	files     fs.FS
	budget    *int                   // directories that may still be looked at
	elsewhere func(name string) bool // is looked into on its own
	found     []string
	errs      []error
}

// run searches. What it could not read does not end it.
func (s *repositorySearch) run() error {
	level, seen := []string{"."}, 0
	for depth := 0; len(level) > 0; depth++ {
		var next []string
		for _, dir := range level {
			if err := s.ctx.Err(); err != nil {
				return err
			}
			if seen++; seen > maxInOne || *s.budget == 0 {
				s.errs = append(s.errs, fmt.Errorf("more than %d directories: restic repositories were looked for in these alone", seen-1))
				return errors.Join(s.errs...)
			}
			*s.budget--
			switch {
			case s.isRepository(dir):
				s.found = append(s.found, dir)
			case depth < maxDepth:
				next = append(next, s.below(dir)...)
			}
		}
		level = next
	}
	return errors.Join(s.errs...)
}

// isRepository reports whether a directory is a restic repository (restic's
// doc/design.rst, Repository Layout).
func (s *repositorySearch) isRepository(dir string) bool {
	for _, name := range repositoryParts {
		info, err := fs.Stat(s.files, path.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.errs = append(s.errs, err)
		}
		if err != nil || info.IsDir() == (name == "config") {
			return false
		}
	}
	return true
}

// below returns the directories in a directory that are to be searched.
func (s *repositorySearch) below(dir string) []string {
	entries, err := fs.ReadDir(s.files, dir)
	if err != nil {
		s.errs = append(s.errs, err)
	}
	var list []string
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() && !s.elsewhere(name) && !slices.Contains(systemDirs, name) {
			list = append(list, name)
		}
	}
	return list
}
