package repository

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// Snapshot is one of a repository.
type Snapshot struct {
	ID    string // 64 hex digits
	Time  time.Time
	Host  string
	Paths []string

	// How many files the backup counted, and their bytes, in all of its paths and with
	// every name of a file. restic before 0.17 did not keep it: then Counted is false.
	Files, Bytes int64
	Counted      bool
}

// Short returns the ID as people see it.
func (s *Snapshot) Short() string { return s.ID[:8] }

// Touches reports whether a path, what is above it, or something below it was
// backed up.
func (s *Snapshot) Touches(path string) bool {
	return slices.ContainsFunc(s.Paths, func(p string) bool { return IsWithin(p, path) || IsWithin(path, p) })
}

// IsWithin reports whether an absolute path is a directory, or below it.
func IsWithin(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// Filter picks snapshots; the zero value picks all.
type Filter struct {
	Host string // of this host alone
	Path string // that were made of this path, among others
}

func (f Filter) picks(s *reader.Snapshot) bool {
	return (f.Host == "" || s.Host == f.Host) && (f.Path == "" || slices.Contains(s.Paths, f.Path))
}

// Snapshots returns those of a filter, the oldest first. One that is damaged is left
// out, and Unreadable is told of it; all of them are an error.
func (repo *Repository) Snapshots(ctx context.Context, f Filter) ([]Snapshot, error) {
	opened, err := repo.unlock(ctx)
	if err != nil {
		return nil, err
	}
	ids, err := opened.Snapshots()
	if err != nil {
		return nil, repo.unread(ctx, err)
	}
	var list []Snapshot
	var broken error
	read := 0
	for _, id := range ids {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		s, err := opened.Snapshot(id)
		switch {
		case err == nil:
			if read++; f.picks(s) {
				list = append(list, snapshotOf(s))
			}
		case firstboot.CodeOf(err) == firstboot.CodeDamaged:
			broken = err
			repo.leaveOut(err)
		default:
			return nil, repo.unread(ctx, err)
		}
	}
	if read == 0 && broken != nil {
		return nil, repo.unread(ctx, broken)
	}
	slices.SortStableFunc(list, func(a, b Snapshot) int { return a.Time.Compare(b.Time) })
	return list, nil
}

// leaveOut tells of a snapshot that is damaged.
func (repo *Repository) leaveOut(err error) {
	if repo.Unreadable != nil {
		repo.Unreadable(fmt.Sprintf("repository %s: a snapshot is left out: %v", repo.Names.Repository, err))
	}
}

func snapshotOf(s *reader.Snapshot) Snapshot {
	made := Snapshot{ID: s.ID.String(), Time: s.Time, Host: s.Host, Paths: s.Paths, Counted: s.Summary != nil}
	if made.Counted {
		made.Files, made.Bytes = added(0, s.Summary.Files), added(0, s.Summary.Bytes)
	}
	return made
}

// Newest returns the newest snapshot of a host and path, or a CodeNoSnapshot that
// names what there is. Its time is that of the clock of who made it; the clock
// here is not asked, which in a first boot may be in 1970.
func (repo *Repository) Newest(ctx context.Context, want Filter) (Snapshot, error) {
	list, err := repo.Snapshots(ctx, want)
	if err != nil {
		return Snapshot{}, err
	}
	if len(list) == 0 {
		return Snapshot{}, repo.none(ctx, want)
	}
	return Newest(list), nil
}

// Newest returns the last of those of the latest time; a list has at least one.
func Newest(list []Snapshot) (latest Snapshot) {
	for i, s := range list {
		if i == 0 || !s.Time.Before(latest.Time) {
			latest = s
		}
	}
	return latest
}

// none says that there is no snapshot, and of what there are some.
func (repo *Repository) none(ctx context.Context, want Filter) error {
	list, err := repo.Snapshots(ctx, Filter{})
	if err != nil {
		return err
	}
	var others []string
	for _, s := range list {
		for _, p := range s.Paths {
			others = append(others, Printable(s.Host+":"+p))
		}
	}
	slices.Sort(others)
	others = slices.Compact(others)
	has := "it is empty"
	if len(others) > 0 {
		has = "it has those of " + Listed(others)
	}
	return firstboot.NewProblem(firstboot.CodeNoSnapshot, repo.NoneHint, "repository %s: no snapshot of %s:%s: %s", repo.Names.Repository, want.Host, want.Path, has)
}

// IsID reports whether a text is the whole ID of a snapshot, as restic has it.
func IsID(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 64
}

// Has reports whether a snapshot is in the repository. restic's list leaves out
// what it cannot read, so the file is looked for: "snapshots/ID", see
// "Repository Layout" in restic's design document.
func (repo *Repository) Has(id string) (bool, error) {
	_, err := os.Lstat(filepath.Join(repo.Dir, "snapshots", id))
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, firstboot.NewProblem(firstboot.CodeDisk, repo.Again, "backup disk: %w", plain(err))
	}
	return false, repo.Exists()
}

// Exists is a CodeNoRepository where there is none. It takes no password.
func (repo *Repository) Exists() error {
	_, err := os.Lstat(filepath.Join(repo.Dir, "config"))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return firstboot.NewProblem(firstboot.CodeNoRepository, "", "backup disk %s has no repository of restic in %s", repo.Disk, repo.Names.Repository)
	}
	return firstboot.NewProblem(firstboot.CodeDisk, repo.Again, "backup disk: %w", plain(err))
}

// plain is err without the name of a system call.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return err
}
