// Package preflight finds out whether an installation can succeed, before
// anything of a disk is erased: by what the machine is, and by what the system's
// own programs say about the recovery of a home. All findings are made at once,
// good and bad ones.
//
// What it does not do: it writes to no disk, decides on no disk, and decrypts
// nothing itself; the payload's mkimage-firstboot does.
package preflight

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Proofs that a profile may do without: words of installer.missing.
const (
	ProofKey    = "key"
	ProofBackup = "backup"
)

// Finding is one thing that was looked at.
type Finding struct {
	Name    string `json:"name"` // what was looked at, such as "memory"
	Text    string `json:"text"` // how it is
	Hint    string `json:"hint,omitempty"`
	OK      bool   `json:"ok"`
	Warning bool   `json:"warning,omitempty"` // it is not as it should be, and nothing stops for it
	Waived  bool   `json:"waived,omitempty"`  // the profile does without it: see Waive
	Proof   string `json:"proof,omitempty"`   // the word of installer.missing that waives it, "" for none
	Code    int    `json:"code,omitempty"`    // a firstboot.Code of what is not OK, 0 for none
}

// Stops reports whether nothing may be erased because of it.
func (f Finding) Stops() bool { return !f.OK && !f.Warning && !f.Waived }

// Report is what mkimage-firstboot prove prints as JSON.
type Report struct {
	Version  int       `json:"version"`
	Findings []Finding `json:"findings"`
}

// ReportVersion is the version of a Report's form.
const ReportVersion = 1

// Waive marks what a profile does without: missing is its installer.missing.
func Waive(list []Finding, missing []string) {
	for i := range list {
		if f := &list[i]; f.Stops() && f.Proof != "" && slices.Contains(missing, f.Proof) {
			f.Waived = true
		}
	}
}

// WithoutKey has the finding that there is no key say why.
func WithoutKey(list []Finding, why string) {
	for i := range list {
		if f := &list[i]; f.Proof == ProofKey && f.Code == int(firstboot.CodeNoKey) {
			f.Text = why
		}
	}
}

// Refused returns an error of class fault.Target when something stops the
// installation, with all that does.
func Refused(list []Finding) error {
	var texts []string
	hint := ""
	for _, f := range list {
		if !f.Stops() {
			continue
		}
		texts = append(texts, f.Name+": "+f.Text)
		if hint == "" {
			hint = f.Hint
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return fault.New(fault.Target, printable(hint), "nothing was erased: %s", printable(strings.Join(texts, "; ")))
}

// Write prints all findings for people, each on a line and, where there is
// something to do, a second one.
func Write(w io.Writer, list []Finding) error {
	width := 0
	for _, f := range list {
		width = max(width, len(printable(f.Name)))
	}
	for _, f := range list {
		if _, err := fmt.Fprintf(w, "%-7s  %-*s  %s\n", f.mark(), width, printable(f.Name), printable(f.Text)); err != nil {
			return err
		}
		if f.OK || f.Hint == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-7s  %-*s  hint: %s\n", "", width, "", printable(f.Hint)); err != nil {
			return err
		}
	}
	return nil
}

// mark is how a finding begins.
func (f Finding) mark() string {
	switch {
	case f.OK:
		return "ok"
	case f.Waived:
		return "waived"
	case f.Warning:
		return "warning"
	}
	return "STOP"
}

// printable is a text in which nothing moves a cursor: names of hosts and of
// disks are in it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}
