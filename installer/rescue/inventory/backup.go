package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	btrfs "github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	fat "github.com/6FaNcY9/mkimage/builder/esp/reader"
)

// Backup is a file system that has repositories of restic, or that the host's profile
// names for backups. Of other types than btrfs and FAT32 the repositories are not known.
type Backup struct {
	Place
	Type         string       `json:"type"`
	Label        string       `json:"label,omitempty"`
	UUID         string       `json:"uuid,omitempty"`
	Wanted       []string     `json:"wanted,omitempty"` // what the host's profile names it for: "restore", "backup NAME"
	Repositories []Repository `json:"repositories"`
}

// Repository is one of restic, as far as it can be told without its password.
type Repository struct {
	Path   string          `json:"path"`             // from the top of the file system
	Keys   []RepositoryKey `json:"keys"`             // whose passwords open it
	Files  int             `json:"files"`            // snapshots, by their files
	Newest time.Time       `json:"newest,omitzero"`  // when the youngest of these was written
	Opened *Contents       `json:"opened,omitempty"` // what its password has shown, nil without
	// Problem is why it, or what it holds, could not be read.
	Problem string `json:"problem,omitempty"`
}

// RepositoryKey is a key of a repository: restic has these in the clear but for the key
// itself (doc/design.rst of restic, Keys).
type RepositoryKey struct {
	Host    string    `json:"host,omitempty"`
	User    string    `json:"user,omitempty"`
	Created time.Time `json:"created,omitzero"`
}

// Contents is what the password of a repository shows.
type Contents struct {
	Version   int        `json:"version"`   // of its form, which stands in its encrypted configuration
	Snapshots []Snapshot `json:"snapshots"` // the newest of each host and each set of paths
}

// Snapshot is one of a repository.
type Snapshot struct {
	ID    string    `json:"id"`
	Time  time.Time `json:"time"`
	Host  string    `json:"host"`
	Paths []string  `json:"paths"`
}

// Opener opens a repository, which takes its password. It returns nil without
// an error where it has no password for it. An error is a Problem of the repository,
// unless ctx is over.
type Opener func(ctx context.Context, b Backup, r Repository) (*Contents, error)

const (
	maxKeys      = 32       // of a repository, that are read
	maxKey       = 64 << 10 // bytes of a key's file; restic's have 500
	maxSnapshots = 20_000   // of a repository, whose time is looked at
)

// repositories describes the repositories on a volume.
func (l *look) repositories(v *volume) {
	for _, c := range v.contents {
		if len(c.Repositories) == 0 {
			continue
		}
		b := Backup{Place: v.Place, Type: c.Type, Label: text(c.Label), UUID: c.UUID}
		files, err := l.files(v, c.Type)
		for _, name := range c.Repositories {
			r := Repository{Path: name, Keys: []RepositoryKey{}}
			if err != nil {
				r.Problem = text(err.Error())
			} else {
				r.read(files)
			}
			b.Repositories = append(b.Repositories, r)
			if r.Problem != "" {
				l.problems.add(Damage, v.String(), "restic check says what of the backup can be restored", "repository %s: %s", name, r.Problem)
			}
		}
		l.backups = append(l.backups, b)
	}
}

// files opens the file system of a volume.
func (l *look) files(v *volume, kind string) (fs.FS, error) {
	if kind == "vfat" {
		return fat.Open(l.section(v.Place), v.Size)
	}
	f, err := btrfs.Open(l.section(v.Place), v.Size)
	if err != nil {
		return nil, err
	}
	return f.Subvolume("")
}

// read reads what is in the clear.
func (r *Repository) read(files fs.FS) {
	if err := errors.Join(r.readKeys(files), r.readSnapshots(files)); err != nil {
		r.Problem = text(err.Error())
	}
}

func (r *Repository) readKeys(files fs.FS) error {
	dir := path.Join(r.Path, "keys")
	list, err := fs.ReadDir(files, dir)
	for _, e := range list[:min(len(list), maxKeys)] {
		if !e.Type().IsRegular() {
			continue
		}
		name := path.Join(dir, e.Name())
		data, readErr := readSmall(files, name, maxKey)
		if readErr != nil {
			err = errors.Join(err, readErr)
			continue
		}
		k, keyErr := parseKey(data)
		if keyErr != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", name, keyErr))
			continue
		}
		r.Keys = append(r.Keys, k)
	}
	return err
}

// readSmall reads a file of at most limit bytes.
func readSmall(files fs.FS, name string, limit int64) ([]byte, error) {
	info, err := fs.Stat(files, name)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s: %d bytes, expected at most %d", name, info.Size(), limit)
	}
	return fs.ReadFile(files, name)
}

// parseKey reads the file of a key. What restic has in it besides is left out.
func parseKey(data []byte) (RepositoryKey, error) {
	var k struct {
		Hostname string    `json:"hostname"`
		Username string    `json:"username"`
		Created  time.Time `json:"created"`
		KDF      string    `json:"kdf"`
	}
	if err := json.Unmarshal(data, &k); err != nil {
		return RepositoryKey{}, err
	}
	if k.KDF == "" {
		return RepositoryKey{}, errors.New("names no way from a password to a key, expected scrypt")
	}
	return RepositoryKey{Host: text(k.Hostname), User: text(k.Username), Created: k.Created.UTC()}, nil
}

// readSnapshots counts the snapshots. Restic writes the file of one once, at its end.
func (r *Repository) readSnapshots(files fs.FS) error {
	list, err := fs.ReadDir(files, path.Join(r.Path, "snapshots"))
	for i, e := range list {
		if !e.Type().IsRegular() {
			continue
		}
		if r.Files++; i >= maxSnapshots {
			continue
		}
		info, infoErr := e.Info()
		if infoErr != nil {
			err = errors.Join(err, infoErr)
			continue
		}
		if t := info.ModTime().UTC().Truncate(time.Second); t.After(r.Newest) {
			r.Newest = t
		}
	}
	return err
}

// openRepositories asks for what only passwords show.
func (inv *Inventory) openRepositories(ctx context.Context, open Opener) error {
	if open == nil {
		return nil
	}
	for i := range inv.Backups {
		b := &inv.Backups[i]
		for k := range b.Repositories {
			r := &b.Repositories[k]
			opened, err := open(ctx, *b, *r)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				r.Problem = text(err.Error())
				inv.Problems = append(inv.Problems, Problem{Severity: Damage, Object: b.String(), Text: fmt.Sprintf("repository %s: %s", r.Path, r.Problem), Means: "nothing can be restored from it as it is"})
				continue
			}
			r.Opened = opened
		}
	}
	return nil
}
