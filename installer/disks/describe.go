package disks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Empty reports whether nothing is lost when the disk is erased: there is no
// table on it, or one without partitions, and nothing else.
func (d Disk) Empty() bool {
	return len(d.Partitions) == 0 && len(d.Contents) == 0 && d.TableProblem == "" && d.Table != "mbr"
}

// Hibernated reports whether a session sleeps on the disk: erasing it ends that
// session, and mounting what it has mounted damages both.
func (d Disk) Hibernated() bool {
	sleeps := func(c Content) bool { return c.Hibernated }
	return slices.ContainsFunc(d.Contents, sleeps) ||
		slices.ContainsFunc(d.Partitions, func(p Partition) bool { return slices.ContainsFunc(p.Contents, sleeps) })
}

// String describes the disk in one line, as people know it: name, model,
// serial number, size.
func (d Disk) String() string {
	serial := "without a serial number"
	if d.Serial != "" {
		serial = "serial " + Clean(d.Serial)
	}
	model := Clean(d.Model)
	if model == "" {
		model = "unknown model"
	}
	return fmt.Sprintf("%s: %s, %s, %s", Clean(d.Path), model, serial, SizeText(d.Size))
}

// Summary says in one line what is on the disk.
func (d Disk) Summary() string {
	var parts []string
	for _, c := range d.Contents {
		parts = append(parts, c.String())
	}
	for _, p := range d.Partitions {
		parts = append(parts, p.String())
	}
	text := strings.Join(parts, ", ")
	switch {
	case d.TableProblem != "" && len(d.Partitions) == 0:
		text = strings.Join(append(parts, "a damaged partition table"), ", ")
	case text == "" && d.Table != "":
		return "an empty partition table"
	case text == "":
		return "nothing"
	}
	return text
}

// String names the partition and what is on it.
func (p Partition) String() string {
	text := fmt.Sprintf("partition %d", p.Number)
	if p.Label != "" {
		text += " " + strconv.Quote(p.Label)
	}
	var list []string
	for _, c := range p.Contents {
		list = append(list, c.String())
	}
	if len(list) == 0 {
		return text
	}
	return text + " (" + strings.Join(list, ", ") + ")"
}

// String names the content and its label, or else its identifier.
func (c Content) String() string {
	text := c.Type
	if c.Type == TypeData {
		text = "data that no signature explains"
	}
	switch {
	case c.Label != "":
		text += " " + strconv.Quote(c.Label)
	case c.UUID != "":
		text += " " + Clean(c.UUID)
	}
	if c.Hibernated {
		text += " with a hibernated session"
	}
	return text
}

// SizeText writes a number of bytes for people, as it is printed on disks too.
func SizeText(n int64) string {
	f, unit := float64(n), 0
	for f >= 1024 && unit < 5 {
		f /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %ciB (%.1f GB)", f, " KMGTP"[unit], float64(n)/1e9)
}

// ShortSize is SizeText in one unit alone.
func ShortSize(n int64) string {
	text, _, _ := strings.Cut(SizeText(n), " (")
	return text
}

// Clean returns a text that no terminal takes for a command: as it is, or
// quoted where a character in it cannot be printed.
func Clean(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) || r == '�' }) {
		return strconv.Quote(text)
	}
	return text
}
