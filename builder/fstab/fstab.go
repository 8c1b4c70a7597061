// Package fstab reads and writes tables of file systems, as fstab(5) has them.
//
// It takes what mount(8) takes: fields between blanks, characters as a backslash and
// three octal digits, quotes around the value of a tag, and lines that end after their
// type. Nothing is asked of a device, and nothing is mounted.
package fstab

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Line is one line of a table, with its escapes undone.
type Line struct {
	Number  int      // in the text, from 1; 0 of a line that was not read
	What    string   // such as "LABEL=root" (without quotes), "tmpfs", or the path that is bound
	Target  string   // where it is mounted, clean when it is absolute; "none" of what is not
	Type    string   // of the file system, or "swap"
	Options []string // never empty when read: "defaults" stands for none
	Dump    int      // whether dump(8) saves it
	Pass    int      // the turn of its check at boot, 0 for none
}

// defaults is the option that stands for no other.
const defaults = "defaults"

// The least and the most fields that count.
const (
	minFields = 3
	maxFields = 6
)

// Parse returns the lines of a table in its order, without comments. Errors, of class
// fault.Input, begin with the number of the line and are about what mount(8) would not
// take: who reads on without that line does not know what is mounted.
func Parse(text string) ([]Line, error) {
	var lines []Line
	number := 0
	for row := range strings.SplitSeq(text, "\n") {
		number++
		fields := strings.FieldsFunc(row, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' })
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		l, err := parseLine(fields)
		if err != nil {
			return nil, fault.New(fault.Input, "", "line %d: %w", number, err)
		}
		l.Number = number
		lines = append(lines, l)
	}
	return lines, nil
}

func parseLine(fields []string) (Line, error) {
	if len(fields) < minFields {
		return Line{}, fmt.Errorf("got %d fields, expected at least %d", len(fields), minFields)
	}
	l := Line{What: unquoteTag(unescape(fields[0])), Target: unescape(fields[1]), Type: unescape(fields[2]), Options: []string{defaults}}
	if path.IsAbs(l.Target) {
		l.Target = path.Clean(l.Target)
	}
	if len(fields) > minFields {
		l.Options = splitOptions(unescape(fields[3]))
	}
	if strings.Contains(l.What+l.Target+l.Type+strings.Join(l.Options, ""), "\x00") {
		return Line{}, fmt.Errorf("holds a NUL byte")
	}
	for i, to := range []*int{&l.Dump, &l.Pass} {
		at := maxFields - 2 + i
		if len(fields) <= at {
			break
		}
		n, err := strconv.Atoi(fields[at])
		if err != nil || n < 0 {
			return Line{}, fmt.Errorf("field %d is %.100q, expected a number", at+1, fields[at])
		}
		*to = n
	}
	return l, nil
}

// String returns the line as a table has it, without a line break.
func (l Line) String() string {
	list := strings.Join(l.Options, ",")
	if list == "" {
		list = defaults
	}
	return fmt.Sprintf("%s %s %s %s %d %d", escape(quoteTag(l.What)), escape(l.Target), escape(l.Type), escape(list), l.Dump, l.Pass)
}

// IsSwap reports whether the line is of a swap area.
func (l Line) IsSwap() bool { return l.Type == "swap" }

// IsMount reports whether the line mounts something: neither swap, nor a line that is
// there to be ignored.
func (l Line) IsMount() bool { return !l.IsSwap() && path.IsAbs(l.Target) }

// Has reports whether the line has one of some options, none of which takes a value.
func (l Line) Has(options ...string) bool {
	return slices.ContainsFunc(l.Options, func(o string) bool { return slices.Contains(options, o) })
}

// Option returns the value of the last option KEY=VALUE, as mount(8) takes it.
func (l Line) Option(key string) (value string, ok bool) {
	for _, o := range l.Options {
		if k, v, has := strings.Cut(o, "="); has && k == key {
			value, ok = v, true
		}
	}
	return value, ok
}
