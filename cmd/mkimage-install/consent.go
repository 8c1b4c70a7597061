package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// errStopped says that a person did not agree.
var errStopped = errors.New("stopped before anything was written")

// consent returns once the erasing of the target is agreed to: by the medium,
// which was made for this machine, in a time in which a key stops it; or by a
// person who types what is erased.
func (h *here) consent(ctx context.Context) error {
	in := h.medium.Manifest.Plan.Medium.Installer
	if h.agreed {
		return nil
	}
	if !madeFor(&in, h.disk, dmi("product_name"), dmi("product_serial")) {
		return h.ask(ctx, "this medium was not made for this machine alone")
	}
	pressed, err := h.countdown(ctx, in.Countdown, h.what())
	if err != nil || !pressed {
		return err
	}
	return h.ask(ctx, "a key was pressed")
}

// what says what will be done to the target.
func (h *here) what() string {
	if h.keep {
		return "The system on " + h.disk.Path + " is replaced, and /home stays:"
	}
	return h.disk.Path + " will be erased"
}

// dmi returns what the firmware says of the machine.
func dmi(name string) string {
	text, _ := os.ReadFile(filepath.Join("/sys/class/dmi/id", name))
	return strings.TrimSpace(string(text))
}

// countdown shows what will happen and waits for so many seconds; it returns at
// once when a key is pressed.
func (h *here) countdown(ctx context.Context, seconds int, what string) (pressed bool, err error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for left := seconds; left > 0; {
		h.show.say(fmt.Sprintf("%s in %d s. Any key stops it.", what, left))
		select {
		case in := <-h.show.terminals.Input():
			if in.Err != nil {
				h.show.terminals.Drop(in.From)
				continue
			}
			return true, nil
		case <-tick.C:
			left--
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	h.show.say()
	return false, nil
}

// word is what a person types to have a disk erased: it cannot be typed by
// somebody who thinks of another one.
func (h *here) word() string {
	verb := "erase "
	if h.keep {
		verb = "replace the system on "
	}
	if h.disk.Serial != "" {
		return verb + h.disk.Serial
	}
	return verb + h.disk.Name
}

// ask has a person type what is erased.
func (h *here) ask(ctx context.Context, why string) error {
	word := h.word()
	typed := ""
	for {
		if len(h.show.terminals.All) == 0 {
			return fault.New(fault.Target, "build it with --unattended, or for this machine", "%w: %s, and nobody can be asked: no console takes keys", errStopped, why)
		}
		h.show.say(why+".", fmt.Sprintf("%s. To agree, type this and Enter; Esc ends without it:", strings.TrimSuffix(h.what(), ":")), "  "+word, "> "+typed)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case in := <-h.show.terminals.Input():
			if in.Err != nil {
				h.show.terminals.Drop(in.From)
				continue
			}
			var answer answer
			if typed, answer = edit(typed, in.Text); answer == unanswered {
				continue
			}
			h.show.say()
			if answer == given && typed == word {
				h.agreed = true
				return nil
			}
			return fault.New(fault.Target, "exit, which starts the installer again", "%w: %s", errStopped, h.disk)
		}
	}
}

// answer is what keys have made of a question.
type answer int

const (
	unanswered answer = iota
	given
	refused
)

// maxTyped bounds what is typed, in bytes.
const maxTyped = 200

// edit takes keys into a line.
func edit(line string, keys []byte) (string, answer) {
	for _, k := range keys {
		switch {
		case k == '\r' || k == '\n':
			return line, given
		case k == 0x1b || k == 3 || k == 4: // Esc, Ctrl-C, Ctrl-D
			return line, refused
		case k == 8 || k == 0x7f:
			line = line[:max(0, len(line)-1)]
		case k >= ' ' && k < 0x7f && len(line) < maxTyped:
			line += string(rune(k))
		}
	}
	return line, unanswered
}
