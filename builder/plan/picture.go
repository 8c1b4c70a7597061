package plan

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"
)

// box is the set of characters that a picture is made of.
type box struct{ horizontal, vertical, topLeft, top, topRight, bottomLeft, bottom, bottomRight string }

var (
	lineBox  = box{"─", "│", "┌", "┬", "┐", "└", "┴", "┘"}
	asciiBox = box{"-", "|", "+", "+", "+", "+", "+", "+"}
)

// margin is the room left of the picture.
const margin = "  "

// Picture draws partitions side by side, as Text draws those of a plan.
func Picture(w io.Writer, parts []Partition, look Look) error {
	look.Width = max(look.Width, MinWidth)
	t := &printer{Writer: bufio.NewWriter(w), look: look}
	t.picture(parts)
	return t.Flush()
}

// picture draws the partitions side by side. Their widths follow their sizes
// as far as their texts allow.
func (t *printer) picture(parts []Partition) {
	if len(parts) == 0 {
		return
	}
	var cells [][]string
	for _, part := range parts {
		size := sizeText(part.Size)
		if part.Size == 0 {
			size = "the rest"
		}
		cells = append(cells, []string{part.Role + " " + part.Label, part.FSType, size})
	}
	widths := t.cellWidths(parts, cells)
	b := lineBox
	if t.look.ASCII {
		b = asciiBox
	}
	t.border(b.topLeft, b.horizontal, b.top, b.topRight, widths)
	for line := range cells[0] {
		t.WriteString(margin)
		for i, cell := range cells {
			text := fit(" "+cell[line], widths[i])
			t.WriteString(b.vertical + text + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)))
		}
		t.WriteString(b.vertical + "\n")
	}
	t.border(b.bottomLeft, b.horizontal, b.bottom, b.bottomRight, widths)
}

func (t *printer) border(left, line, between, right string, widths []int) {
	var parts []string
	for _, w := range widths {
		parts = append(parts, strings.Repeat(line, w))
	}
	t.WriteString(margin + left + strings.Join(parts, between) + right + "\n")
}

// restShare is how many times as wide as all others together the partition is
// drawn whose size only the source decides.
const restShare = 3

// cellWidths divides the columns of the picture among the partitions: each
// gets what its texts need, the last one what is left of its share.
func (t *printer) cellWidths(parts []Partition, cells [][]string) []int {
	room := t.look.Width - len(margin) - len(parts) - 1
	var total int64
	for _, p := range parts {
		total += p.Size
	}
	if parts[len(parts)-1].Size == 0 {
		total *= 1 + restShare
	}
	widths := make([]int, len(parts))
	left := room
	for i := range parts[:len(parts)-1] {
		need := 0
		for _, text := range cells[i] {
			need = max(need, utf8.RuneCountInString(text)+2)
		}
		share := int(float64(room) * float64(parts[i].Size) / float64(total))
		widths[i] = min(max(need, share), room/2)
		left -= widths[i]
	}
	widths[len(parts)-1] = left
	return widths
}

// fit cuts a text to a number of columns.
func fit(text string, columns int) string {
	if utf8.RuneCountInString(text) <= columns {
		return text
	}
	return string([]rune(text)[:columns-1]) + "~"
}
