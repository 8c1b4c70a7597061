package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/mediumlog"
)

// record is what an installation has done so far, for who reads the medium's log
// on another machine.
type record struct {
	began time.Time
	lines []string
}

// say adds a line, with the seconds since the beginning.
func (r *record) say(format string, args ...any) {
	text := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
	r.lines = append(r.lines, fmt.Sprintf("%7.1f s  %s", time.Since(r.began).Seconds(), text))
}

// entry is the text for the log.
func (r *record) entry() string {
	return "installation of " + r.began.UTC().Format(time.DateTime) + " UTC by the clock of the machine\n" + strings.Join(r.lines, "\n") + "\n"
}

// saveLog writes what was done so far onto the medium, in the place of what this
// run wrote there before.
func (h *here) saveLog() {
	if err := h.writeLog(); err != nil {
		h.show.note(err.Error())
	}
}

func (h *here) writeLog() (err error) {
	if h.medium == nil {
		return nil // there is none
	}
	at, before, err := h.medium.Log()
	if err != nil {
		return err
	}
	if h.logBefore == nil {
		h.logBefore = before
	}
	disk, err := openTarget(h.scanner, h.device) // which makes sure that it is the medium still
	if err != nil {
		return fmt.Errorf("log of the medium: %w", err)
	}
	defer func() { err = errors.Join(err, disk.close()) }()
	if err := mediumlog.Write(disk, at, mediumlog.Add(h.logBefore, h.show.record.entry())); err != nil {
		return err
	}
	return disk.Sync()
}
