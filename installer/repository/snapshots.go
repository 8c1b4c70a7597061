package repository

import (
	"context"
	"encoding/json"
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
)

// Snapshot is one of the list that restic prints: internal/restic/snapshot.go
// of restic.
type Snapshot struct {
	ID    string    `json:"id"`
	Time  time.Time `json:"time"`
	Host  string    `json:"hostname"`
	Paths []string  `json:"paths"`

	// Summary is what the backup counted, in all of its paths and with every name of
	// a file; restic before 0.17 did not keep it.
	Summary *struct {
		Files uint64 `json:"total_files_processed"`
		Bytes uint64 `json:"total_bytes_processed"`
	} `json:"summary"`
}

// Short returns the ID as people see it.
func (s *Snapshot) Short() string { return s.ID[:8] }

// Most returns how many bytes and files the snapshot has at most, if it says so.
func (s *Snapshot) Most() (bytes, files int64, ok bool) {
	if s.Summary == nil {
		return 0, 0, false
	}
	return int64(min(s.Summary.Bytes, 1<<62)), int64(min(s.Summary.Files, 1<<62)), true
}

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

// Snapshots returns those of a filter that restic can read, as it lists them.
func (repo *Repository) Snapshots(ctx context.Context, f Filter) ([]Snapshot, error) {
	args := []string{"snapshots"}
	if f.Host != "" {
		args = append(args, "--host="+f.Host)
	}
	if f.Path != "" {
		args = append(args, "--path="+f.Path)
	}
	out := limited{most: maxOutput}
	if err := repo.Command(ctx, &out, args...); err != nil {
		return nil, err
	}
	list, err := parseSnapshots(out.data)
	if err != nil {
		return nil, firstboot.NewProblem(firstboot.CodeDamaged, "", "repository %s: list of snapshots: %w", repo.Names.Repository, err)
	}
	return list, nil
}

// Newest returns the newest snapshot of a host and path, or a CodeNoSnapshot that
// names what there is. Its time is that of the clock of who made it; the clock
// here is not asked, which in a first boot may be in 1970. Of two of the same time
// it is the one that restic lists last.
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

func parseSnapshots(text []byte) ([]Snapshot, error) {
	var list []Snapshot
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	for _, s := range list {
		if !IsID(s.ID) {
			return nil, fmt.Errorf("ID %q, expected 64 hex digits", s.ID)
		}
	}
	return list, nil
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

// maxOutput bounds what is kept of the list of snapshots, in bytes.
const maxOutput = 64 << 20

// limited keeps what is written to it, up to a limit: more is an error.
type limited struct {
	data []byte
	most int
}

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if len(l.data)+len(p) > l.most {
		return 0, fmt.Errorf("more than %d bytes", l.most)
	}
	l.data = append(l.data, p...)
	return len(p), nil
}
