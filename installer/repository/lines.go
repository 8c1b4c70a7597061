package repository

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"time"
)

// Line is a line of what restic prints with --json: one of restic's kinds of
// messages, whose fields do not collide (internal/ui/restore/json.go,
// cmd/restic/main.go, cmd_check.go and cmd_ls.go of restic 0.18).
type Line struct {
	MessageType string `json:"message_type"` // "status", "summary", "error", "exit_error", "node"

	TotalFiles    uint64 `json:"total_files"` // status and summary; without those skipped
	FilesRestored uint64 `json:"files_restored"`
	FilesSkipped  uint64 `json:"files_skipped"`
	TotalBytes    uint64 `json:"total_bytes"` // without those skipped
	BytesRestored uint64 `json:"bytes_restored"`
	BytesSkipped  uint64 `json:"bytes_skipped"` // right already

	Item string `json:"item"` // error: absolute below what is restored; not as it is if it is not UTF-8

	Error struct { // error
		Message string `json:"message"`
	} `json:"error"`
	Message string `json:"message"` // exit_error, and error of restic check

	NumErrors   int      `json:"num_errors"`           // summary of restic check
	BrokenPacks []string `json:"broken_packs"`         // IDs
	RepairIndex bool     `json:"suggest_repair_index"` // restic repair index is of use
	Prune       bool     `json:"suggest_prune"`        // restic prune is of use

	Type  string    `json:"type"` // node: "file", "dir", "symlink", "dev", "chardev", "fifo", "socket"
	Path  string    `json:"path"` // as Item
	Size  uint64    `json:"size"` // of a file, in bytes
	Mode  uint32    `json:"mode"` // fs.FileMode
	MTime time.Time `json:"mtime"`
}

// parseLine reads a line of restic. False says that it is no message: what
// restic prints for people has no form.
func parseLine(text []byte) (Line, bool) {
	var l Line
	if !bytes.HasPrefix(text, []byte("{")) || json.Unmarshal(text, &l) != nil || l.MessageType == "" {
		return Line{}, false
	}
	return l, true
}

// Messages returns a writer for restic's output that calls a function with each
// message of some kinds, such as "status". All else is left out.
func Messages(call func(Line), kinds ...string) io.Writer {
	return &lineWriter{call: func(text []byte) {
		if l, ok := parseLine(text); ok && slices.Contains(kinds, l.MessageType) {
			call(l)
		}
	}}
}

// maxLine bounds a line that is looked at, in bytes. A path of 4096 bytes has
// at most six times as many in JSON.
const maxLine = 256 << 10

// lineWriter calls a function with each line that is written to it, without its
// end. Lines that are longer than maxLine are left out.
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
