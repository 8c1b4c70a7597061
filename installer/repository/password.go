package repository

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Hold keeps a password in memory, as a file that this process alone has and
// restic reads. It returns the file's name, which is good until forget is
// called.
func Hold(password []byte) (name string, forget func(), err error) {
	fd, err := unix.MemfdCreate("password", unix.MFD_CLOEXEC)
	if err != nil {
		return "", nil, fmt.Errorf("memory for the password: %w", err)
	}
	f := os.NewFile(uintptr(fd), "password")
	if _, err := f.Write(password); err != nil {
		f.Close()
		return "", nil, fmt.Errorf("memory for the password: %w", err)
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), func() { f.Close() }, nil
}
