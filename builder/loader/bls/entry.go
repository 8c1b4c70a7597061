// Package bls reads and writes the text files of the Boot Loader
// Specification: menu entries of type #1 and loader.conf.
//
// Writing makes one form only: the keys in a fixed order, a space after each.
// Reading accepts what the specification does: comments, empty lines, tabs,
// CR LF, unknown keys, several initrd and options lines.
//
// Sources: UAPI.1 Boot Loader Specification (uapi-group.org), loader.conf(5)
// and systemd-boot(7) of systemd 257.
package bls

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Where systemd-boot looks for things, from the root of the ESP.
const (
	EntriesDir = "loader/entries"      // holds the entries
	ConfFile   = "loader/loader.conf"  // its configuration
	TypeFile   = "loader/entries.srel" // says which kind of entries EntriesDir holds
	TypeText   = "type1\n"             // what TypeFile holds
)

// FallbackPath is what firmware starts from a medium that it has no boot entry
// for, from the root of the ESP (UEFI 2.10, 3.5.1.1, for x86-64).
const FallbackPath = "EFI/BOOT/BOOTX64.EFI"

// maxText bounds a file that is parsed; entries have a few hundred bytes.
const maxText = 1 << 20

// Entry is a menu entry of type #1. Paths are as they stand in the file: from
// the root of the ESP, with a leading slash.
type Entry struct {
	Title        string
	Version      string // of the kernel
	MachineID    string // 32 hexadecimal digits
	SortKey      string // entries with one come first, in its order
	Architecture string // of the EFI program, such as "x64"
	Linux        string
	EFI          string
	UKI          string
	Initrd       []string
	Options      string   // the kernel's command line
	Devicetree   string   // path of a devicetree blob
	Overlays     []string // paths of devicetree overlays
}

// Encode returns the text of the entry. It refuses an entry that starts
// nothing and values that a line cannot hold.
func (e Entry) Encode() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, l := range e.lines() {
		if l.value == "" {
			continue
		}
		if err := checkValue(l.key, l.value); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s %s\n", l.key, l.value)
	}
	return []byte(b.String()), nil
}

type line struct{ key, value string }

// lines returns the entry's lines in the order of the specification's examples.
func (e Entry) lines() []line {
	out := []line{
		{"title", e.Title}, {"version", e.Version}, {"machine-id", e.MachineID}, {"sort-key", e.SortKey},
		{"architecture", e.Architecture}, {"linux", e.Linux}, {"efi", e.EFI}, {"uki", e.UKI},
	}
	for _, p := range e.Initrd {
		out = append(out, line{"initrd", p})
	}
	out = append(out, line{"options", e.Options}, line{"devicetree", e.Devicetree})
	if len(e.Overlays) > 0 {
		out = append(out, line{"devicetree-overlay", strings.Join(e.Overlays, " ")})
	}
	return out
}

// Files returns the paths of all files that the entry names.
func (e Entry) Files() []string {
	var out []string
	for _, p := range append([]string{e.Linux, e.EFI, e.UKI}, append(e.Initrd, append([]string{e.Devicetree}, e.Overlays...)...)...) {
		if p != "" {
			out = append(out, p)
		}
	}
	return out
}

// check makes the checks that both directions share.
func (e Entry) check() error {
	programs := 0
	for _, p := range []string{e.Linux, e.EFI, e.UKI} {
		if p != "" {
			programs++
		}
	}
	if programs != 1 {
		return fmt.Errorf("%d of the keys linux, efi and uki, expected one", programs)
	}
	for _, p := range e.Files() {
		if err := checkPath(p); err != nil {
			return err
		}
	}
	return nil
}

// checkPath refuses paths that do not name a file from the root of the ESP.
func checkPath(p string) error {
	rest := strings.TrimPrefix(p, "/")
	for element := range strings.SplitSeq(rest, "/") {
		if element == "" || element == "." || element == ".." {
			return fmt.Errorf("path %q: expected the path of a file from the root of the ESP", p)
		}
	}
	return nil
}

// checkValue refuses what a line cannot give back.
func checkValue(key, value string) error {
	if strings.TrimSpace(value) != value || strings.ContainsAny(value, "\r\n\x00") || !utf8.ValidString(value) {
		return fmt.Errorf("%s %q: expected UTF-8 on one line without space at either end", key, value)
	}
	return nil
}

// ParseEntry reads an entry. Unknown keys are passed over; of a key that is
// there twice the last one counts, but initrd, options and devicetree-overlay
// add up.
func ParseEntry(data []byte) (Entry, error) {
	var e Entry
	single := map[string]*string{
		"title": &e.Title, "version": &e.Version, "machine-id": &e.MachineID, "sort-key": &e.SortKey,
		"architecture": &e.Architecture, "linux": &e.Linux, "efi": &e.EFI, "uki": &e.UKI, "devicetree": &e.Devicetree,
	}
	err := eachLine(data, func(key, value string) error {
		switch key {
		case "initrd":
			e.Initrd = append(e.Initrd, value)
		case "options":
			e.Options = strings.TrimPrefix(e.Options+" "+value, " ")
		case "devicetree-overlay":
			e.Overlays = append(e.Overlays, strings.Fields(value)...)
		default:
			if p := single[key]; p != nil {
				*p = value
			}
		}
		return nil
	})
	if err != nil {
		return Entry{}, err
	}
	if err := e.check(); err != nil {
		return Entry{}, err
	}
	return e, nil
}

// eachLine calls f for every line that has a key and a value.
func eachLine(data []byte, f func(key, value string) error) error {
	switch {
	case len(data) > maxText:
		return fmt.Errorf("%d bytes, expected at most %d", len(data), maxText)
	case !utf8.Valid(data):
		return errors.New("text is not UTF-8")
	case strings.ContainsRune(string(data), 0):
		return errors.New("text holds a NUL")
	}
	n := 0
	for text := range strings.SplitSeq(string(data), "\n") {
		n++
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		key, value := text, ""
		if i := strings.IndexAny(text, " \t"); i > 0 {
			key, value = text[:i], strings.TrimSpace(text[i:])
		}
		if value == "" {
			continue // systemd-boot passes over it too
		}
		if err := checkValue(key, value); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := f(key, value); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return nil
}
