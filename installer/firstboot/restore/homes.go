package restore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// homePrefix is before the short ID of the snapshot in the name of a home that
// is not complete.
const homePrefix = ".mkimage-home-"

// homes makes the homes that the backup had none of, and gives the top of each
// one to its user.
func (r *run) homes() error {
	for _, h := range r.c.Restore.Homes {
		if !strings.HasPrefix(h.Path, strings.TrimSuffix(r.c.Restore.Path, "/")+"/") {
			return fmt.Errorf("home %s: not below %s", h.Path, r.c.Restore.Path)
		}
		if err := r.home(h); err != nil {
			return fmt.Errorf("home %s: %w", h.Path, err)
		}
	}
	return nil
}

func (r *run) home(h firstboot.Home) error {
	at := filepath.Join(r.Root, h.Path)
	info, stat := lstat(at)
	switch {
	case info == nil:
		return r.newHome(h, at)
	case !info.IsDir():
		r.Log(fmt.Sprintf("home %s: is no directory, and is left as it is", h.Path))
		return nil
	case stat.Uid == h.UID && stat.Gid == h.GID:
		return nil
	}
	if stat.Uid != 0 {
		r.Log(fmt.Sprintf("home %s: was the user's with number %d, and is now that of %d; what is in it keeps its owners", h.Path, stat.Uid, h.UID))
	}
	return os.Lchown(at, int(h.UID), int(h.GID))
}

// newHome makes a home under another name and renames it: a half one would be
// taken for whole.
func (r *run) newHome(h firstboot.Home, at string) error {
	made := filepath.Join(r.path, homePrefix+r.pin.short())
	if err := os.RemoveAll(made); err != nil { // of a run that was cut short, from the skeleton
		return plain(err)
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return plain(err)
	}
	if err := copyTree(r.Skel, made, int(h.UID), int(h.GID)); err != nil {
		return err
	}
	if err := os.Chmod(made, 0o700); err != nil {
		return plain(err)
	}
	if err := r.sync(); err != nil {
		return err
	}
	err := unix.Renameat2(unix.AT_FDCWD, made, unix.AT_FDCWD, at, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EEXIST) { // somebody was faster
		return os.RemoveAll(made)
	}
	return err
}

// copyTree copies the directories, files and symlinks of a directory that may be
// missing, with their modes, for another owner.
func copyTree(from, to string, uid, gid int) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return plain(err)
	}
	entries, err := os.ReadDir(from)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return plain(err)
	}
	for _, e := range entries {
		if err := copyEntry(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()), uid, gid); err != nil {
			return err
		}
	}
	return os.Lchown(to, uid, gid)
}

func copyEntry(from, to string, uid, gid int) error {
	info, err := os.Lstat(from)
	if err != nil {
		return plain(err)
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		if err := copyTree(from, to, uid, gid); err != nil {
			return err
		}
	case fs.ModeSymlink:
		target, err := os.Readlink(from)
		if err == nil {
			err = os.Symlink(target, to)
		}
		return errors.Join(plain(err), os.Lchown(to, uid, gid))
	case 0:
		if err := copyFile(from, to); err != nil {
			return plain(err)
		}
	default:
		return nil
	}
	if err := os.Lchown(to, uid, gid); err != nil {
		return plain(err)
	}
	return plain(os.Chmod(to, info.Mode().Perm()))
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
