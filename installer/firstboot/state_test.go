package firstboot

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/durable/cut"
)

const damagedPath = StatePath + ".damaged"

func readState(t testing.TB, f durable.FS) *State {
	t.Helper()
	s, err := ReadState(f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func record(t testing.TB, f durable.FS, s *State, step Step) {
	t.Helper()
	if err := s.Record(f, step); err != nil {
		t.Fatal(err)
	}
}

func TestStateRecord(t *testing.T) {
	f := cut.New()
	s := readState(t, f)
	if len(s.Steps()) != 0 || s.Damaged() != nil || s.Done("key") {
		t.Fatalf("without a file: %+v", s)
	}
	late := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := []Step{
		{Name: "key", Result: Running, At: late, Image: "bandit"},
		{Name: "key", Result: Done, At: time.Unix(1, 0).UTC(), Image: "bandit"}, // the clock went back
		{Name: "restore", Result: Waiting, At: time.Unix(0, 0).UTC(), Message: "no disk", Hint: "plug it in", Code: int(CodeNoDisk)},
		{Name: "restore", Result: Failed, At: late.Add(-time.Hour)},
		{Name: "key", Result: Failed},
	}
	for _, step := range want {
		record(t, f, s, step)
	}
	for name, s := range map[string]*State{"in memory": s, "on the disk": readState(t, f)} {
		if diff := cmp.Diff(want, s.Steps()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if last, ok := s.Last("key"); !ok || last != want[4] {
			t.Errorf("%s: Last: %v, %t, expected %v", name, last, ok, want[4])
		}
		if _, ok := s.Last("x"); ok {
			t.Errorf("%s: Last finds a step that there is not", name)
		}
		if !s.Done("key") || s.Done("restore") || s.Done("x") {
			t.Errorf("%s: Done: key %t, restore %t, x %t, expected only key", name, s.Done("key"), s.Done("restore"), s.Done("x"))
		}
		s.Steps()[0].Name = "changed"
		if s.Steps()[0].Name != "key" {
			t.Errorf("%s: Steps returns what it has, expected a copy", name)
		}
	}
	if info, err := f.Lstat(StatePath); err != nil || info.Mode != 0o644 {
		t.Errorf("%v, %v, expected mode 0644", info, err)
	}
}

// Two processes record in turn, each of what it read first.
func TestStateRecordOfTwo(t *testing.T) {
	f := cut.New()
	a, b := readState(t, f), readState(t, f)
	record(t, f, a, Step{Name: "key", Result: Done})
	record(t, f, b, Step{Name: "restore", Result: Running})
	record(t, f, a, Step{Name: "secrets", Result: Done})
	var got []string
	for _, step := range readState(t, f).Steps() {
		got = append(got, step.Name)
	}
	if diff := cmp.Diff([]string{"key", "restore", "secrets"}, got); diff != "" {
		t.Error(diff)
	}
	if !b.Done("key") {
		t.Error("who records does not learn what others have done")
	}
}

func TestStateRefusesSteps(t *testing.T) {
	f := cut.New()
	s := &State{}
	for _, step := range []Step{{}, {Name: "x"}, {Result: Done}, {Name: "x", Result: "finished"}} {
		if err := s.Record(f, step); err == nil {
			t.Errorf("Record(%+v): no error", step)
		}
	}
	if len(f.Names()) != 0 || len(s.Steps()) != 0 {
		t.Errorf("%q and %v, expected nothing", f.Names(), s.Steps())
	}
}

func TestStateTrim(t *testing.T) {
	steps := []Step{{Name: "key", Result: Done, Code: 1}, {Name: "key", Result: Done, Code: 2}, {Name: "secrets", Result: Failed}, {Name: "secrets", Result: Done}}
	for n := range maxSteps - 4 {
		steps = append(steps, Step{Name: "restore", Result: Waiting, Code: n})
	}
	next := Step{Name: "restore", Result: Failed}
	tests := []struct {
		name string
		in   []Step
		want []Step
	}{
		{"empty", nil, nil},
		{"one less", steps[1:], steps[1:]},
		{"as many", steps, steps},
		{"one more", append(steps[:maxSteps:maxSteps], next), append(append([]Step{}, steps[1:]...), next)},
		{"three more", append(steps[:maxSteps:maxSteps], next, next, next), append(append(append([]Step{}, steps[1]), steps[3:]...), next, next, next)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, trim(tt.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
	f, s := cut.New(), &State{}
	for n := range 2*maxSteps + 1 {
		record(t, f, s, Step{Name: "restore", Result: Waiting, Code: n})
		if n == 0 {
			record(t, f, s, Step{Name: "key", Result: Done})
		}
	}
	s = readState(t, f)
	if !s.Done("key") || len(s.Steps()) != maxSteps+1 || s.Steps()[1].Code != maxSteps+1 {
		t.Errorf("%d steps, the first %v, expected %d and that key is done", len(s.Steps()), s.Steps()[:2], maxSteps+1)
	}
}

func TestStateTexts(t *testing.T) {
	f, s := cut.New(), &State{}
	for text, want := range map[string]string{
		strings.Repeat("x", maxStepText):         strings.Repeat("x", maxStepText),
		strings.Repeat("x", maxStepText+1):       strings.Repeat("x", maxStepText) + "…",
		strings.Repeat("x", maxStepText-1) + "é": strings.Repeat("x", maxStepText-1) + "…",
		strings.Repeat("x", maxStepText-2) + "é": strings.Repeat("x", maxStepText-2) + "é",
		"a\xffb": "a\uFFFDb",
	} {
		record(t, f, s, Step{Name: "x", Result: Failed, Message: text, Hint: text, At: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)})
		got, _ := readState(t, f).Last("x")
		if has, _ := s.Last("x"); has != got {
			t.Errorf("in memory: %+v, on the disk: %+v", has, got)
		}
		if got.Message != want || got.Hint != want || !got.At.IsZero() {
			t.Errorf("%d bytes: %d bytes %q…, %v, expected %d bytes", len(text), len(got.Message), got.Message[:3], got.At, len(want))
		}
	}
}

func TestStateDamaged(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "unexpected end of JSON input"},
		{"cut short", `{"version":1,"steps":[{"na`, "unexpected end of JSON input"},
		{"zeros", "\x00\x00\x00", "invalid character"},
		{"more behind it", `{"version":1,"steps":[]}}`, "invalid character"},
		{"newer", `{"version":2,"steps":[]}`, "version 2, expected 1"},
		{"null", `null`, "version 0, expected 1"},
		{"result", `{"version":1,"steps":[{"name":"x","result":"done"},{"name":"x","result":"ok"}]}`, `step 2: result "ok"`},
		{"no name", `{"version":1,"steps":[{"result":"done"}]}`, "step 1: no name"},
	}
	for _, tt := range tests {
		for how, begin := range map[string]func(f durable.FS) (*State, error){
			"ReadState": ReadState,
			"Record": func(f durable.FS) (*State, error) {
				s := &State{}
				return s, s.Record(f, Step{Name: "x", Result: Done})
			},
		} {
			t.Run(tt.name+" "+how, func(t *testing.T) {
				f := cut.New()
				f.Put(StatePath, tt.text, 0o644, 0)
				f.Put(damagedPath, "older", 0o644, 0)
				s, err := begin(f)
				if err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprint(s.Damaged()); !strings.HasPrefix(got, StatePath+": "+tt.want) || !strings.Contains(got, damagedPath) {
					t.Errorf("Damaged: %s, expected %s", got, tt.want)
				}
				if kept, _ := f.Text(damagedPath); kept != tt.text {
					t.Errorf("kept: %q, expected %q", kept, tt.text)
				}
				if again := readState(t, f); again.Damaged() != nil || again.Done("x") != (how == "Record") {
					t.Errorf("ReadState again: %v, %v", again.Damaged(), again.Steps())
				}
			})
		}
	}
}

func TestStateLimit(t *testing.T) {
	const text = `{"version":1,"steps":[]}`
	for size, want := range map[int]bool{maxStateFile - 1: true, maxStateFile: true, maxStateFile + 1: false} {
		if _, err := parseState([]byte(text + strings.Repeat(" ", size-len(text)))); (err == nil) != want {
			t.Errorf("%d bytes: %v, expected it to be read: %t", size, err, want)
		}
	}
}

func TestStateCut(t *testing.T) {
	old := cut.New()
	record(t, old, &State{}, Step{Name: "key", Result: Done})
	text, _ := old.Text(StatePath)
	damaged := `{"version":1,`
	for name, before := range map[string]string{"none": "", "old": text, "damaged": damaged} {
		t.Run(name, func(t *testing.T) {
			start := cut.New()
			start.PutDir("/var", 0o755, 0)
			if before != "" {
				start.Put(StatePath, before, 0o644, 0)
			}
			run := cut.Run{
				Start: start,
				Do: func(f *cut.FS) error {
					s, err := ReadState(f)
					if err != nil {
						return err
					}
					return s.Record(f, Step{Name: "restore", Result: Running})
				},
				Check: func(f *cut.FS) error { return checkState(f, before == text, before == damaged, false) },
				Done:  func(f *cut.FS) error { return checkState(f, before == text, before == damaged, true) },
			}
			states, err := run.Explore()
			if err != nil {
				t.Error(err)
			}
			calls, err := run.Faults(nil)
			if err != nil {
				t.Error(err)
			}
			t.Logf("%d states, %d calls", states, calls)
		})
	}
}

// checkState is an error if something that was recorded is not there, or a
// damaged file is nowhere, or another file is damaged.
func checkState(f *cut.FS, key, damaged, recorded bool) error {
	text, there := f.Text(StatePath)
	kept, aside := f.Text(damagedPath)
	steps, err := parseState([]byte(text))
	s := &State{steps: steps}
	_, running := s.Last("restore")
	switch {
	case aside != damaged && (aside || recorded), aside && kept != `{"version":1,`:
		return fmt.Errorf("kept aside: %t with %q", aside, kept)
	case there && err != nil && (!damaged || aside || recorded):
		return err
	case damaged && !aside && err == nil:
		return errors.New("the damaged file is lost")
	case key && !s.Done("key"):
		return errors.New("what was done is lost")
	case recorded && !running:
		return fmt.Errorf("what was recorded: %w", fs.ErrNotExist)
	}
	return nil
}

func FuzzReadState(f *testing.F) {
	f.Add([]byte(`{"version":1,"steps":[{"name":"x","result":"done","at":"1970-01-01T00:00:00Z","code":30}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, text []byte) {
		files := cut.New()
		files.Put(StatePath, string(text), 0o644, 0)
		s := readState(t, files)
		_, aside := files.Text(damagedPath)
		if aside != (s.Damaged() != nil) {
			t.Fatalf("kept aside: %t, Damaged: %v", aside, s.Damaged())
		}
		record(t, files, s, Step{Name: "y", Result: Done})
		if again := readState(t, files); again.Damaged() != nil || !again.Done("y") {
			t.Errorf("after Record: %v", again.Damaged())
		}
	})
}
