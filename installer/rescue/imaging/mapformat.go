package imaging

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

const (
	// maxParts bounds a map in memory, and so does maxMapFile in a file: a line has at
	// most 64 bytes. A disk with half a million bad places is read for weeks.
	maxParts   = 1 << 20
	maxMapFile = 64 << 20
)

// anotherMap is what to do where a map is none of the disk.
const anotherMap = "name the map of this very disk by --map, or another image and another map to begin anew"

// Encode returns the map as a map file. The origin is in a comment, which ddrescue
// leaves out of the file when it has gone on with it: its reader skips all from # to
// the end of a line, of any length (version 1.27, tried with ddrescue and ddrescuelog).
func (m *Map) Encode() []byte {
	p := m.Position
	b := fmt.Appendf(make([]byte, 0, 256+32*len(m.parts)), "# Mapfile. Created by mkimage-rescue, in the format of GNU ddrescue\n# %s\n", p)
	b = append(b, m.Origin.encode()...)
	b = fmt.Appendf(b, "# current_pos  current_status  current_pass\n0x%X     %c               %d\n", p.At, p.Status, max(p.Pass, 1))
	b = append(b, "#      pos        size  status\n"...)
	for _, part := range m.parts { // of which there may be many
		b = strconv.AppendInt(append(b, "0x"...), part.Start, 16)
		b = strconv.AppendInt(append(b, "  0x"...), part.Length, 16)
		b = append(b, ' ', ' ', byte(part.Status), '\n')
	}
	return b
}

// String says in a few words what is being done.
func (p Position) String() string {
	switch p.Status {
	case NonTried:
		return fmt.Sprintf("copying what was not tried, pass %d", p.Pass)
	case NonTrimmed:
		return "looking for the edges of bad areas"
	case NonScraped:
		return "reading what lies between bad sectors"
	case Bad:
		return fmt.Sprintf("trying bad sectors again, pass %d", p.Pass)
	}
	return "finished"
}

// DecodeMap reads a map file of a disk of size bytes. What the file says nothing
// of, at the end of the disk, was not tried. A file without an origin, such as one of
// ddrescue, is a map of any disk that is large enough. Errors have class fault.Input.
func DecodeMap(text []byte, size int64) (*Map, error) {
	refuse := func(line int, format string, args ...any) (*Map, error) {
		return nil, fault.New(fault.Input, anotherMap,
			"map, line %d: %w", line, fmt.Errorf(format, args...))
	}
	if len(text) > maxMapFile {
		return refuse(1, "the file has %d bytes, expected at most %d", len(text), maxMapFile)
	}
	m := &Map{}
	number, seen := 0, false
	for line := range bytes.Lines(text) {
		number++
		if origin, ok, err := decodeOrigin(line); ok {
			if err == nil && origin.Size != size {
				err = fmt.Errorf("it is of a disk of %d bytes, found %d", origin.Size, size)
			}
			if err != nil {
				return refuse(number, "%w", err)
			}
			m.Origin = origin
		}
		line, _, _ = bytes.Cut(line, []byte("#"))
		fields := strings.Fields(string(line))
		var err error
		switch {
		case len(fields) == 0:
			continue
		case !seen:
			seen = true
			m.Position, err = decodePosition(fields)
		default:
			err = m.decodePart(fields, size)
		}
		if err != nil {
			return refuse(number, "%w", err)
		}
	}
	if !seen {
		return refuse(max(number, 1), "there is no position, expected \"0x0 ? 1\" or such")
	}
	if end := m.Size(); end < size {
		m.append(Part{Start: end, Length: size - end, Status: NonTried})
	}
	return m, nil
}

// decodePosition reads the line of the position. The pass is missing in files of
// ddrescue before 1.20.
func decodePosition(fields []string) (p Position, err error) {
	if len(fields) < 2 || len(fields) > 3 {
		return p, fmt.Errorf("the position has %d fields, expected 3", len(fields))
	}
	if p.At, err = decodeNumber(fields[0]); err != nil {
		return p, err
	}
	p.Status = Status(fields[1][0])
	// F and G are of other things that ddrescue does with a map.
	if len(fields[1]) != 1 || !p.Status.known() && p.Status != 'F' && p.Status != 'G' {
		return p, fmt.Errorf("the status %.20q is none of ?*/-FG+", fields[1])
	}
	p.Pass = 1
	if len(fields) == 3 {
		if p.Pass, err = strconv.Atoi(fields[2]); err != nil || p.Pass < 1 {
			return p, fmt.Errorf("the pass %.20q is no number above 0", fields[2])
		}
	}
	return p, nil
}

// decodePart reads the line of a part and adds it.
func (m *Map) decodePart(fields []string, size int64) error {
	if len(fields) != 3 {
		return fmt.Errorf("a part has %d fields, expected 3", len(fields))
	}
	start, err := decodeNumber(fields[0])
	if err != nil {
		return err
	}
	length, err := decodeNumber(fields[1])
	if err != nil {
		return err
	}
	status := Status(fields[2][0])
	if len(fields[2]) != 1 || !status.known() {
		return fmt.Errorf("the status %.20q is none of ?*/-+", fields[2])
	}
	switch end := m.Size(); {
	case len(m.parts) == 0 && start > 0 && start <= size: // as ddrescue has it
		m.append(Part{Length: start, Status: NonTried})
	case start != end:
		return fmt.Errorf("the part begins at %d, expected %d, the end of the one before", start, end)
	}
	if length == 0 || length > size-start {
		return fmt.Errorf("%d bytes at %d are not within the %d of the disk", length, start, size)
	}
	m.append(Part{Start: start, Length: length, Status: status})
	if len(m.parts) > maxParts {
		return fmt.Errorf("more than %d parts", maxParts)
	}
	return nil
}

// append adds a part behind all others.
func (m *Map) append(p Part) {
	if n := len(m.parts); n > 0 && m.parts[n-1].Status == p.Status {
		m.parts[n-1].Length += p.Length
		return
	}
	m.parts = append(m.parts, p)
}

// decodeNumber reads a number as strtoll does: decimal, 0x of hexadecimal, or 0 of
// octal.
func decodeNumber(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 0, 64)
	if err != nil || n < 0 || strings.ContainsAny(text, "_oObB+") && !strings.HasPrefix(strings.ToLower(text), "0x") {
		return 0, fmt.Errorf("%.30q is no number of bytes", text)
	}
	return n, nil
}
