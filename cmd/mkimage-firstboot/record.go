package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// record notes in the journal how a step ended, and returns err with what went
// wrong with that. A step that stands as it did is not noted again: the secrets
// are decrypted at every boot.
func (s *system) record(c *firstboot.Config, name string, err error, message string) error {
	step := firstboot.Step{Name: name, Result: firstboot.ResultOf(err), At: time.Now().UTC(), Image: c.Image, Message: message}
	if err != nil {
		step.Message, step.Hint, step.Code = err.Error(), s.hint(err), int(firstboot.CodeOf(err))
	}
	state, readErr := firstboot.ReadState(s.files())
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	if damaged := state.Damaged(); damaged != nil {
		fmt.Fprintf(s.err, "mkimage-firstboot: %v\n", damaged)
	}
	last, ok := state.Last(name)
	if !ok || last.Result != step.Result || last.Code != step.Code || last.Image != step.Image || last.Message != step.Message {
		if recordErr := state.Record(s.files(), step); recordErr != nil {
			return errors.Join(err, recordErr)
		}
	}
	s.announce(c, state)
	return err
}

// notices are where login prompts and sessions look for what to show:
// agetty(8) and pam_motd(8).
var notices = []string{"/run/issue.d/80-mkimage.issue", "/run/motd.d/80-mkimage"}

// announce tells whoever logs in what is missing, and nothing when all is done.
// It is best effort: the journal has it too.
func (s *system) announce(c *firstboot.Config, state *firstboot.State) {
	r := s.report(c, state)
	if err := s.markComplete(r.Done); err != nil {
		fmt.Fprintf(s.err, "mkimage-firstboot: %v\n", err)
	}
	for _, name := range notices {
		name = filepath.Join(s.root, name)
		if r.Done {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				fmt.Fprintf(s.err, "mkimage-firstboot: %v\n", err)
			}
			continue
		}
		if err := writeNotice(name, r.notice(s.program)); err != nil {
			fmt.Fprintf(s.err, "mkimage-firstboot: %v\n", err)
		}
	}
}

// markComplete has the file that says so be there or not.
func (s *system) markComplete(complete bool) error {
	f := s.files()
	switch _, err := f.Lstat(firstboot.CompletePath); {
	case err == nil && !complete:
		return f.Remove(firstboot.CompletePath)
	case errors.Is(err, fs.ErrNotExist) && complete:
		return durable.Write(f, firstboot.CompletePath, nil, 0o644)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return err
	}
}

func writeNotice(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// notice is the report in a few lines for a login prompt. Backslashes would be
// escapes of agetty's.
func (r *report) notice(program string) string {
	var b strings.Builder
	b.WriteString(firstboot.Typed("This system is not complete yet (mkimage-firstboot status):\n", program))
	for _, step := range r.Steps {
		if step.Result == firstboot.Done {
			continue
		}
		fmt.Fprintf(&b, "  %s: %s: %s\n", step.Name, step.Result, oneLine(step.Message))
		if step.Hint != "" {
			fmt.Fprintf(&b, "    %s\n", oneLine(step.Hint))
		}
	}
	return strings.ReplaceAll(b.String(), `\`, "/") + "\n"
}
