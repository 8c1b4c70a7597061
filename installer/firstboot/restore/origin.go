package restore

import (
	"context"
	"fmt"
	"path"
	"path/filepath"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// origin is the repository that a run restores from.
type origin struct {
	*repository.Repository
	run *run
}

// open returns the repository on the disk that is mounted at dir.
func (r *run) open(dir string) *origin {
	return &origin{run: r, Repository: &repository.Repository{
		Dir:          filepath.Join(dir, path.Join("/", r.c.Restore.Repository)),
		PasswordFile: r.passwordFile(),
		Names: repository.Names{
			Disk: r.c.Restore.Disk, Repository: r.c.Restore.Repository, Again: again,
			Password: "the secret " + r.c.Restore.Password, PasswordHint: "mkimage keys check PROFILE --repository DIR",
			NoneHint: "name the host in the profile: restore = {host = …}",
		},
		Unreadable: r.Log,
	}}
}

func (r *run) passwordFile() string {
	return filepath.Join(r.Secrets, path.Join("/", r.c.Restore.Password))
}

// choose returns the snapshot that is asked for, or the newest of the host and
// path.
func (o *origin) choose(ctx context.Context) (repository.Snapshot, error) {
	if o.run.Snapshot != "" {
		return o.chosen(ctx)
	}
	return o.Newest(ctx, repository.Filter{Host: o.run.c.Restore.Host, Path: o.run.c.Restore.Path})
}

// chosen returns the snapshot that is asked for. It may be of another host.
func (o *origin) chosen(ctx context.Context) (repository.Snapshot, error) {
	id, want := o.run.Snapshot, o.run.c.Restore.Path
	list, err := o.Snapshots(ctx, repository.Filter{})
	if err != nil {
		return repository.Snapshot{}, err
	}
	for _, s := range list {
		if s.ID != id {
			continue
		}
		if !s.Touches(want) {
			return s, firstboot.NewProblem(firstboot.CodeNoSnapshot, "", "snapshot %s: has nothing of %s, but of %s", s.Short(), want, repository.Printable(repository.Listed(s.Paths)))
		}
		return s, nil
	}
	return repository.Snapshot{}, firstboot.NewProblem(firstboot.CodeNoSnapshot, "", "repository %s: no snapshot %.8s, or none that can be read", o.Names.Repository, id)
}

// restoring is the restore into the staging directory.
func (r *run) restoring() repository.Restoring {
	return repository.Restoring{Snapshot: r.pin.Snapshot, From: r.pin.Path, To: r.staging()}
}

// measure asks how much is to be restored.
func (o *origin) measure(ctx context.Context) error {
	sum, err := o.Measure(ctx, o.run.restoring())
	if err != nil {
		return err
	}
	o.run.pin.Bytes, o.run.pin.Files = sum.Bytes, sum.Files
	o.run.measured = true
	return nil
}

// restore brings all that is missing or wrong from the repository, unless the disk of
// the system is about to be full.
func (o *origin) restore(ctx context.Context) error {
	r := o.run
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	m := r.meter(StageRestore)
	sum, err := o.Restore(ctx, r.restoring(), func(done repository.Counts) {
		if m.set(done.Bytes, done.Files) {
			if err := r.isFilling(); err != nil {
				stop(err)
			}
		}
	})
	if err != nil {
		return firstboot.Located(path.Join(r.c.Restore.Path, r.pin.Staging)+" has what could be restored", err)
	}
	r.pin.Bytes, r.pin.Files = sum.Bytes, sum.Files
	return nil
}

// isFilling is a CodeSpace where others fill the disk meanwhile: a system whose disk is
// full to its last byte does not start.
func (r *run) isFilling() error {
	free, err := r.free()
	if err != nil || free >= leastMargin/4 {
		return nil
	}
	return firstboot.NewProblem(firstboot.CodeSpace, repository.IncompleteHint(firstboot.CodeSpace, r.again()), "%d MiB are free, and not all is restored", free>>20)
}

// verify proves that the staging directory equals the snapshot.
func (o *origin) verify(ctx context.Context) error {
	r := o.run
	if err := r.DropCaches(); err != nil {
		r.Log(fmt.Sprintf("what was restored may be read from memory, not from the disk, to compare it: %v", err))
	}
	m := r.meter(StageVerify)
	verdict, err := o.Verify(ctx, repository.Proof{
		Restoring: r.restoring(), Name: r.c.Restore.Path, Files: r.pin.Files, Progress: func(bytes, files int64) { m.set(bytes, files) },
	})
	if err != nil {
		return err
	}
	for _, line := range verdict.Warnings(r.c.Restore.Path) {
		r.Log(line)
	}
	if verdict.Wrong == 0 {
		return nil
	}
	return firstboot.NewProblem(firstboot.CodeIncomplete, "look at dmesg for errors of the disk, then: "+r.again(),
		"%s: %d entries on the disk are not as in the snapshot: %s", r.c.Restore.Path, verdict.Wrong, repository.Listed(verdict.First))
}
