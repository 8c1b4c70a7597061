package restore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

// Backup is the backup that a configuration restores from, looked at without a
// system to restore to: its disk is mounted so that nothing on it changes.
type Backup struct {
	run  *run
	repo *origin
	undo []func()
}

// Snapshot is what would be restored.
type Snapshot struct {
	ID    string
	Time  time.Time // by the clock of who made it
	Bytes int64     // of its files below the path; see Measure
	Files int64
}

// OpenBackup finds the backup disk of a configuration, and mounts it at a
// directory of its own unless it is mounted. where is its device, or a directory
// that has what is on it; "" looks for Restore.Disk below /dev/disk. restic, for Sample, is
// the program. Errors are of *firstboot.Problem, CodeNoDisk or CodeDisk, but for
// those of this system itself.
func OpenBackup(c *firstboot.Config, restic, where string) (*Backup, error) {
	s := System{Root: "/", Backup: "/nowhere", unchanged: true}
	s.setDefaults()
	b := &Backup{run: &run{System: s, c: c, path: c.Restore.Path}}
	dir, err := b.mount(where)
	if err != nil {
		b.Close()
		return nil, err
	}
	b.repo = b.run.open(dir)
	b.repo.Program = restic
	return b, nil
}

// mount returns the directory where the disk is mounted.
func (b *Backup) mount(where string) (string, error) {
	dev := device{}
	info, err := os.Stat(where)
	switch {
	case where == "":
		dev, err = b.run.findDevice()
	case err == nil && info.IsDir():
		return filepath.Abs(where)
	default:
		dev, err = deviceAt(where, where)
	}
	if err != nil {
		return "", err
	}
	// /run is memory: a mount point made there is gone with the machine.
	dir, err := os.MkdirTemp("/run", "mkimage-backup-")
	if err != nil {
		return "", err
	}
	b.run.Backup = dir
	b.undo = append(b.undo, func() { _ = os.Remove(dir) })
	at, undo, err := b.run.mountedDevice(dev)
	if err != nil {
		return "", err
	}
	b.undo = append(b.undo, undo)
	return at, nil
}

// Close unmounts what OpenBackup has mounted.
func (b *Backup) Close() {
	for len(b.undo) > 0 {
		b.undo[len(b.undo)-1]()
		b.undo = b.undo[:len(b.undo)-1]
	}
}

// Exists returns a *firstboot.Problem, CodeNoRepository, unless there is a
// repository. That takes no password.
func (b *Backup) Exists() error { return b.repo.Exists() }

// Unlock hands over the repository's password, and what undoes that. It is kept
// in memory, as a file that this process alone has.
func (b *Backup) Unlock(password []byte) error {
	file, forget, err := repository.Hold(password)
	if err != nil {
		return err
	}
	b.undo = append(b.undo, forget)
	b.repo.PasswordFile = file
	return nil
}

// Latest returns the snapshot that a restore would take, without its size. It
// opens the repository: errors are CodePassword and CodeNoSnapshot among others.
func (b *Backup) Latest(ctx context.Context) (Snapshot, error) {
	s, err := b.repo.choose(ctx)
	return Snapshot{ID: s.ID, Time: s.Time}, err
}

// Measure reads all that a snapshot says of its files and sets how many they
// are, and their bytes.
func (b *Backup) Measure(ctx context.Context, s *Snapshot) error {
	b.run.pin = &pin{Snapshot: s.ID, Path: b.run.c.Restore.Path, Staging: stagingPrefix + "proof"}
	err := b.repo.measure(ctx)
	s.Bytes, s.Files = b.run.pin.Bytes, b.run.pin.Files
	return err
}

// Needed returns how many bytes must be free for a restore of a snapshot that
// was measured.
func (s Snapshot) Needed() int64 { return needed(s.Bytes, s.Files, 0) }

// errSampled ends a sample.
var errSampled = errors.New("enough was read")

// Sample has restic compare the repository's list of packs with what is there,
// read all that says where data is, and then about so many bytes of data that
// chance picks. It ends early after a time: done says that it did not. The error
// is a *firstboot.Problem, CodeDamaged or CodeDisk among them.
func (b *Backup) Sample(ctx context.Context, bytes int64, most time.Duration) (done bool, err error) {
	limit, cancel := context.WithTimeoutCause(ctx, most, errSampled)
	defer cancel()
	err = b.repo.Sample(limit, bytes)
	if ctx.Err() == nil && errors.Is(err, errSampled) {
		return false, nil
	}
	return ctx.Err() == nil, err
}
