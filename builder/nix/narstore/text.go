package narstore

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// textSuffix ends the names of texts about objects.
const textSuffix = ".narinfo"

// maxText is the size of the largest text, in bytes: that of package narinfo.
const maxText = 1 << 20

func (s *Store) textPath(key string) string { return filepath.Join(s.dir, key+textSuffix) }

// PutText keeps what is known about an object, by the hash in its name. As with
// archives, who reads it checks it. What another has put there, who shares the folder
// and allows nobody to replace it, stays.
func (s *Store) PutText(key string, text []byte) error {
	f, err := createPartial(s.textPath(key))
	if err != nil {
		return folderError(err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.textPath(key))
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		err = nil
	}
	return folderError(errors.Join(err, os.Remove(f.Name())))
}

// Text returns what was kept about an object, nil where there is nothing.
func (s *Store) Text(key string) ([]byte, error) {
	f, err := os.Open(s.textPath(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	touch(f.Name())
	return io.ReadAll(io.LimitReader(f, maxText+1))
}

// touch says by the time of a file that it was used. Nothing is lost without it.
func touch(name string) {
	_ = unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}, 0)
}
