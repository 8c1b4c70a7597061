package keephome

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/treecopy"
)

const (
	fstabPath = "/etc/fstab"
	maxFstab  = 1 << 20 // bytes
)

// Fstab puts the identities of the disk into the new system's /etc/fstab, where
// the payload has those of the medium: each text that is a key of edits becomes
// its value, which has the same length. Every key must be there, for otherwise
// the payload is not what its manifest says: class fault.Input.
func (in *Install) Fstab(edits map[string]string) error {
	at, err := locate(in.Plan, fstabPath)
	if err != nil {
		return err
	}
	dir, err := in.newDir(place{at.subvolume, path.Dir(at.name)})
	if err != nil {
		return fmt.Errorf("%s: %w", fstabPath, err)
	}
	defer dir.Close()
	in.changed(at)
	return keepingTimes(dir, func() error {
		in.fstab, err = rewrite(dir, path.Base(at.name), edits)
		return err
	})
}

// keepingTimes does something with the content of a directory and leaves it the
// times it had.
func keepingTimes(dir *os.File, do func() error) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return err
	}
	err := do()
	return errors.Join(err, unix.UtimesNanoAt(int(dir.Fd()), "", []unix.Timespec{st.Atim, st.Mtim}, unix.AT_EMPTY_PATH))
}

// rewrite puts a changed file in the place of one, with all its attributes: at
// every instant one of the two is there as a whole.
func rewrite(dir *os.File, name string, edits map[string]string) (text []byte, err error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", fstabPath, err)
	}
	old := os.NewFile(uintptr(fd), fstabPath)
	defer old.Close()
	text, err = io.ReadAll(io.LimitReader(old, maxFstab+1))
	if err != nil {
		return nil, err
	}
	if text, err = edited(text, edits); err != nil {
		return nil, err
	}
	temporary := "." + name + ".new"
	fd, err = unix.Openat(int(dir.Fd()), temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: create: %w", temporary, err)
	}
	file := os.NewFile(uintptr(fd), temporary)
	_, err = file.Write(text)
	if err == nil {
		err = treecopy.CopyAttributes(old, file, fstabPath)
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return nil, err
	}
	if err := unix.Renameat(int(dir.Fd()), temporary, int(dir.Fd()), name); err != nil {
		return nil, fmt.Errorf("%s: rename %s: %w", fstabPath, temporary, err)
	}
	return text, nil
}

// edited returns a text in which the keys of edits are replaced. They are found
// in the text as it was, not in what has been put in.
func edited(text []byte, edits map[string]string) ([]byte, error) {
	if len(text) > maxFstab {
		return nil, fault.New(fault.Input, "", "%s: larger than %d bytes", fstabPath, maxFstab)
	}
	result := bytes.Clone(text)
	taken := make([]bool, len(text))
	for _, old := range slices.Sorted(maps.Keys(edits)) {
		value, found := edits[old], false
		if old == "" || len(old) != len(value) {
			return nil, fmt.Errorf("%s: %q becomes %q, expected texts of one length", fstabPath, old, value)
		}
		for at := 0; ; at += len(old) {
			i := bytes.Index(text[at:], []byte(old))
			if i < 0 {
				break
			}
			at += i
			if slices.Contains(taken[at:at+len(old)], true) {
				return nil, fmt.Errorf("%s: %q overlaps another text that is replaced", fstabPath, old)
			}
			for j := range old {
				taken[at+j] = true
			}
			copy(result[at:], value)
			found = true
		}
		if !found {
			return nil, fault.New(fault.Input, "", "payload: %s: %q is not in it", fstabPath, old)
		}
	}
	return result, nil
}
