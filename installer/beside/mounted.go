package beside

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Mounted is a top level that is mounted at a directory.
type Mounted string

// Rename implements Top.
func (m Mounted) Rename(from, to string) error {
	return unix.Renameat2(unix.AT_FDCWD, filepath.Join(string(m), from), unix.AT_FDCWD, filepath.Join(string(m), to), unix.RENAME_NOREPLACE)
}
