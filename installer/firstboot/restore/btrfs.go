package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/subvolume"
)

// snapshot keeps a read-only snapshot of the directory as it was restored, if it
// is a subvolume of btrfs. It is a convenience: that it fails is no failure.
func (r *run) snapshot() error {
	if err := r.takeSnapshot(snapshotsDir, "restored-"+r.pin.short()); err != nil {
		r.Log(fmt.Sprintf("%s: no snapshot of it as it was restored: %v", r.c.Restore.Path, err))
	}
	return nil
}

func (r *run) takeSnapshot(dir, name string) error {
	if is, err := subvolume.Is(int(r.target.Fd())); err != nil || !is {
		return err
	}
	where := filepath.Join(r.path, dir)
	if err := os.Mkdir(where, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return plain(err)
	}
	parent, err := os.OpenFile(where, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return plain(err)
	}
	defer parent.Close()
	err = subvolume.SnapshotReadOnly(int(parent.Fd()), name, r.target)
	if err != nil && !errors.Is(err, unix.EEXIST) { // of a run that was cut short after it
		return fmt.Errorf("%s: %w", path.Join(dir, name), err)
	}
	return nil
}
