package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// leastMargin is what must stay free on the disk beside what is restored, in
// bytes.
const leastMargin = 256 << 20

// fill brings the backup into the staging directory, complete and compared.
func (r *run) fill(ctx context.Context) error {
	repo, undo, err := r.connect()
	if err != nil {
		return err
	}
	defer undo()
	if err := repo.settle(ctx); err != nil {
		return err
	}
	if err := repo.fits(ctx); err != nil {
		return err
	}
	if err := r.makeStaging(); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"restored", func() error { return repo.restore(ctx) }},
		{"synced", r.sync},
		{"verified", func() error { return repo.verify(ctx) }},
	} {
		if err := step.do(); err != nil {
			return err
		}
		if err := r.cut(step.name); err != nil {
			return err
		}
	}
	if r.pin.Staged, err = r.inodes(); err != nil {
		return err
	}
	return r.turn(phasePlacing)
}

// connect returns the repository, and what undoes that.
func (r *run) connect() (repo *origin, undo func(), err error) {
	if r.Repository != nil {
		return &origin{Repository: r.Repository, run: r}, func() {}, nil
	}
	if err := r.checkPassword(); err != nil {
		return nil, nil, err
	}
	dir, undo, err := r.mounted()
	if err != nil {
		return nil, nil, err
	}
	return r.open(dir), undo, nil
}

// checkPassword looks whether the secret is there.
func (r *run) checkPassword() error {
	name := r.passwordFile()
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return firstboot.NewProblem(firstboot.CodeNotYet, "mkimage-firstboot import", "the secret %s, which opens the backup, is not decrypted yet: there is no %s", r.c.Restore.Password, name)
	}
	if err != nil {
		return plain(err)
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return firstboot.NewProblem(firstboot.CodePassword, "sops edit FILE", "the secret %s, which opens the backup, is empty", r.c.Restore.Password)
	}
	return nil
}

// settle sees to it that a snapshot is pinned that the repository has.
func (o *origin) settle(ctx context.Context) error {
	r := o.run
	switch {
	case r.isOther():
		r.Log(fmt.Sprintf("snapshot %s was begun, and another is asked for; what was restored of it stays in %s",
			r.pin.short(), path.Join(r.c.Restore.Path, r.pin.Staging)))
	case r.pin != nil:
		has, err := o.Has(r.pin.Snapshot)
		if err != nil {
			return err
		}
		if has {
			r.Log(fmt.Sprintf("%s: goes on with snapshot %s of %s", r.c.Restore.Path, r.pin.short(), r.pin.Time.Format(time.RFC3339)))
			return nil
		}
		taken := ": the newest is taken instead"
		if r.Snapshot != "" {
			taken = ""
		}
		r.Log(fmt.Sprintf("snapshot %s is no longer in the repository%s; what was restored of it stays in %s",
			r.pin.short(), taken, path.Join(r.c.Restore.Path, r.pin.Staging)))
	}
	snapshot, err := o.choose(ctx)
	if err != nil {
		return err
	}
	p := &pin{Version: pinVersion, Host: r.c.Restore.Host, Path: r.c.Restore.Path, Snapshot: snapshot.ID, Time: snapshot.Time}
	if p.Staging, err = r.newStaging(snapshot.ID); err != nil {
		return err
	}
	r.pin = p
	if p.Bytes, p.Files = snapshot.Bytes, snapshot.Files; !snapshot.Counted {
		if err := o.measure(ctx); err != nil {
			return err
		}
	}
	r.tellOthers()
	r.Log(fmt.Sprintf("%s: restores snapshot %s of %s", r.c.Restore.Path, p.short(), p.Time.Format(time.RFC3339)))
	return r.turn(phaseRestoring)
}

// tellOthers tells of the staging directories of other restores.
func (r *run) tellOthers() {
	names, err := r.files.List(r.c.Restore.Path)
	if err != nil {
		return // makeStaging will say
	}
	for _, name := range names {
		if strings.HasPrefix(name, stagingPrefix) && name != r.pin.Staging {
			r.Log(fmt.Sprintf("%s is of a restore that was not finished, and is left as it is", path.Join(r.c.Restore.Path, name)))
		}
	}
}

func (r *run) staging() string { return filepath.Join(r.path, r.pin.Staging) }

// fits is a CodeSpace when the file system lacks room for what is missing. What
// was removed just now is free on btrfs once that is on the disk. Where the most
// that the snapshot may have does not fit, it is measured.
func (o *origin) fits(ctx context.Context) error {
	r := o.run
	if err := r.sync(); err != nil {
		return err
	}
	free, err := r.free()
	if err != nil {
		return err
	}
	held, err := allocated(r.staging())
	if err != nil {
		return err
	}
	if r.AnySize || free >= needed(r.pin.Bytes, r.pin.Files, held) {
		return nil
	}
	if !r.measured {
		if err := o.measure(ctx); err != nil {
			return err
		}
	}
	if need := needed(r.pin.Bytes, r.pin.Files, held); free < need {
		return firstboot.NewProblem(firstboot.CodeSpace, "make room, then: "+r.again()+"; or where files are sparse, and take less: "+r.again()+" --any-size", "%s: snapshot %s needs %d MiB more, and %d MiB are free",
			r.c.Restore.Path, r.pin.short(), (need+1<<20-1)>>20, free>>20)
	}
	return nil
}

// needed returns how many bytes must be free to restore so many bytes in so
// many files, of which some are there.
func needed(total, files, held int64) int64 {
	const perFile = 4 << 10 // the rest of its last block, and its inode
	total += files * perFile
	return max(0, total-held) + max(leastMargin, total/50)
}

// free returns how many bytes can be written to the file system.
func (r *run) free() (int64, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(r.target.Fd()), &s); err != nil {
		return 0, fmt.Errorf("%s: %w", r.c.Restore.Path, err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// allocated returns the bytes that the files below a directory have on the
// disk; 0 when there is no such directory.
func allocated(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode().IsRegular() {
			total += s.Blocks * 512 / int64(max(1, s.Nlink)) // each name adds its part
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return total, err
}

// makeStaging makes the staging directory, which is root's alone: it has the
// data of all users.
func (r *run) makeStaging() error {
	err := os.Mkdir(r.staging(), 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return plain(err)
	}
	info, err := os.Lstat(r.staging())
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s: no directory", r.staging())
	}
	if err == nil {
		err = os.Chmod(r.staging(), 0o700)
	}
	if err != nil {
		return plain(err)
	}
	return r.cut("made staging")
}

// inodes returns the inode numbers of what lies at the top of the staging
// directory. An empty directory that is reserved and there already, such as a place
// for mounts, goes nowhere.
func (r *run) inodes() (list []uint64, err error) {
	entries, err := os.ReadDir(r.staging())
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		there, _ := lstat(filepath.Join(r.path, e.Name()))
		if there != nil && isReserved(e.Name()) && unix.Rmdir(filepath.Join(r.staging(), e.Name())) == nil {
			continue
		}
		info, err := os.Lstat(filepath.Join(r.staging(), e.Name()))
		if err != nil {
			return nil, err
		}
		list = append(list, info.Sys().(*syscall.Stat_t).Ino)
	}
	slices.Sort(list)
	return list, nil
}
