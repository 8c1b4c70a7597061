package rehearsal

import (
	"encoding/json"
	"fmt"
	"time"
)

// ReportVersion is the version of the form of a Report as JSON.
const ReportVersion = 1

// Report is what a rehearsal found. Lists are in the order in which things happened.
type Report struct {
	Version   int         `json:"version"`
	Profile   string      `json:"profile"`   // that was asked for
	Installer string      `json:"installer"` // the profile of the stick
	System    string      `json:"system"`    // the profile of what it installs
	Host      string      `json:"host"`      // host name of the machine that was lost
	Began     time.Time   `json:"began"`
	Seconds   float64     `json:"seconds"`
	Held      bool        `json:"held"` // everything: all steps, and what they compared
	Verdict   string      `json:"verdict"`
	Hint      string      `json:"hint,omitempty"` // what to do where it did not hold
	Steps     []Done      `json:"steps"`
	Split     []Part      `json:"split"` // how the time was spent
	Home      *Comparison `json:"home,omitempty"`
	Disks     []Unchanged `json:"disks"` // that must not change
	Secrets   []Placed    `json:"secrets"`
	Promises  []Promise   `json:"promises"`
	Versions  Versions    `json:"versions"`
	Changed   []string    `json:"changed"` // what of the profiles the stand-in has otherwise
	Not       []string    `json:"not_rehearsed"`
	Screens   []Screen    `json:"screens"`
	Console   []string    `json:"console,omitempty"` // the last lines of the recovery
}

// The results of a step.
const (
	ResultOK     = "ok"
	ResultFailed = "failed"
	ResultNot    = "not done" // an earlier one failed
)

// Done is a step that was to be done.
type Done struct {
	ID      string  `json:"id"`
	Title   string  `json:"title"`
	Part    string  `json:"part"`
	Result  string  `json:"result"`
	Seconds float64 `json:"seconds"`
	Note    string  `json:"note,omitempty"`  // what it found
	Error   string  `json:"error,omitempty"` // why it failed
}

// Part is a share of the time.
type Part struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Unchanged is a disk that a recovery reads and must not change.
type Unchanged struct {
	Name   string `json:"name"`
	Before string `json:"sha256_before"`
	After  string `json:"sha256_after,omitempty"` // "" when it was not looked at
}

// Held reports whether the disk is as it was.
func (u Unchanged) Held() bool { return u.Before == u.After }

// Placed is a secret, or the key of them, in the recovered system.
type Placed struct {
	Name string `json:"name"`
	Path string `json:"path"`
	Want string `json:"expected"` // mode, owner, group and SHA-256
	Got  string `json:"found"`
}

// Held reports whether the secret is as the profile wants it.
func (p Placed) Held() bool { return p.Want == p.Got }

// Promise is a promise of the profile, kept or not.
type Promise struct {
	Name    string  `json:"name"`
	Kept    bool    `json:"kept"`
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error,omitempty"`
}

// Versions are those of what took part.
type Versions struct {
	Mkimage     string `json:"mkimage"`
	Kernel      string `json:"kernel,omitempty"` // of the recovered system
	Restic      string `json:"restic,omitempty"`
	QEMU        string `json:"qemu,omitempty"`
	Accelerator string `json:"accelerator,omitempty"`
}

// Screen is a picture of the machine's screen.
type Screen struct {
	Title string `json:"title"`
	PNG   []byte `json:"-"` // in the page alone
}

// Encode returns the report as indented JSON.
func (r *Report) Encode() ([]byte, error) {
	data, err := json.MarshalIndent(r, "", "  ")
	return append(data, '\n'), err
}

// conclude says what came of it: the steps, and what was compared.
func (r *Report) conclude(took time.Duration) {
	r.Seconds = round(took)
	failed, left := 0, 0
	var first *Done
	for i := range r.Steps {
		switch r.Steps[i].Result {
		case ResultFailed:
			if failed++; first == nil {
				first = &r.Steps[i]
			}
		case ResultNot:
			left++
		}
		r.spend(r.Steps[i].Part, r.Steps[i].Seconds)
	}
	r.Held = failed == 0 && left == 0 && len(r.Steps) > 0
	switch {
	case r.Held && r.Home != nil:
		r.Verdict = fmt.Sprintf("%s was lost and came back: the system runs, and all %d entries of %s are as they were.", r.Host, r.Home.Entries, r.Home.Path)
	case first != nil && left > 0:
		r.Verdict = fmt.Sprintf("%s did not come back: %q failed, and %d steps after it were not done.", r.Host, first.Title, left)
	case first != nil:
		r.Verdict = fmt.Sprintf("%s came back, but not as it was: %d of %d steps failed, the first %q.", r.Host, failed, len(r.Steps), first.Title)
	default:
		r.Verdict = fmt.Sprintf("%s: the rehearsal was ended before it was done.", r.Host)
	}
}

func (r *Report) spend(part string, seconds float64) {
	for i := range r.Split {
		if r.Split[i].Name == part {
			r.Split[i].Seconds += seconds
			return
		}
	}
	r.Split = append(r.Split, Part{part, seconds})
}

// round returns a time in seconds, to the tenth.
func round(d time.Duration) float64 {
	return float64(d.Round(100*time.Millisecond)) / float64(time.Second)
}
