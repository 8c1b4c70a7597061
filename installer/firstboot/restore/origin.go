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

// open returns the repository on the disk that is mounted at dir. The password
// is read by restic and by the proof alone.
func (r *run) open(dir string) *origin {
	return &origin{run: r, Repository: &repository.Repository{
		Program:      r.Restic,
		Dir:          filepath.Join(dir, path.Join("/", r.c.Restore.Repository)),
		PasswordFile: r.passwordFile(),
		Names: repository.Names{
			Disk: r.c.Restore.Disk, Repository: r.c.Restore.Repository, Again: again,
			Password: "the secret " + r.c.Restore.Password, PasswordHint: "mkimage keys check PROFILE --repository DIR",
			NoneHint: "name the host in the profile: restore = {host = …}",
		},
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
	o.run.pin.counted(sum)
	o.run.measured = true
	return nil
}

// counted takes over how much restic found in the snapshot.
func (p *pin) counted(sum repository.Line) {
	p.Bytes, p.Files = int64(min(sum.TotalBytes+sum.BytesSkipped, 1<<62)), int64(min(sum.TotalFiles+sum.FilesSkipped, 1<<62))
}

// restore brings all that is missing or wrong from the repository.
func (o *origin) restore(ctx context.Context) error {
	r := o.run
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	m := r.meter(StageRestore)
	said := &repository.Complaints{}
	watch := &watch{run: r, meter: m, said: said, stop: stop}
	var sum repository.Line
	err := o.Restore(ctx, r.restoring(), said, func(l repository.Line) {
		// While restic reads names, it knows of less than there is.
		found := int64(min(l.TotalBytes+l.BytesSkipped, 1<<62))
		m.progress.Total = max(m.progress.Total, found)
		if l.MessageType == "summary" {
			sum, m.progress.Total = l, found
		}
		m.set(int64(min(l.BytesRestored+l.BytesSkipped, 1<<62)), int64(min(l.FilesRestored+l.FilesSkipped, 1<<62)))
		watch.look()
	})
	if err != nil {
		return firstboot.Located(path.Join(r.c.Restore.Path, r.pin.Staging)+" has what could be restored", err)
	}
	if last := said.Last(); last != "" {
		r.Log("restic: " + last)
	}
	if sum.MessageType == "" {
		return firstboot.NewProblem(firstboot.CodeIncomplete, r.again(), "%s: restic does not say how much it restored", r.c.Restore.Path)
	}
	r.pin.counted(sum)
	return nil
}

// verify proves that the staging directory equals the snapshot.
func (o *origin) verify(ctx context.Context) error {
	r := o.run
	if err := r.DropCaches(); err != nil {
		r.Log(fmt.Sprintf("what was restored may be read from memory, not from the disk, to compare it: %v", err))
	}
	verdict, err := o.Verify(ctx, repository.Proof{
		Restoring: r.restoring(), Name: r.c.Restore.Path, Files: r.pin.Files, Progress: r.meter(StageVerify).set,
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
