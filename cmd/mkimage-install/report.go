package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer"
	"github.com/6FaNcY9/mkimage/installer/disks"
)

// report tells how an installation by hand goes: lines for people, with a share
// that moves where they look at a terminal, or with json an object a line.
type report struct {
	out    io.Writer
	json   bool
	moving bool // out is a terminal

	began time.Time // of the step
	told  time.Time
}

// event is one line for programs.
type event struct {
	Event   string      `json:"event"` // "plan", "step", "done" or "error"
	Install string      `json:"install,omitempty"`
	Target  *disks.Disk `json:"target,omitempty"`
	DryRun  bool        `json:"dry_run,omitempty"`
	Step    string      `json:"step,omitempty"`
	Title   string      `json:"title,omitempty"`
	Done    int64       `json:"done,omitempty"` // bytes
	Total   int64       `json:"total,omitempty"`
	Seconds float64     `json:"seconds,omitempty"` // that the step took
	Error   string      `json:"error,omitempty"`
	Hint    string      `json:"hint,omitempty"`
	Code    int         `json:"code,omitempty"`
}

func newReport(out io.Writer, json bool) *report {
	r := &report{out: out, json: json}
	if f, ok := out.(interface{ Fd() uintptr }); ok {
		_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		r.moving = !json && err == nil
	}
	return r
}

func (r *report) event(e event) { _ = json.NewEncoder(r.out).Encode(e) } // an output that is gone needs no report

// plan tells what will be done.
func (r *report) plan(f *installer.Fresh, d disks.Disk, dryRun bool) {
	if r.json {
		r.event(event{Event: "plan", Install: f.Install.String(), Target: &d, DryRun: dryRun})
		return
	}
	fmt.Fprintf(r.out, "%s onto %s\nerases %s\n", f, d, d.Summary())
	if dryRun {
		fmt.Fprintln(r.out, "nothing was written")
	}
}

// step tells of a step, as installer.Run reports it: 0 of 0 bytes when it begins,
// 1 of 1 when it is done.
func (r *report) step(s installer.Step, done, total int64) {
	switch {
	case done == 0 && total == 0:
		r.began, r.told = time.Now(), time.Now()
		r.begin(s)
	case done == 1 && total == 1:
		r.end(s)
	case time.Since(r.told) >= time.Second:
		r.told = time.Now()
		r.progress(s, done, total)
	}
}

func (r *report) begin(s installer.Step) {
	switch {
	case r.json:
		r.event(event{Event: "step", Step: s.ID, Title: s.Title})
	case r.moving:
		fmt.Fprint(r.out, s.Title)
	default:
		fmt.Fprintln(r.out, s.Title)
	}
}

func (r *report) progress(s installer.Step, done, total int64) {
	switch {
	case r.json:
		r.event(event{Event: "step", Step: s.ID, Done: done, Total: total})
	case r.moving:
		left := time.Duration(float64(time.Since(r.began)) / float64(max(1, done)) * float64(total-done))
		fmt.Fprintf(r.out, "\r\x1b[K%s: %d %%, %.0f MiB/s, %v left", s.Title, done*100/max(1, total),
			float64(done)/(1<<20)/time.Since(r.began).Seconds(), left.Round(time.Second))
	}
}

func (r *report) end(s installer.Step) {
	took := time.Since(r.began).Seconds()
	switch {
	case r.json:
		r.event(event{Event: "step", Step: s.ID, Seconds: took})
	case r.moving:
		fmt.Fprintf(r.out, "\r\x1b[K%s: done after %.1f s\n", s.Title, took)
	}
}

// done tells that all went well.
func (r *report) done() {
	if r.json {
		r.event(event{Event: "done"})
	}
}

// failed tells why it ended, and returns the exit code.
func (r *report) failed(err error) int {
	code := int(fault.ClassOf(err))
	if r.json {
		r.event(event{Event: "error", Error: err.Error(), Hint: fault.HintOf(err), Code: code})
		return code
	}
	fmt.Fprintf(r.out, "mkimage-install: error: %v\n", err)
	if hint := fault.HintOf(err); hint != "" {
		fmt.Fprintf(r.out, "mkimage-install: hint: %s\n", hint)
	}
	return code
}
