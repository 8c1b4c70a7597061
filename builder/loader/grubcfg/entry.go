package grubcfg

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Entry is a way to start Linux.
type Entry struct {
	ID      string
	Title   string
	Linux   string   // path of the kernel from the root of the ESP, with a leading slash
	Initrd  []string // paths of archives, which the kernel gets in a row
	Options string   // the kernel's command line, as CommandLine makes it
}

// imageWord is what GRUB puts in front of the command line, with the kernel's path.
const imageWord = "BOOT_IMAGE="

// maxCmdline is the longest command line that the kernel does not cut off: COMMAND_LINE_SIZE
// of arch/x86/include/asm/setup.h is 2048, with the NUL.
const maxCmdline = 2047

// validPath is the form of a path, which names of store objects fit.
var validPath = regexp.MustCompile(`^(/[A-Za-z0-9+_=?-][A-Za-z0-9+_.=?-]*)+$`)

// Files returns the paths of all files that the entry names.
func (e Entry) Files() []string { return append([]string{e.Linux}, e.Initrd...) }

// check refuses what the lines of an entry cannot say.
func (e Entry) check() error {
	if err := checkID(e.ID); err != nil {
		return err
	}
	if e.Title == "" || strings.ContainsFunc(e.Title, control) {
		return fmt.Errorf("entry %s: title %q: expected text on one line", e.ID, e.Title)
	}
	if len(e.Initrd) == 0 {
		return fmt.Errorf("entry %s: no initrd", e.ID)
	}
	for _, p := range e.Files() {
		if !validPath.MatchString(p) {
			return fmt.Errorf("entry %s: path %q: expected one from the root of the ESP, of letters, digits and any of + - _ . = ?", e.ID, p)
		}
	}
	if n := len(imageWord) + len(e.Linux) + 1 + len(e.Options); n > maxCmdline {
		return fmt.Errorf("entry %s: kernel command line of %d bytes, with the %s%s that GRUB adds, expected at most %d", e.ID, n, imageWord, e.Linux, maxCmdline)
	}
	return nil
}

// rootLine makes paths those of the file system that has the configuration, whatever was
// the root before: what update-grub writes leaves another one.
const rootLine = "\tregexp --set=1:root '^\\(([^)]*)\\)' \"$prefix\"\n"

// entryLines are the lines of an entry.
const entryLines = 5

// writeEntries writes entries, of which no two have one ID.
func writeEntries(b *bytes.Buffer, entries []Entry) error {
	seen := map[string]bool{}
	for _, e := range entries {
		if err := e.check(); err != nil {
			return err
		}
		if seen[e.ID] {
			return fmt.Errorf("entry %s: is there twice", e.ID)
		}
		seen[e.ID] = true
		arguments, err := arguments(e.Options)
		if err != nil {
			return fmt.Errorf("entry %s: %w", e.ID, err)
		}
		for i, a := range arguments {
			arguments[i] = quote(a)
		}
		fmt.Fprintf(b, "menuentry %s --unrestricted --id %s {\n%s", quoted(e.Title), e.ID, rootLine)
		fmt.Fprintf(b, "\tlinux %s\n", strings.Join(append([]string{quote(e.Linux)}, arguments...), " "))
		b.WriteString("\tinitrd")
		for _, p := range e.Initrd {
			b.WriteString(" " + quote(p))
		}
		b.WriteString("\n}\n")
	}
	return nil
}

// parseEntries reads entries.
func parseEntries(text string) ([]Entry, error) {
	var out []Entry
	lines := strings.SplitAfter(text, "\n")
	lines = lines[:len(lines)-1] // what is behind the last line's end shows when it is written again
	if len(lines)%entryLines != 0 {
		return nil, errForeign
	}
	for ; len(lines) > 0; lines = lines[entryLines:] {
		e, err := parseEntry(lines[0], lines[2], lines[3])
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func parseEntry(menuentry, linux, initrd string) (e Entry, err error) {
	first, err1 := split(menuentry)
	second, err2 := split(linux)
	third, err3 := split(initrd)
	if err := errors.Join(err1, err2, err3); err != nil {
		return e, err
	}
	if len(first) != 6 || len(second) < 2 || len(third) < 2 {
		return e, errForeign
	}
	var options []string
	for _, a := range second[2:] {
		options = append(options, received(a))
	}
	return Entry{ID: first[4], Title: first[1], Linux: second[1], Initrd: third[1:], Options: strings.Join(options, " ")}, nil
}
