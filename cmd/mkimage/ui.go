package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// stdio is where a run prints. Results go to out, all else to err.
type stdio struct{ out, err io.Writer }

// ui is the only printer of the program: subcommands hand it results, and it
// knows in which form they are wanted.
type ui struct {
	stdio
	json, quiet bool
	progress    string // one of progressModes
	started     bool   // the command line was accepted
	meter       meter
}

var progressModes = []string{"auto", "bar", "plain", "json", "none"}

// start checks the global flags; it runs when the command line is parsed and
// before the subcommand does anything.
func (u *ui) start() error {
	if !slices.Contains(progressModes, u.progress) {
		return fault.New(fault.Usage, "", "--progress %q: expected one of %s", u.progress, strings.Join(progressModes, ", "))
	}
	u.started = true
	mode := u.progress
	if mode == "auto" {
		mode = autoMode(u.json, u.quiet, isTerminal(u.err))
	}
	u.meter = newMeter(mode, u.err)
	return nil
}

// autoMode chooses a kind of progress: a bar needs a terminal, and neither
// --quiet nor the reader of JSON errors wants other lines on stderr.
func autoMode(json, quiet, terminal bool) string {
	switch {
	case json || quiet:
		return "none"
	case terminal:
		return "bar"
	}
	return "plain"
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// Report shows how far the run has come; it makes ui a builder.Progress.
func (u *ui) Report(stage builder.Stage, done, total int64) { u.meter.Report(stage, done, total) }

// endProgress takes the progress display down, so that other lines can follow.
func (u *ui) endProgress() {
	if u.meter != nil {
		u.meter.end()
	}
}

// fail prints an error: a line, or two when there is a hint, or a JSON object.
func (u *ui) fail(err error, code int) {
	hint := fault.HintOf(err)
	if u.json {
		u.encode(u.err, struct {
			MessageType string `json:"message_type"`
			Code        int    `json:"code"`
			Message     string `json:"message"`
			Hint        string `json:"hint,omitempty"`
		}{"exit_error", code, err.Error(), hint})
		return
	}
	fmt.Fprintf(u.err, "mkimage: error: %v\n", err)
	if hint != "" {
		fmt.Fprintf(u.err, "mkimage: hint: %s\n", hint)
	}
}

// warn prints what the user may not have meant; the run goes on.
func (u *ui) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if u.json {
		u.encode(u.err, struct {
			MessageType string `json:"message_type"`
			Message     string `json:"message"`
		}{"warning", text})
		return
	}
	fmt.Fprintf(u.err, "mkimage: warning: %s\n", text)
}

// log returns what prints the messages of a program that was started, as they come;
// neither --quiet nor the reader of JSON wants them.
func (u *ui) log() io.Writer {
	if u.quiet || u.json || u.progress == "json" {
		return io.Discard
	}
	u.endProgress()
	return u.err
}

// jsonTime is a time in JSON: RFC 3339, but for years that do not have four
// digits, which file systems know and package time refuses to write.
type jsonTime struct{ time.Time }

// MarshalJSON implements json.Marshaler.
func (t jsonTime) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.Format(time.RFC3339Nano) + `"`), nil
}

func (u *ui) encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// summary prints the result of work that was done: v as JSON, or what text
// prints; with --quiet nothing.
func (u *ui) summary(v any, text func(w io.Writer)) error {
	if u.quiet && !u.json {
		return nil
	}
	return u.answer(v, text)
}

// answer prints what the user asked for: v as JSON, or what text prints.
func (u *ui) answer(v any, text func(w io.Writer)) error {
	u.endProgress()
	if u.json {
		return u.encode(u.out, v)
	}
	w := bufio.NewWriter(u.out)
	text(w)
	return w.Flush()
}
