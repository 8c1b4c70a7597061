// Package backup is what a person does with a backup in the rescue environment:
// looks which snapshots there are, looks into them, copies files out, and brings
// a home back. The backup is a repository of restic on a disk that is mounted; of
// snapshots of btrfs, which a disk may have besides, files are copied out too.
//
// Nothing is replaced: files are copied into a directory that is new or empty,
// and the home is filled by package installer/firstboot/restore, which puts the
// backup beside what is there. A directory has its name once all is in it, on its
// disk and compared; until then it is called ".incomplete-…" behind that.
//
// What it does not do: it mounts nothing, writes to no backup, chooses no disk,
// and does not look whether the system that it is given hibernates: who mounts
// that has refused it. Errors of the repository are of *firstboot.Problem, all
// others of *fault.Error.
package backup

import (
	"bytes"
	"cmp"
	"context"
	"path"
	"path/filepath"
	"slices"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// Place is where a repository lies.
type Place struct {
	Program    string // restic, for Check
	Dir        string // where its disk is mounted, best read-only
	Repository string // its directory, from the top of the disk
	Disk       string // what errors call the disk, such as "LABEL=backup"; "" is Dir
	Again      string // what hints tell to type, to do once more what failed

	Unreadable func(line string) // is told of each snapshot that is damaged, once; nil tells nobody
}

// Backup is a repository that its password has opened.
type Backup struct {
	repo   *repository.Repository
	forget func()
}

// Open opens a repository. The password stays in memory until Close. Errors are
// CodeNoRepository, CodePassword, CodeDisk and CodeDamaged among others.
func Open(ctx context.Context, p Place, password []byte) (*Backup, error) {
	repo := &repository.Repository{
		Program: p.Program,
		Dir:     filepath.Join(p.Dir, path.Join("/", p.Repository)),
		Names: repository.Names{
			Disk: cmp.Or(p.Disk, p.Dir), Repository: p.Repository, Password: "what was typed", PasswordHint: "type the password again",
			NoneHint: "choose another host", Again: p.Again,
		},
		Unreadable: once(p.Unreadable),
	}
	if err := repo.Exists(); err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(password)) == 0 { // restic takes none
		return nil, firstboot.NewProblem(firstboot.CodePassword, repo.PasswordHint, "repository %s: the password is empty", p.Repository)
	}
	file, forget, err := repository.Hold(password)
	if err != nil {
		return nil, err
	}
	repo.PasswordFile = file
	b := &Backup{repo: repo, forget: forget}
	if _, err := b.Snapshots(ctx, repository.Filter{}); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// once returns a function that tells a line when it comes first: snapshots are listed
// more than once.
func once(tell func(line string)) func(line string) {
	told := map[string]bool{}
	return func(line string) {
		if tell != nil && !told[line] {
			told[line] = true
			tell(line)
		}
	}
}

// Close forgets the password.
func (b *Backup) Close() { b.forget() }

// Snapshots returns what there is, the newest first. Those that are damaged are left
// out.
func (b *Backup) Snapshots(ctx context.Context, f repository.Filter) ([]repository.Snapshot, error) {
	list, err := b.repo.Snapshots(ctx, f)
	slices.Reverse(list)
	return list, err
}

// Check has restic check the repository, and read a sample of its data: a percentage
// from 1 to 100.
func (b *Backup) Check(ctx context.Context, percent int) (repository.Checked, error) {
	return b.repo.Check(ctx, percent)
}

// has is a CodeNoSnapshot where a snapshot is not there any more.
func (b *Backup) has(id string) error {
	if !repository.IsID(id) {
		return firstboot.NewProblem(firstboot.CodeNoSnapshot, "", "snapshot %q: expected an ID of 64 hex digits", id)
	}
	has, err := b.repo.Has(id)
	if err == nil && !has {
		err = firstboot.NewProblem(firstboot.CodeNoSnapshot, "choose another snapshot", "repository %s: snapshot %s is no longer there", b.repo.Names.Repository, id[:8])
	}
	return err
}
