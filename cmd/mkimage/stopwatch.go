package main

import (
	"math"
	"slices"
	"time"

	"github.com/6FaNcY9/mkimage/builder"
)

// stopwatch measures the stages of a run on their way to the display.
type stopwatch struct {
	next  builder.Progress
	began time.Time // of the stage
	start time.Time // of the run
	stage builder.Stage
	times []stageTime
}

// stageTime is how long a stage took. A stage that came several times is
// listed once.
type stageTime struct {
	Stage   builder.Stage `json:"stage"`
	Seconds float64       `json:"seconds"`
}

func newStopwatch(next builder.Progress) *stopwatch {
	return &stopwatch{next: next, start: time.Now()}
}

// Report implements builder.Progress.
func (s *stopwatch) Report(stage builder.Stage, done, total int64) {
	if stage != s.stage {
		s.lap(time.Now())
		s.stage = stage
	}
	s.next.Report(stage, done, total)
}

// lap ends the present stage.
func (s *stopwatch) lap(now time.Time) {
	if s.stage != "" {
		took := now.Sub(s.began).Seconds()
		i := slices.IndexFunc(s.times, func(t stageTime) bool { return t.Stage == s.stage })
		if i < 0 {
			s.times = append(s.times, stageTime{Stage: s.stage})
			i = len(s.times) - 1
		}
		s.times[i].Seconds += took
	}
	s.began, s.stage = now, ""
}

// end ends the last stage and returns all of them, in the order in which they
// began.
func (s *stopwatch) end() []stageTime {
	s.lap(time.Now())
	for i := range s.times {
		s.times[i].Seconds = milliseconds(s.times[i].Seconds)
	}
	return s.times
}

// seconds is how long the run has taken.
func (s *stopwatch) seconds() float64 { return milliseconds(time.Since(s.start).Seconds()) }

// milliseconds rounds seconds to what a summary shows.
func milliseconds(seconds float64) float64 { return math.Round(seconds*1000) / 1000 }
