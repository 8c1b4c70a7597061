package firstboot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/6FaNcY9/mkimage/installer/durable"
)

// StatePath is the journal of the first boot.
const StatePath = StateDir + "/state.json"

// CompletePath is an empty file that is there when the journal says that every
// step of the system is done: the units of a first boot then have nothing to do,
// and do not even look.
const CompletePath = StateDir + "/complete"

// StateVersion is the version of the journal's form.
const StateVersion = 1

// Limits of the journal.
const (
	maxSteps     = 200      // that are kept, and the last that is done of each name
	maxStepText  = 2 << 10  // bytes of a text in a step
	maxStateFile = 16 << 20 // bytes
)

// Results of a step.
const (
	Running = "running" // it has begun
	Waiting = "waiting" // for a disk or a key
	Failed  = "failed"
	Done    = "done"
)

// Step is an entry of the journal: what was done, or was not, and why.
type Step struct {
	Name    string    `json:"name"`
	Result  string    `json:"result"`            // Running, Waiting, Failed or Done
	At      time.Time `json:"at"`                // of a clock that may be wrong
	Image   string    `json:"image,omitempty"`   // of the Config
	Message string    `json:"message,omitempty"` // for people
	Hint    string    `json:"hint,omitempty"`    // what to type or do
	Code    int       `json:"code,omitempty"`    // a Code; 0 for none
}

// State is the journal. The order of steps is that in which they were recorded:
// the clock of a first boot may be in 1970, and go back.
type State struct {
	steps   []Step
	damaged error
}

// stateFile is the form of the journal on the disk.
type stateFile struct {
	Version int    `json:"version"`
	Steps   []Step `json:"steps"`
}

// ReadState reads the journal at StatePath; without one it is empty. A file that
// is damaged, or of a newer mkimage, is kept as state.json.damaged, in place of
// an earlier one, and the journal begins anew: see Damaged.
func ReadState(f durable.FS) (*State, error) {
	s, err := loadState(f)
	if err != nil || s.damaged == nil {
		return s, err
	}
	lock, err := f.Lock(StateDir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	return currentState(f)
}

// currentState is ReadState of who has the lock.
func currentState(f durable.FS) (*State, error) {
	s, err := loadState(f)
	if err != nil || s.damaged == nil {
		return s, err
	}
	aside := StatePath + ".damaged"
	if err := f.Rename(StatePath, aside); err != nil {
		return nil, fmt.Errorf("%w, and it cannot be kept aside: %w", s.damaged, err)
	}
	if err := durable.Sync(f, StateDir); err != nil {
		return nil, err
	}
	s.damaged = fmt.Errorf("%w; it is kept as %s, and a new one is begun", s.damaged, aside)
	return s, nil
}

// loadState reads the journal and changes nothing.
func loadState(f durable.FS) (*State, error) {
	text, err := durable.Read(f, StatePath, maxStateFile+1)
	if errors.Is(err, fs.ErrNotExist) {
		return &State{}, nil
	}
	if err != nil {
		return nil, err
	}
	steps, err := parseState(text)
	if err != nil {
		return &State{damaged: fmt.Errorf("%s: %w", StatePath, err)}, nil
	}
	return &State{steps: steps}, nil
}

// parseState reads the journal's text.
func parseState(text []byte) ([]Step, error) {
	if len(text) > maxStateFile {
		return nil, fmt.Errorf("larger than %d bytes", maxStateFile)
	}
	var file stateFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	if file.Version != StateVersion {
		return nil, fmt.Errorf("version %d, expected %d", file.Version, StateVersion)
	}
	for i, step := range file.Steps {
		if err := step.check(); err != nil {
			return nil, fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return file.Steps, nil
}

func (s Step) check() error {
	if s.Name == "" {
		return errors.New("no name")
	}
	if !slices.Contains([]string{Running, Waiting, Failed, Done}, s.Result) {
		return fmt.Errorf("result %q, expected %s, %s, %s or %s", s.Result, Running, Waiting, Failed, Done)
	}
	return nil
}

// Damaged says what was wrong with the file that ReadState or Record found and
// kept aside; nil if nothing was.
func (s *State) Damaged() error { return s.damaged }

// Steps returns the entries, in the order in which they were recorded.
func (s *State) Steps() []Step { return slices.Clone(s.steps) }

// Last returns the last entry of a name.
func (s *State) Last(name string) (Step, bool) {
	for _, step := range slices.Backward(s.steps) {
		if step.Name == name {
			return step, true
		}
	}
	return Step{}, false
}

// Done reports whether a step of this name was ever done: what failed after that
// does not undo it.
func (s *State) Done(name string) bool {
	return slices.ContainsFunc(s.steps, func(step Step) bool { return step.Name == name && step.Result == Done })
}

// Record adds a step to the journal on the disk, and reads from there what
// others have recorded since s was read. Long texts are cut short.
func (s *State) Record(f durable.FS, step Step) error {
	if err := step.check(); err != nil {
		return fmt.Errorf("step of the first boot: %w", err)
	}
	if err := durable.MkdirAll(f, StateDir, 0o755); err != nil {
		return err
	}
	lock, err := f.Lock(StateDir)
	if err != nil {
		return err
	}
	defer lock.Close()
	current, err := currentState(f)
	if err != nil {
		return err
	}
	steps := trim(append(current.steps, step.cut()))
	text, err := json.MarshalIndent(stateFile{StateVersion, steps}, "", "\t")
	if err != nil {
		return err
	}
	if err := durable.Write(f, StatePath, append(text, '\n'), 0o644); err != nil {
		return err
	}
	s.steps = steps
	s.damaged = errors.Join(s.damaged, current.damaged)
	return nil
}

// cut returns a step whose texts are short, and in UTC.
func (s Step) cut() Step {
	for _, text := range []*string{&s.Name, &s.Image, &s.Message, &s.Hint} {
		if len(*text) > maxStepText {
			end := maxStepText
			for end > 0 && !utf8.RuneStart((*text)[end]) {
				end--
			}
			*text = (*text)[:end] + "…"
		}
		*text = strings.ToValidUTF8(*text, "\uFFFD")
	}
	if s.At = s.At.UTC(); s.At.Year() < 0 || s.At.Year() > 9999 { // JSON has no more
		s.At = time.Time{}
	}
	return s
}

// trim returns the last steps, after the last that is done of each name.
func trim(steps []Step) []Step {
	first := max(0, len(steps)-maxSteps)
	done := map[string]bool{}
	var kept []Step
	for i, step := range slices.Backward(steps) {
		if i >= first || step.Result == Done && !done[step.Name] {
			kept = append(kept, step)
		}
		done[step.Name] = done[step.Name] || step.Result == Done
	}
	slices.Reverse(kept)
	return kept
}
