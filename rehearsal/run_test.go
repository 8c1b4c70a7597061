package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	qemutests "github.com/6FaNcY9/mkimage/qemu-tests"
)

// clock is one on which each look takes a second.
type clock struct{ at time.Time }

func (c *clock) now() time.Time {
	c.at = c.at.Add(time.Second)
	return c.at
}

// made is a rehearsal whose steps end as their names say.
func made(names ...string) (*run, []step) {
	q := &Request{Subject: *fox(), Profile: "fox", Version: "v1", Now: (&clock{}).now}
	var steps []step
	for _, name := range names {
		s := step{id: name, title: "do " + name, part: PartRecover, run: func(context.Context) (string, error) { return "note", nil }}
		s.looks = strings.HasPrefix(name, "look")
		if strings.HasSuffix(name, "fails") {
			s.run = func(context.Context) (string, error) { return "", fmt.Errorf("%s: reason", name) }
		}
		steps = append(steps, s)
	}
	return q.start(), steps
}

func TestSteps(t *testing.T) {
	tests := []struct {
		name    string
		steps   []string
		results []string
		err     string
		held    bool
		verdict string
	}{
		{"all well", []string{"a", "look"}, []string{ResultOK, ResultOK}, "", true, "fox was lost and came back"},
		{"a look fails", []string{"a", "look fails", "b"}, []string{ResultOK, ResultFailed, ResultOK}, "do look fails: look fails: reason", false, "came back, but not as it was: 1 of 3 steps failed, the first \"do look fails\""},
		{"a step fails", []string{"a", "b fails", "look", "c"}, []string{ResultOK, ResultFailed, ResultNot, ResultNot}, "do b fails: b fails: reason", false, "did not come back: \"do b fails\" failed, and 2 steps after it were not done"},
		{"both", []string{"look fails", "b fails"}, []string{ResultFailed, ResultFailed}, "do look fails: look fails: reason", false, "2 of 2 steps failed"},
		{"none", nil, nil, "", false, "ended before it was done"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, steps := made(tt.steps...)
			r.report.Home = &Comparison{Path: "/home", Entries: 3}
			var began, ended []string
			r.Began = func(title string) { began = append(began, title) }
			r.Ended = func(d Done) { ended = append(ended, d.Title) }
			err := r.all(t.Context(), steps)
			if got := fmt.Sprint(err); got != tt.err && (err != nil || tt.err != "") {
				t.Errorf("error %q; want %q", got, tt.err)
			}
			var results []string
			for _, d := range r.report.Steps {
				results = append(results, d.Result)
			}
			if diff := cmp.Diff(tt.results, results); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(began, ended); diff != "" {
				t.Errorf("begun and ended:\n%s", diff)
			}
			r.report.conclude(time.Minute)
			if r.report.Held != tt.held || !strings.Contains(r.report.Verdict, tt.verdict) {
				t.Errorf("held %v, %q; want %v, %q", r.report.Held, r.report.Verdict, tt.held, tt.verdict)
			}
		})
	}
}

// TestStepsInterrupted: after a signal no step begins, also behind one that only looks.
func TestStepsInterrupted(t *testing.T) {
	r, steps := made("look fails", "b")
	ctx, cancel := context.WithCancel(t.Context())
	steps[0].run = func(context.Context) (string, error) { cancel(); return "", ctx.Err() }
	if err := r.all(ctx, steps); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v; want that of the context", err)
	}
	if got := r.report.Steps[1].Result; got != ResultNot {
		t.Errorf("the step behind it: %s", got)
	}
}

// TestFailureOfMachine: the report has the reason in a line, and the console beside it.
func TestFailureOfMachine(t *testing.T) {
	r, steps := made("a")
	steps[0].run = func(context.Context) (string, error) {
		return "", fmt.Errorf("around: %w", &qemutests.Failure{Err: errors.New("no answer"), Serial: []string{"one", "two"}})
	}
	if err := r.all(t.Context(), steps); err == nil {
		t.Error("no error")
	}
	if got := r.report.Steps[0].Error; got != "no answer" {
		t.Errorf("error %q", got)
	}
	if diff := cmp.Diff([]string{"one", "two"}, r.report.Console); diff != "" {
		t.Errorf("console:\n%s", diff)
	}
}

func TestPlan(t *testing.T) {
	r, _ := made()
	p := r.Plan()
	if len(p.Steps) != len(r.steps()) || p.DiskSize != minDisk || len(p.Changed) < 8 || len(p.Not) < 5 || p.Room <= systemRoom {
		t.Errorf("plan %+v", p)
	}
	for _, size := range []int64{minDisk - 1, minDisk, minDisk + 1} {
		r.DiskSize = size
		if got := r.Plan().DiskSize; got != max(size, minDisk) {
			t.Errorf("a disk of %d: %d", size, got)
		}
	}
	ids := map[string]bool{}
	for _, s := range r.steps() {
		if ids[s.id] {
			t.Errorf("two steps are %s", s.id)
		}
		ids[s.id] = true
	}
}

func TestKeep(t *testing.T) {
	r, _ := made()
	err := r.keep([]qemutests.Outcome{
		{Check: "boot", Seconds: 2}, {Check: "esp", Err: errors.New("plain")}, {Check: "factory", Err: &qemutests.Failure{Err: errors.New("short")}},
	})
	if err == nil || err.Error() != "not kept: esp, factory" {
		t.Errorf("error %v", err)
	}
	want := []Promise{{"boot", true, 2, ""}, {"esp", false, 0, "plain"}, {"factory", false, 0, "short"}}
	if diff := cmp.Diff(want, r.report.Promises); diff != "" {
		t.Errorf("promises (-want +got):\n%s", diff)
	}
}

func TestChangedDisks(t *testing.T) {
	if err := changedDisks([]Unchanged{{"stick", "a", "a"}}); err != nil {
		t.Error(err)
	}
	if err := changedDisks([]Unchanged{{"stick", "a", "b"}, {"backup disk", "a", "a"}, {"key medium", "a", ""}}); err == nil || err.Error() != "stick, key medium: changed" {
		t.Errorf("error %v", err)
	}
}

func TestEnds(t *testing.T) {
	for _, n := range []int{lineEnd - 1, lineEnd, lineEnd + 1} {
		want := strings.Repeat("ü", min(n, lineEnd)-1) + "z"
		if n > lineEnd {
			want = "..." + want
		}
		if got := ends([]string{strings.Repeat("ü", n-1) + "z"}); got[0] != want {
			t.Errorf("%d characters become %q; want %q", n, got[0], want)
		}
	}
}
