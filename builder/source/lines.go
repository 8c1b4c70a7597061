package source

import (
	"bytes"
	"strings"
)

// tailLines is how many of the last lines of a log an error shows.
const tailLines = 12

// maxLine bounds what is kept of a line that never ends.
const maxLine = 4 << 10

// lines cuts what is written to it into lines, without what ends them.
type lines struct {
	each func(line string) // told of every line that is not empty; may be nil
	last []string          // for errors
	rest []byte            // begun line
}

// Write takes some of a log.
func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		if room := maxLine - len(l.rest); room > 0 {
			l.rest = append(l.rest, line[:min(len(line), room)]...)
		}
		if !whole {
			return n, nil
		}
		l.end()
		p = rest
	}
}

// end takes what was begun for a line.
func (l *lines) end() {
	line := strings.TrimRight(string(l.rest), "\r")
	l.rest = l.rest[:0]
	if line == "" {
		return
	}
	if l.last = append(l.last, line); len(l.last) > tailLines {
		l.last = l.last[1:]
	}
	if l.each != nil {
		l.each(line)
	}
}
