package source

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder"
)

// Stage is the stage of a run in which a source is made or checked. Bytes are
// those of the packages while they are installed, else those of the archive.
const Stage builder.Stage = "source"

// tailLines is how many of the last lines of a log an error shows.
const tailLines = 12

// maxLine bounds what is kept of a line that never ends.
const maxLine = 4 << 10

// watcher reads the messages of mmdebstrap, apt and dpkg as they come. A package
// counts a third of its size when it was fetched, unpacked and set up.
type watcher struct {
	progress builder.Progress
	sizes    map[string]int64 // of packages, by name
	thirds   int64            // done
	total    int64            // bytes of packages

	// apt runs twice, first for the essential packages, and tells each time
	// what it will fetch.
	remaining bool // the second run began
	known     bool // total is that of both

	last []string // lines, for errors
	rest []byte   // begun line
}

var (
	lineNeed = regexp.MustCompile(`^Need to get ([0-9.,]+) ([kMG]?B)(?:/[0-9.,]+ [kMG]?B)? of archives`)
	lineGet  = regexp.MustCompile(`^Get:[0-9]+ \S+ \S+ \S+ (\S+) \S+ \S+ \[([0-9.,]+) ([kMG]?B)\]`)
	lineStep = regexp.MustCompile(`^(?:Unpacking|Setting up) ([^ :]+)(?::\S+)? \(`)
)

// Write takes some of the messages.
func (w *watcher) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		if room := maxLine - len(w.rest); room > 0 {
			w.rest = append(w.rest, line[:min(len(line), room)]...)
		}
		if !whole {
			return n, nil
		}
		w.line(strings.TrimRight(string(w.rest), "\r"))
		w.rest, p = w.rest[:0], rest
	}
}

func (w *watcher) line(s string) {
	if s == "" {
		return
	}
	if w.last = append(w.last, s); len(w.last) > tailLines {
		w.last = w.last[1:]
	}
	if m := lineNeed.FindStringSubmatch(s); m != nil {
		w.total += aptBytes(m[1], m[2])
		w.known = w.remaining
	} else if m := lineGet.FindStringSubmatch(s); m != nil {
		size := aptBytes(m[2], m[3])
		if w.sizes == nil {
			w.sizes = map[string]int64{}
		}
		w.sizes[m[1]] = size
		w.add(size)
	} else if m := lineStep.FindStringSubmatch(s); m != nil {
		w.add(w.sizes[m[1]])
	} else if strings.HasPrefix(s, "I: installing remaining packages") {
		w.remaining = true
	} else if strings.HasPrefix(s, "I: creating tarball") {
		w.progress.Report(Stage, w.total, w.total)
	}
}

func (w *watcher) add(size int64) {
	w.thirds += size
	if !w.known {
		w.progress.Report(Stage, 0, 0)
		return
	}
	w.progress.Report(Stage, min(w.thirds/3, w.total), w.total)
}

// aptBytes reads a size as apt prints it, with units of powers of 1000.
func aptBytes(number, unit string) int64 {
	f, err := strconv.ParseFloat(strings.ReplaceAll(number, ",", ""), 64)
	if err != nil || f < 0 || f > 1e9 {
		return 0
	}
	for _, u := range []string{"B", "kB", "MB", "GB"} {
		if u == unit {
			break
		}
		f *= 1000
	}
	return int64(f)
}
