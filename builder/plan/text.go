package plan

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Look says how Text prints.
type Look struct {
	Width int  // columns; less than MinWidth is taken for MinWidth
	ASCII bool // the picture without box characters
}

// MinWidth is the least number of columns that Text makes lines for.
const MinWidth = 60

// Text prints a plan for people: what was asked, the disk and a picture of it,
// the subvolumes, mounts, boot entries and units. A line is longer than the
// width only where one word is.
func Text(w io.Writer, p *Plan, look Look) error {
	look.Width = max(look.Width, MinWidth)
	t := &printer{Writer: bufio.NewWriter(w), look: look}
	t.summary(p)
	t.medium(p)
	t.disk(p)
	if len(p.Mounts) > 0 {
		t.subvolumes(p)
		t.mounts(p)
	}
	t.entries(p)
	if !p.IsRescue() {
		t.units(p)
	}
	t.recovery(p)
	return t.Flush()
}

// printer writes text of a width. Errors stick to the buffer until Flush.
type printer struct {
	*bufio.Writer
	look Look
}

func (t *printer) section(title string) { fmt.Fprintf(t, "\n%s\n", title) }

// labelWidth is the room that labels take in front of their text.
const labelWidth = 12

// field prints a label and words, which go on in the next line below the first
// word when they do not fit.
func (t *printer) field(label string, words ...string) {
	t.wrap("  "+label+strings.Repeat(" ", max(1, labelWidth-utf8.RuneCountInString(label))), words)
}

func (t *printer) wrap(head string, words []string) {
	indent := utf8.RuneCountInString(head)
	t.WriteString(head)
	column := indent
	for i, word := range words {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+n > t.look.Width:
			t.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			t.WriteString(" ")
			column++
		}
		t.WriteString(word)
		column += n
	}
	t.WriteString("\n")
}

// leastColumn is the room below which the last column of a table goes into
// lines of its own.
const leastColumn = 28

// table prints rows in columns as wide as their widest cell. The last column
// is broken into lines at its spaces.
func (t *printer) table(rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		head := "  "
		last := len(row) - 1
		for i, cell := range row[:last] {
			head += cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
		}
		words := strings.Fields(row[last])
		if len(words) == 0 || t.look.Width-utf8.RuneCountInString(head) < leastColumn && len(words) > 1 {
			t.WriteString(strings.TrimRight(head, " ") + "\n")
			head = strings.Repeat(" ", 6)
		}
		if len(words) > 0 {
			t.wrap(head, words)
		}
	}
}

func (t *printer) summary(p *Plan) {
	description := p.Profile.Description
	if p.Medium != nil {
		description = p.Medium.Description
	}
	t.wrap("", strings.Fields("Plan of "+p.Name()+": "+printable(description)))
	t.section("What is asked")
	t.field("profile", append([]string{p.Profile.Name}, p.Profile.Roles...)...)
	t.field("source", printable(p.Profile.Source))
	t.field("layout", p.Layout.Name)
	t.field("host name", p.Profile.Hostname)
	t.field("locale", p.Profile.Locale.Lang, p.Profile.Locale.Timezone, "keymap", p.Profile.Locale.Keymap)
	t.field("loader", p.Profile.Boot.Loader)
	for _, u := range p.Profile.Users {
		t.field("user", userWords(u.Name, u.UID, u.Groups, u.Autologin)...)
	}
	t.section("Identity")
	t.field("seed", p.Seed.String())
	t.field("epoch", p.Epoch.Format(time.RFC3339))
}

func userWords(name string, uid uint32, groups []string, autologin bool) []string {
	words := []string{name, fmt.Sprintf("(%d)", uid)}
	words = append(words, groups...)
	if autologin {
		words = append(words, "autologin")
	}
	return words
}

func (t *printer) disk(p *Plan) {
	size := sizeText(p.Disk.Size)
	if p.Disk.Size == 0 {
		size = "as small as fits"
	}
	t.section("Disk")
	t.field("table", "GPT", p.Disk.GUID.String()+",", size)
	t.picture(p.Disk.Partitions)
	for _, part := range p.Disk.Partitions {
		t.field(part.Role, "PARTUUID", part.PARTUUID.String())
		t.field("", part.FSType, fmt.Sprintf("%q", part.Label), "fsid", part.FSID)
	}
}

func (t *printer) subvolumes(p *Plan) {
	t.section("Subvolumes")
	rows := [][]string{}
	for _, s := range p.Subvolumes {
		from := "/" + s.Source + " of the source"
		if s.Empty {
			from = "empty"
		}
		if s.NoDataCow {
			from += ", no copy-on-write"
		}
		rows = append(rows, []string{s.Path, from})
	}
	for _, s := range p.Snapshots {
		rows = append(rows, []string{s.Path, "read-only snapshot of " + s.Source})
	}
	if f := p.Swapfile; f != nil {
		size := sizeText(f.Size)
		if f.Size == 0 {
			size = "made by the first boot"
		}
		rows = append(rows, []string{f.Path, "swapfile, " + size})
	}
	t.table(rows)
}

func (t *printer) mounts(p *Plan) {
	t.section("Mounts")
	var rows [][]string
	for _, m := range p.Mounts {
		what := m.What
		switch m.Type {
		case "btrfs":
			what = m.Subvol
		case "vfat":
			what = p.Partition(RoleESP).Label
		case "tmpfs":
			what = "tmpfs over " + m.Subvol
		}
		by := "system"
		if m.Early {
			by = "initramfs"
		}
		rows = append(rows, []string{m.Target, what, by, strings.Join(m.Options, ", ")})
	}
	t.table(rows)
}

func (t *printer) entries(p *Plan) {
	t.section("Boot menu")
	for _, e := range p.Entries {
		t.wrap("  ", strings.Fields(e.Title))
		t.wrap("    ", e.Cmdline)
	}
}

func (t *printer) units(p *Plan) {
	t.section("Units")
	u := p.Profile.Units
	t.field("target", u.Target)
	for _, list := range []struct {
		label string
		names []string
	}{{"enable", u.Enable}, {"disable", u.Disable}, {"mask", u.Mask}, {"first boot", p.Profile.FirstBoot.Steps}} {
		if len(list.names) > 0 {
			t.field(list.label, list.names...)
		}
	}
	if z := p.Profile.Zram; z.Enable {
		t.field("zram", fmt.Sprintf("%d%%", z.Percent), "of RAM")
	}
	t.field("swap", p.Profile.Swap.Policy)
}

// printable keeps text of a profile from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// sizeText returns a number of bytes with the largest unit of powers of 1024
// in which it has at most one decimal, such as "1.5 GiB".
func sizeText(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	i := 0
	for scale := int64(1); i+1 < len(units) && n >= scale*1024; i++ {
		if n*10%(scale*1024) != 0 {
			break
		}
		scale *= 1024
	}
	scale := int64(1) << (10 * i)
	if n%scale == 0 {
		return fmt.Sprintf("%d %s", n/scale, units[i])
	}
	return fmt.Sprintf("%d.%d %s", n/scale, n%scale*10/scale, units[i])
}
