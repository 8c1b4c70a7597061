// Package grubcfg reads and writes the files that GRUB is configured with: the
// menu, and the block of variables that names the entry of one boot.
//
// It writes one form and reads that form alone: what a system's own tools make of
// the file later is a program in GRUB's language, of which nobody can say what it
// starts without running it. What is read back gives the same bytes.
//
// The menu has no submenus, and nobody can change an entry or get a command line:
// GRUB asks for the name of a superuser before that, and there is none. It would
// ask for one on the way back from a submenu too.
//
// Sources: the manual of GNU GRUB 2.12, "Writing full configuration files
// directly", "Shell-like scripting" and "Environment block"; and, for what it makes
// of the words of a kernel's command line, grub-core/lib/cmdline.c.
package grubcfg

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Where the files are, from the root of the ESP. With the ESP at /boot they are where
// a system's own tools write the first, and read the others.
const (
	Dir        = "grub"
	ConfFile   = Dir + "/grub.cfg"
	CustomFile = Dir + "/custom.cfg" // update-grub makes a grub.cfg that has these entries too
	EnvFile    = Dir + "/grubenv"
)

// MaxSize bounds a file, in bytes. An entry has some hundred.
const MaxSize = 1 << 20

// firstLine begins a file.
const firstLine = "# Written by mkimage.\n"

// Conf is grub.cfg.
type Conf struct {
	Timeout int     // seconds that the menu waits; with 0 it is there for who presses Escape
	Default string  // ID of the entry that is started
	Entries []Entry // in the order of the menu
	Custom  bool    // the entries of CustomFile come behind them
}

// header is what comes behind timeout and default. An entry that next_entry of
// EnvFile names, as grub-reboot does, is started once. The list of superusers is
// there and empty.
const header = `if [ -s "$prefix/grubenv" ]; then
	load_env next_entry
fi
if [ "$next_entry" ]; then
	set default="$next_entry"
	set next_entry=
	save_env next_entry
fi
set superusers=
export superusers
`

// customLine ends a file with Custom.
const customLine = "source \"$prefix/custom.cfg\"\n"

// Encode returns the text of the file. It refuses what GRUB would not read as it is
// meant.
func (c Conf) Encode() ([]byte, error) {
	if c.Timeout < 0 {
		return nil, fmt.Errorf("timeout %d, expected 0 or more", c.Timeout)
	}
	if err := checkID(c.Default); err != nil {
		return nil, fmt.Errorf("default: %w", err)
	}
	style := "menu"
	if c.Timeout == 0 {
		style = "hidden"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%sset timeout=%d\nset timeout_style=%s\nset default=%s\n%s", firstLine, c.Timeout, style, c.Default, header)
	if err := writeEntries(&b, c.Entries); err != nil {
		return nil, err
	}
	if c.Custom {
		b.WriteString(customLine)
	}
	return readable(&b)
}

// readable returns a file that Parse does not refuse.
func readable(b *bytes.Buffer) ([]byte, error) {
	if err := checkText(b.Bytes()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// EncodeCustom returns the text of CustomFile.
func EncodeCustom(entries []Entry) ([]byte, error) {
	b := bytes.NewBufferString(firstLine)
	if err := writeEntries(b, entries); err != nil {
		return nil, err
	}
	return readable(b)
}

// errForeign is what a file is that others have written.
var errForeign = errors.New("is not as mkimage writes it")

// head is the part of a file before its entries.
var head = regexp.MustCompile(`\A` + regexp.QuoteMeta(firstLine) + `set timeout=([0-9]{1,9})\nset timeout_style=[a-z]+\nset default=(.*)\n` + regexp.QuoteMeta(header))

// Parse reads a file that Encode has made.
func Parse(data []byte) (c Conf, err error) {
	if err := checkText(data); err != nil {
		return c, err
	}
	m := head.FindSubmatch(data)
	if m == nil {
		return c, errForeign
	}
	if c.Timeout, err = strconv.Atoi(string(m[1])); err != nil {
		return c, err
	}
	c.Default = string(m[2])
	var rest string
	rest, c.Custom = strings.CutSuffix(string(data[len(m[0]):]), customLine)
	if c.Entries, err = parseEntries(rest); err != nil {
		return Conf{}, err
	}
	again, err := c.Encode()
	return c, same(data, again, err)
}

// ParseCustom reads a file that EncodeCustom has made.
func ParseCustom(data []byte) ([]Entry, error) {
	if err := checkText(data); err != nil {
		return nil, err
	}
	rest, ok := strings.CutPrefix(string(data), firstLine)
	if !ok {
		return nil, errForeign
	}
	entries, err := parseEntries(rest)
	if err != nil {
		return nil, err
	}
	again, err := EncodeCustom(entries)
	return entries, same(data, again, err)
}

// same wants what was read to be what would be written.
func same(data, again []byte, err error) error {
	if err == nil && !bytes.Equal(data, again) {
		return errForeign
	}
	return err
}

func checkText(data []byte) error {
	switch {
	case len(data) > MaxSize:
		return fmt.Errorf("%d bytes, expected at most %d", len(data), MaxSize)
	case !utf8.Valid(data):
		return errors.New("text is not UTF-8")
	}
	return nil
}

// Stub returns what GRUB is configured with where it looks by itself, which is as its
// builder has decided: it goes on with ConfFile of the file system that it was started
// from. What is sourced belongs to the same menu, so that no key leads out of it.
func Stub() []byte {
	return []byte(firstLine + "set prefix=\"($root)/" + Dir + "\"\nsource \"$prefix/grub.cfg\"\n")
}

// envSize is the size of EnvFile, which GRUB writes in its place and never makes
// longer; grub-editenv makes one of this size.
const envSize = 1024

// Env returns the content of EnvFile in which next names the entry of the next boot
// alone; "" leaves the default.
func Env(next string) ([]byte, error) {
	text := "# GRUB Environment Block\n"
	if next != "" {
		if err := checkID(next); err != nil {
			return nil, err
		}
		text += "next_entry=" + next + "\n"
	}
	return []byte(text + strings.Repeat("#", envSize-len(text))), nil
}

// maxID bounds an ID, in bytes; that of an entry of type #1 has as many.
const maxID = 250

// validID is the form of an ID. GRUB takes what begins with a digit for the number of
// an entry, and > for the way into a submenu.
var validID = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9+_.-]*$`)

func checkID(id string) error {
	if !validID.MatchString(id) || len(id) > maxID {
		return fmt.Errorf("entry %q: expected a letter, then letters, digits, dots and any of + - _, at most %d bytes", id, maxID)
	}
	return nil
}
