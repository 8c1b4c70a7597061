package bootrepair

import (
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
)

// Session is a hibernated session on a disk.
type Session struct {
	File string // in the running system
	At   int64  // byte of the disk where its mark is
}

// hintSession says what can be done about a session.
const hintSession = "start the system and shut it down; or give the session up, which loses what was open in it"

// sessionOf returns the session that sleeps in a swapfile of a system whose partition
// begins at a byte of the disk; nil where none does.
func sessionOf(s *system, start int64) *Session {
	for _, l := range s.table {
		if !l.IsSwap() || !strings.HasPrefix(l.What, "/") {
			continue
		}
		at, ok := s.place(l.What)
		if !ok {
			continue
		}
		swap, err := s.top.Swapfile(at)
		if err == nil && swap.Signature == swaparea.HibernateSignature {
			return &Session{File: l.What, At: start + swap.Offset*swaparea.PageSize}
		}
	}
	return nil
}

// drop gives a session up: what the kernel would resume from is swap space again.
func (s *Session) drop(d Disk) error {
	page := make([]byte, swaparea.PageSize)
	whole, err := readFull(d, page, s.At)
	if err != nil {
		return err
	}
	if !whole || !swaparea.Hibernated(page) {
		return fault.New(fault.Target, "begin again", "%s: there is no session any more at byte %d of the disk", s.File, s.At)
	}
	return written(d, swaparea.Restored(page), s.At)
}
