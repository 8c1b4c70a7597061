package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/6FaNcY9/mkimage/builder"
)

// Shortest times between two lines of progress, except the last of a stage.
const (
	plainEvery = 3 * time.Second
	jsonEvery  = 250 * time.Millisecond
)

// meter shows progress in one way.
type meter interface {
	builder.Progress
	end() // ends the display; it may be called more than once
}

func newMeter(mode string, w io.Writer) meter {
	switch mode {
	case "bar":
		return &barMeter{w: w}
	case "plain":
		return &lineMeter{every: plainEvery, now: time.Now, print: func(r report) { fmt.Fprintln(w, r.plain()) }}
	case "json":
		enc := json.NewEncoder(w)
		return &lineMeter{every: jsonEvery, opening: true, now: time.Now, print: func(r report) { _ = enc.Encode(r) }}
	}
	return silentMeter{}
}

type silentMeter struct{ builder.Silent }

func (silentMeter) end() {}

// report is one line of progress.
type report struct {
	MessageType string        `json:"message_type"`
	Stage       builder.Stage `json:"stage"`
	Done        int64         `json:"bytes_done"`
	Total       int64         `json:"bytes_total"`
	Seconds     float64       `json:"seconds_elapsed"`
}

// plain is the line for people and logs: what is done, how fast, what is left.
func (r report) plain() string {
	if r.Total <= 0 && r.Done == 0 {
		return fmt.Sprintf("mkimage: %s: done in %.1f s", r.Stage, r.Seconds)
	}
	if r.Total <= 0 || r.Done >= r.Total {
		return fmt.Sprintf("mkimage: %s: %s in %.1f s", r.Stage, humanBytes(r.Done), r.Seconds)
	}
	line := fmt.Sprintf("mkimage: %s: %s of %s, %d%%", r.Stage, humanBytes(r.Done), humanBytes(r.Total), int64(100*float64(r.Done)/float64(r.Total)))
	if r.Seconds > 0 && r.Done > 0 {
		rate := float64(r.Done) / r.Seconds
		line += fmt.Sprintf(", %s/s, %.0f s left", humanBytes(int64(rate)), float64(r.Total-r.Done)/rate)
	}
	return line
}

// lineMeter prints a line now and then, and one at the end of each stage.
type lineMeter struct {
	every   time.Duration
	opening bool // a line also when a stage begins
	now     func() time.Time
	print   func(report)
	began   time.Time // of the stage
	printed time.Time // when the last line was
	last    report
	pending bool // last was not printed
}

// Report prints a line when the last one is old enough or the stage is done.
func (m *lineMeter) Report(stage builder.Stage, done, total int64) {
	now := m.now()
	if stage != m.last.Stage {
		m.end()
		m.began, m.printed = now, now
		if m.opening {
			m.printed = time.Time{}
		}
	}
	m.last = report{MessageType: "status", Stage: stage, Done: done, Total: total}
	m.pending = true
	if now.Sub(m.printed) >= m.every || total > 0 && done >= total {
		m.flush(now)
	}
}

func (m *lineMeter) flush(now time.Time) {
	m.last.Seconds = now.Sub(m.began).Seconds()
	m.print(m.last)
	m.printed, m.pending = now, false
}

func (m *lineMeter) end() {
	if m.pending {
		m.flush(m.now())
	}
	m.last = report{}
}

// barMeter draws one bar a stage on a terminal.
type barMeter struct {
	w     io.Writer
	bars  *mpb.Progress
	bar   *mpb.Bar
	stage builder.Stage
}

// Report moves the bar, or begins the bar of another stage.
func (m *barMeter) Report(stage builder.Stage, done, total int64) {
	if m.bar == nil || stage != m.stage {
		m.end()
		if total <= 0 { // nothing to draw
			return
		}
		m.begin(stage, total)
	}
	m.bar.SetCurrent(done)
}

func (m *barMeter) begin(stage builder.Stage, total int64) {
	m.stage = stage
	m.bars = mpb.New(mpb.WithOutput(m.w), mpb.WithAutoRefresh())
	m.bar = m.bars.AddBar(total,
		mpb.PrependDecorators(
			decor.Name(string(stage), decor.WC{C: decor.DindentRight | decor.DextraSpace, W: len(builder.StageVerify)}),
			decor.CountersKibiByte("% .1f / % .1f")),
		mpb.AppendDecorators(
			decor.AverageSpeed(decor.SizeB1024(0), "% .1f", decor.WCSyncSpace),
			decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace), " done")))
}

func (m *barMeter) end() {
	if m.bar == nil {
		return
	}
	m.bar.Abort(false) // no effect on a bar that is full
	m.bars.Wait()
	m.bar = nil
}
