package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/terminal"
	"github.com/6FaNcY9/mkimage/installer/screen"
)

// factTarget is the name of the line that says which disk is the target.
const factTarget = "onto"

// redraw is how often progress is shown: a serial line of 9600 bits in a second
// takes as long for a screen.
const redraw = 2 * time.Second

// display shows the state of an installation on every console.
type display struct {
	terminals *terminal.Set
	state     screen.State
	began     time.Time // of the step that runs
	drawn     time.Time
	lines     []string // that are on the screen
	warnings  []string // that stay until the end
	record    record
}

func newDisplay() *display {
	d := &display{terminals: terminal.Open(terminal.Consoles()), record: record{began: time.Now()}}
	d.state.Title = "mkimage: installer"
	d.draw()
	return d
}

func (d *display) close() { d.terminals.Close() }

// Sequences of ECMA-48: to the first character, to the end of this line, and all
// that is below.
const (
	home      = "\x1b[H"
	eraseLine = "\x1b[K"
	eraseRest = "\x1b[J"
)

// draw shows what has changed.
func (d *display) draw() {
	d.drawn = time.Now()
	lines := screen.Render(d.state)
	if slices.Equal(lines, d.lines) {
		return
	}
	d.lines = lines
	text := home
	for _, l := range lines {
		text += l + eraseLine + "\n"
	}
	d.terminals.Show(text + eraseRest)
}

func (d *display) title(text string) {
	d.state.Title = text
	d.draw()
}

func (d *display) fact(name, text string) {
	d.state.Facts = append(d.state.Facts, screen.Fact{Name: name, Text: text})
	d.record.say("%s: %s", name, text)
	d.draw()
}

// plan puts a step on the list.
func (d *display) plan(title string) {
	d.state.Steps = append(d.state.Steps, screen.Step{Title: title})
}

// begin starts a step, which is on the list or put there.
func (d *display) begin(title string) {
	i := slices.IndexFunc(d.state.Steps, func(s screen.Step) bool { return s.Title == title && s.Status == screen.Waiting })
	if i < 0 {
		d.plan(title)
		i = len(d.state.Steps) - 1
	}
	d.state.Steps[i].Status = screen.Running
	d.began = time.Now()
	d.draw()
}

// current returns the step that runs.
func (d *display) current() *screen.Step {
	for i := range d.state.Steps {
		if d.state.Steps[i].Status == screen.Running {
			return &d.state.Steps[i]
		}
	}
	return nil
}

func (d *display) progress(done, total int64) {
	s := d.current()
	if s == nil {
		return
	}
	s.Done, s.Total, s.Took = done, total, time.Since(d.began)
	if time.Since(d.drawn) >= redraw {
		d.draw()
	}
}

func (d *display) end(err error) {
	s := d.current()
	if s == nil {
		return
	}
	s.Status, s.Took = screen.Done, time.Since(d.began)
	if err != nil {
		s.Status = screen.Failed
	}
	d.record.say("%s: %s after %.1f s", s.Title, map[bool]string{true: "done", false: "FAILED"}[err == nil], s.Took.Seconds())
	d.draw()
}

// note adds a line that stays until the end.
func (d *display) note(text string) {
	d.warnings = append(d.warnings, text)
	d.record.say("note: %s", text)
	d.state.Message = append(d.state.Message, text)
	d.draw()
}

// say replaces the message.
func (d *display) say(lines ...string) {
	d.state.Message = lines
	d.draw()
}

// failed shows why it ended, with the code large.
func (d *display) failed(err error) {
	d.state.Message = strings.Split(err.Error(), "\n")
	if hint := fault.HintOf(err); hint != "" {
		d.state.Message = append(d.state.Message, "hint: "+hint)
	}
	d.record.say("ended with code %d: %s", fault.ClassOf(err), strings.Join(d.state.Message, " "))
	d.result(fmt.Sprintf("E%d", fault.ClassOf(err)))
}

// succeeded shows that it is done.
func (d *display) succeeded(lines ...string) {
	d.state.Message = lines
	d.result("OK")
}

// result shows how it ended. Of what was chosen the target is enough by now: the
// message needs the room.
func (d *display) result(text string) {
	d.state.Result = text
	d.state.Facts = slices.DeleteFunc(d.state.Facts, func(f screen.Fact) bool { return f.Name != factTarget })
	d.draw()
}

// notes returns what was noted.
func (d *display) notes() []string { return d.warnings }
