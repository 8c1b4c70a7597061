package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/6FaNcY9/mkimage/installer/disks"
)

// progress returns what tells a person how far a step is: one line that is written over
// on a terminal, and elsewhere a line now and then. Its end ends the line.
func (p *program) progress(title string) (tell func(done, total int64), end func()) {
	if p.json {
		return func(int64, int64) {}, func() {}
	}
	f, ok := p.stderr.(*os.File)
	every, over := 10*time.Second, ok && term.IsTerminal(int(f.Fd()))
	if over {
		every = time.Second / 2
	}
	begun, shown := time.Now(), false
	last := begun
	tell = func(done, total int64) {
		now := time.Now()
		if now.Sub(last) < every {
			return
		}
		last, shown = now, true
		line := fmt.Sprintf("%s: %s", title, disks.ShortSize(done))
		if total > 0 {
			line = fmt.Sprintf("%s: %s of %s, %d%%", title, disks.ShortSize(done), disks.ShortSize(total), done*100/total)
		}
		if seconds := now.Sub(begun).Seconds(); seconds >= 1 {
			line += ", " + disks.ShortSize(int64(float64(done)/seconds)) + "/s"
		}
		if over {
			fmt.Fprintf(p.stderr, "\r\x1b[K%s", line)
		} else {
			fmt.Fprintln(p.stderr, line)
		}
	}
	return tell, func() {
		if shown && over {
			fmt.Fprint(p.stderr, "\r\x1b[K")
		}
		p.note("%s: done in %.1f s", title, time.Since(begun).Seconds())
	}
}
