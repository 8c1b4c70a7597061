package repository

import (
	"bytes"
	"encoding/json"
)

// line is one of what restic check prints with --json: one of restic's kinds of
// messages, whose fields do not collide (cmd/restic/main.go and cmd_check.go of restic
// 0.18).
type line struct {
	MessageType string `json:"message_type"` // "summary", "error", "exit_error"

	Error struct { // error
		Message string `json:"message"`
	} `json:"error"`
	Message string `json:"message"` // exit_error, and error of restic check

	NumErrors   int      `json:"num_errors"`           // summary
	BrokenPacks []string `json:"broken_packs"`         // IDs
	RepairIndex bool     `json:"suggest_repair_index"` // restic repair index is of use
	Prune       bool     `json:"suggest_prune"`        // restic prune is of use
}

// parseLine reads a line of restic. False says that it is no message: what
// restic prints for people has no form.
func parseLine(text []byte) (line, bool) {
	var l line
	if !bytes.HasPrefix(text, []byte("{")) || json.Unmarshal(text, &l) != nil || l.MessageType == "" {
		return line{}, false
	}
	return l, true
}

// maxLine bounds a line that is looked at, in bytes: that of a check
// may name thousands of packs.
const maxLine = 256 << 10

// lineWriter calls a function with each line that is written to it, without its
// end. lines that are longer than maxLine are left out.
type lineWriter struct {
	call func(text []byte)
	rest []byte
	long bool // of what rest is the end
}

// Write implements io.Writer.
func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		text, after, ok := bytes.Cut(p, []byte("\n"))
		if len(w.rest)+len(text) > maxLine {
			w.rest, w.long, text = nil, true, nil
		}
		if !ok {
			w.rest = append(w.rest, text...)
			return n, nil
		}
		if !w.long {
			w.call(append(w.rest, text...))
		}
		w.rest, w.long, p = nil, false, after
	}
}
