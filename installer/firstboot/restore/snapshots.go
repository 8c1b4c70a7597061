package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// snapshotInfo is one of the list that restic prints: internal/restic/snapshot.go
// of restic.
type snapshotInfo struct {
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

// most returns how many bytes and files the snapshot has at most, if it says so.
func (s *snapshotInfo) most() (bytes, files int64, ok bool) {
	if s.Summary == nil {
		return 0, 0, false
	}
	return int64(min(s.Summary.Bytes, 1<<62)), int64(min(s.Summary.Files, 1<<62)), true
}

// choose returns the newest snapshot of the host and path. Its time is that of
// the clock of who made it; the clock here is not asked, which in a first boot
// may be in 1970. Of two of the same time it is the one that restic lists last.
func (repo *repository) choose(ctx context.Context) (snapshotInfo, error) {
	want := repo.run.c.Restore
	list, err := repo.snapshots(ctx, "--host="+want.Host, "--path="+want.Path)
	if err != nil {
		return snapshotInfo{}, err
	}
	if len(list) == 0 {
		return snapshotInfo{}, repo.none(ctx)
	}
	return newest(list), nil
}

// newest returns the last of those of the latest time.
func newest(list []snapshotInfo) (latest snapshotInfo) {
	for i, s := range list {
		if i == 0 || !s.Time.Before(latest.Time) {
			latest = s
		}
	}
	return latest
}

// none says that there is no snapshot, and of what there are some.
func (repo *repository) none(ctx context.Context) error {
	want := repo.run.c.Restore
	list, err := repo.snapshots(ctx)
	if err != nil {
		return err
	}
	var others []string
	for _, s := range list {
		for _, p := range s.Paths {
			others = append(others, printable(s.Host+":"+p))
		}
	}
	slices.Sort(others)
	others = slices.Compact(others)
	has := "it is empty"
	if len(others) > 0 {
		has = "it has those of " + listed(others)
	}
	return firstboot.NewProblem(firstboot.CodeNoSnapshot, "name the host in the profile: restore = {host = …}", "repository %s: no snapshot of %s:%s: %s", want.Repository, want.Host, want.Path, has)
}

func (repo *repository) snapshots(ctx context.Context, args ...string) ([]snapshotInfo, error) {
	out := limited{most: maxOutput}
	if err := repo.command(ctx, &out, append([]string{"snapshots"}, args...)...); err != nil {
		return nil, err
	}
	list, err := parseSnapshots(out.data)
	if err != nil {
		return nil, firstboot.NewProblem(firstboot.CodeDamaged, "", "repository %s: list of snapshots: %w", repo.run.c.Restore.Repository, err)
	}
	return list, nil
}

func parseSnapshots(text []byte) ([]snapshotInfo, error) {
	var list []snapshotInfo
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	for _, s := range list {
		if !isID(s.ID) {
			return nil, fmt.Errorf("ID %q, expected 64 hex digits", s.ID)
		}
	}
	return list, nil
}

// has reports whether a snapshot is in the repository still. restic's list
// leaves out what it cannot read, so the file is looked for: "snapshots/ID", see
// "Repository Layout" in restic's design document.
func (repo *repository) has(id string) (bool, error) {
	_, err := os.Lstat(filepath.Join(repo.dir, "snapshots", id))
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, firstboot.NewProblem(firstboot.CodeDisk, again, "backup disk: %w", plain(err))
	}
	return false, repo.exists()
}

// exists is a CodeNoRepository where there is none.
func (repo *repository) exists() error {
	_, err := os.Lstat(filepath.Join(repo.dir, "config"))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return firstboot.NewProblem(firstboot.CodeNoRepository, "", "backup disk %s has no repository of restic in %s", repo.run.c.Restore.Disk, repo.run.c.Restore.Repository)
	}
	return firstboot.NewProblem(firstboot.CodeDisk, again, "backup disk: %w", plain(err))
}

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
