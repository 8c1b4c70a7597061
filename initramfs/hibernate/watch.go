package hibernate

import (
	"fmt"
	"io"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Watch keeps the kernel's place that of the swapfile in use and writes a line
// to w whenever what there is to say changes. It returns only with an error of
// the watching itself: while hibernation is not possible it waits for that to
// change.
func (s *System) Watch(w io.Writer) error {
	name := filepath.Join(s.Proc, "swaps")
	// The kernel notes for each open file which changes it has told, so what
	// happens from here on is not missed. An os.File would lose some: Go's
	// runtime waits for such files, too, and takes what it is told.
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer unix.Close(fd)
	// Left over, when this system was booted and not woken.
	if err := s.Woken(); err != nil {
		fmt.Fprintf(w, "note of a hibernated system: %v\n", err)
	}
	for said := ""; ; {
		text, changed := s.look()
		if text != said || changed {
			if _, err := fmt.Fprintln(w, text+told(changed)); err != nil {
				return err
			}
		}
		said = text
		if err := waitForChange(fd); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

// look updates once and returns what there is to say.
func (s *System) look() (text string, changed bool) {
	swap, place, changed, err := s.update()
	if err != nil {
		return "no hibernation: " + err.Error(), changed
	}
	return line(swap, place), changed
}

// waitForChange waits until swap space was taken into use or out of it
// (swaps_poll in the kernel's mm/swapfile.c).
func waitForChange(fd int) error {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}
	for {
		// Go's own signals interrupt it.
		if _, err := unix.Poll(fds, -1); err != unix.EINTR {
			return err
		}
	}
}
