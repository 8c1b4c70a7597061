// Package restore fills a directory such as /home from a repository of restic
// on a backup disk, once.
//
// The backup is restored into a staging directory beside what is there, synced,
// read again and compared with the snapshot, and only then renamed to its
// place. So a power cut at any instant leaves either nothing or all of a
// directory at its name, and data that is there already is neither changed nor
// replaced: the backup then stays beside it. What was begun is written down in
// a file of the state directory, and a later run goes on from there, with the
// same snapshot.
//
// After a power cut a file may look right and hold zeros. This is why a restore that
// is resumed reads what is there.
//
// What it does not do: it decrypts no secrets, draws nothing on a console, and
// never writes to the backup disk.
package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// System is where a restore finds what it needs, and whom it tells. The zero
// value is the running system, and tells nobody.
type System struct {
	Root    string // of all paths of the Config and of the defaults here; "" is /
	Secrets string // the directory of decrypted secrets; "" is /run/secrets
	Skel    string // what a new home has in it; "" is /etc/skel
	Backup  string // where the disk is mounted; "" is firstboot.BackupDir

	// Repository is one that is open already: then no disk is looked for, and what
	// the Config says of disk, repository and password is not read. nil takes these.
	Repository *repository.Repository

	// Snapshot is the whole ID of the one to restore, of whatever host, though a
	// restore was finished before, or of another begun; "" goes on with what was
	// begun, or takes the newest of the Config's host and path.
	Snapshot string

	// AnySize tries what may not fit: how much of a file is holes, which take no
	// room, a repository does not tell.
	AnySize bool

	Progress func(Progress)    // at most once a second
	Log      func(line string) // what a person should know, in plain sentences
	Now      func() time.Time  // nil is time.Now

	// DropCaches makes the kernel forget what it holds of files, so that the
	// comparison reads the disk. nil writes to /proc/sys/vm/drop_caches.
	DropCaches func() error

	unchanged bool // the backup disk is mounted so that not even its journal is replayed

	cut func(after string) error // tests end a run with it
}

func (s *System) setDefaults() {
	s.Root = cmp.Or(s.Root, "/")
	s.Secrets = cmp.Or(s.Secrets, filepath.Join(s.Root, "run/secrets"))
	s.Skel = cmp.Or(s.Skel, filepath.Join(s.Root, "etc/skel"))
	s.Backup = cmp.Or(s.Backup, filepath.Join(s.Root, firstboot.BackupDir))
	if s.Progress == nil {
		s.Progress = func(Progress) {}
	}
	if s.Log == nil {
		s.Log = func(string) {}
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.DropCaches == nil {
		s.DropCaches = dropCaches
	}
	if s.cut == nil {
		s.cut = func(string) error { return nil }
	}
}

// dropCaches drops names and inodes with what files have: of those, too, the disk
// is what counts.
func dropCaches() error { return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0o200) }

// run is one run of a restore.
type run struct {
	System
	c      *firstboot.Config
	files  durable.FS
	path   string   // where it goes: Root and the path of the Config
	target *os.File // path, locked; syncfs(2) reports on it what was not written since it was opened
	pin    *pin

	measured bool // the numbers of the pin are right, not the most that they may be
}

// Run restores what the configuration asks for, or goes on with it, or returns
// at once when it is done. It records in the journal that it is done; how it
// failed the caller does. Errors are of *firstboot.Problem, but those of a
// cancelled context and of the system's own disk.
//
// CodeNotPristine is returned after all else was done, and again by later runs
// until the backup that lies beside is moved or removed.
func Run(ctx context.Context, c *firstboot.Config, s System) (err error) {
	if c.Restore == nil {
		return nil
	}
	s.setDefaults()
	r := &run{System: s, c: c, files: durable.OS(s.Root), path: filepath.Join(s.Root, c.Restore.Path)}
	if err := r.readPin(); err != nil {
		return err
	}
	if r.finished() {
		return r.conclude()
	}
	if err := r.lock(); err != nil {
		return err
	}
	defer func() { err = r.ended(errors.Join(err, r.target.Close())) }()
	if err := r.readPin(); err != nil { // another run may have ended since
		return err
	}
	if r.finished() {
		return r.conclude()
	}
	if r.pin != nil && r.pin.Phase == phasePlacing && r.isLost() {
		r.Log(fmt.Sprintf("%s: what an earlier run has restored is not there any more: it begins anew", r.c.Restore.Path))
		r.pin = nil
	}
	if r.pin != nil && r.pin.Phase == phasePlacing && r.isOther() {
		r.Log(fmt.Sprintf("%s: snapshot %s was being put to its place, which is finished first", r.c.Restore.Path, r.pin.short()))
		if err := r.complete(); err != nil {
			return err
		}
		r.pin = nil
	}
	if r.pin == nil || r.pin.Phase == phaseRestoring {
		if err := r.fill(ctx); err != nil {
			return err
		}
	}
	if err := r.complete(); err != nil {
		return err
	}
	return r.conclude()
}

// again is the hint for what a person has to repair first.
func (r *run) again() string {
	if r.Repository != nil {
		return r.Repository.Again
	}
	return again
}

// isOther reports whether a snapshot was begun that is not the one to restore.
func (r *run) isOther() bool {
	return r.Snapshot != "" && r.pin != nil && r.pin.Snapshot != r.Snapshot
}

// ended returns the error of a run, as a CodeSpace where the disk of the system
// is full.
func (r *run) ended(err error) error {
	if firstboot.CodeOf(err) == 0 && (errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)) {
		return firstboot.NewProblem(firstboot.CodeSpace, repository.IncompleteHint(firstboot.CodeSpace, r.again()), "%w", err)
	}
	return err
}

// lock opens the directory, makes it if it is missing, and keeps other runs
// out.
func (r *run) lock() error {
	if err := durable.MkdirAll(r.files, r.c.Restore.Path, 0o755); err != nil {
		return err
	}
	f, err := os.Open(r.path)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = firstboot.NewProblem(firstboot.CodeLocked, "journalctl -fu mkimage-restore.service", "%s: is being restored by another process", r.c.Restore.Path)
		}
		return errors.Join(err, f.Close())
	}
	r.target = f
	return nil
}

// sync returns when all that was written to the file system is on the disk.
func (r *run) sync() error {
	if err := unix.Syncfs(int(r.target.Fd())); err != nil {
		return fmt.Errorf("%s: cannot be written to its disk: %w", r.c.Restore.Path, err)
	}
	return nil
}

// complete does all that comes after the backup lies complete in the staging
// directory. It needs no backup disk.
func (r *run) complete() error {
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"placed", r.place},
		{"homes", r.homes},
		{"top", r.top},
		{"staging", r.removeStaging},
		{"snapshot", r.snapshot},
	} {
		if err := step.do(); err != nil {
			return err
		}
		if err := r.cut(step.name); err != nil {
			return err
		}
	}
	return r.turn(phaseDone)
}

// top makes the directory itself what systems have: its own owner and mode are not
// restored.
func (r *run) top() error {
	return durable.Repair(r.files, r.c.Restore.Path, 0o755)
}

// conclude says how a restore ended whose pin is done, and records it.
func (r *run) conclude() error {
	if err := r.beside(); err != nil {
		return err
	}
	state, err := firstboot.ReadState(r.files)
	if err != nil {
		return err
	}
	last, ok := state.Last(firstboot.StepRestore)
	if ok && last.Result == firstboot.Done && last.Image == r.c.Image {
		return nil
	}
	return state.Record(r.files, firstboot.Step{
		Name: firstboot.StepRestore, Result: firstboot.Done, At: r.Now(), Image: r.c.Image,
		Message: fmt.Sprintf("%s is restored from snapshot %s of %s", r.c.Restore.Path, r.pin.short(), r.pin.Time.Format(time.RFC3339)),
	})
}
