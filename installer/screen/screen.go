// Package screen draws what an installation does on one screen of text: which
// disk, why, which steps, how far. It fits the 80 columns and 25 lines of a
// console of a machine without graphics, and a serial line.
//
// It only makes lines of text; who shows them, and where, is for its users.
package screen

import (
	"fmt"
	"strings"
	"time"
)

// Columns and Lines are what a text console has at least (VGA text mode).
const (
	Columns = 80
	Lines   = 25
)

// Status is how far a step is.
type Status int

// The states of a step.
const (
	Waiting Status = iota
	Running
	Done
	Failed
)

// Step is one line of the list of steps.
type Step struct {
	Title       string
	Status      Status
	Done, Total int64         // bytes; Total 0 where nobody knows
	Took        time.Duration // so far
}

// Fact is something that was chosen, and why.
type Fact struct{ Name, Text string }

// State is all that a screen shows.
type State struct {
	Title   string
	Facts   []Fact
	Steps   []Step
	Message []string // what is asked, or what went wrong and what to do
	Result  string   // shown large: "OK", or a code; up to 8 characters
}

// Render returns the lines of a screen, none of them wider than Columns-1 (many
// terminals wrap at the last column) and not more than Lines-1. Where there are
// too many, lines of the message are left out.
func Render(s State) []string {
	lines := []string{s.Title, strings.Repeat("=", min(len(s.Title), Columns-1)), ""}
	for _, f := range s.Facts {
		lines = append(lines, fold(fmt.Sprintf("%-9s", f.Name), f.Text)...)
	}
	if len(s.Facts) > 0 {
		lines = append(lines, "")
	}
	lines = append(lines, s.steps()...)
	if len(s.Steps) > 0 {
		lines = append(lines, "")
	}
	big := large(s.Result)
	room := Lines - 1 - len(lines) - len(big)
	var message []string
	for _, m := range s.Message {
		message = append(message, fold("", m)...)
	}
	if len(message) > room {
		message = append(message[:max(0, room-1)], "...")
	}
	lines = append(append(lines, message...), big...)
	for i, l := range lines {
		lines[i] = cut(l, Columns-1)
	}
	return lines[:min(len(lines), Lines-1)]
}

// steps returns the lines of the steps. Once there is a result what is done is
// counted: the message needs the room.
func (s *State) steps() (lines []string) {
	done, took := 0, time.Duration(0)
	for _, step := range s.Steps {
		switch {
		case s.Result == "" || step.Status == Failed:
			lines = append(lines, step.line())
		case step.Status == Done:
			done++
		}
		took += step.Took
	}
	if done > 0 && s.Result != "" {
		lines = append([]string{fmt.Sprintf("%d of %d steps were done in %s.", done, len(s.Steps), clock(took))}, lines...)
	}
	return lines
}

// cut shortens a line to so many characters. Control characters, which a disk's
// name may have, are not passed on.
func cut(line string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range line {
		if n++; n > most {
			break
		}
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// fold breaks a text into lines behind a name, at spaces where it can.
func fold(name, text string) []string {
	var lines []string
	room := Columns - 1 - len(name)
	for {
		text = strings.TrimLeft(text, " ")
		if len(text) <= room {
			return append(lines, name+text)
		}
		at := strings.LastIndexByte(text[:room+1], ' ')
		if at <= 0 {
			at = room
		}
		lines = append(lines, name+text[:at])
		text, name = text[at:], strings.Repeat(" ", len(name))
	}
}

// marks are what stands before a step.
var marks = map[Status]string{Waiting: "    ", Running: " >> ", Done: " ok ", Failed: "FAIL"}

// barWidth is the length of a bar in characters.
const barWidth = 12

func (s Step) line() string {
	line := fmt.Sprintf("[%s] %-28s", marks[s.Status], s.Title)
	switch {
	case s.Status == Running && s.Total > 0:
		share := min(float64(s.Done)/float64(s.Total), 1)
		full := int(share * barWidth)
		line += fmt.Sprintf(" %s%s %3.0f%%", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), share*100)
		if seconds := s.Took.Seconds(); seconds >= 1 && s.Done > 0 {
			rate := float64(s.Done) / seconds
			line += fmt.Sprintf(" %s %s left", rateText(rate), clock(time.Duration(float64(s.Total-s.Done)/rate*float64(time.Second))))
		}
	case s.Status == Done || s.Status == Failed:
		line += " " + clock(s.Took)
	}
	return strings.TrimRight(line, " ")
}

// rateText prints bytes in a second.
func rateText(rate float64) string { return fmt.Sprintf("%.0f MiB/s", rate/(1<<20)) }

// clock prints a time as minutes and seconds.
func clock(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
