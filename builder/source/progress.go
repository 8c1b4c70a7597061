package source

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder"
)

// Stage is the stage of a run in which a source is made or checked. Bytes are
// those of the packages while they are installed, else those of the archive.
const Stage builder.Stage = "source"

// watcher reads the messages of mmdebstrap, apt and dpkg as they come. A package
// counts a third of its size when it was fetched, unpacked and set up.
type watcher struct {
	lines
	progress builder.Progress
	sizes    map[string]int64 // of packages, by name
	thirds   int64            // done
	total    int64            // bytes of packages

	// apt runs twice, first for the essential packages, and tells each time
	// what it will fetch.
	remaining bool // the second run began
	known     bool // total is that of both
}

var (
	lineNeed = regexp.MustCompile(`^Need to get ([0-9.,]+) ([kMG]?B)(?:/[0-9.,]+ [kMG]?B)? of archives`)
	lineGet  = regexp.MustCompile(`^Get:[0-9]+ \S+ \S+ \S+ (\S+) \S+ \S+ \[([0-9.,]+) ([kMG]?B)\]`)
	lineStep = regexp.MustCompile(`^(?:Unpacking|Setting up) ([^ :]+)(?::\S+)? \(`)
)

func newWatcher(p builder.Progress) *watcher {
	w := &watcher{progress: p}
	w.each = w.line
	return w
}

func (w *watcher) line(s string) {
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
