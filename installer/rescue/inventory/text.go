package inventory

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/installer/disks"
)

// day and minute are how times are written, in UTC.
const (
	day    = "2006-01-02"
	minute = "2006-01-02 15:04"
)

// shownGenerations bounds the generations of a system in a text.
const shownGenerations = 8

// Text writes an inventory for people, in lines of at most width columns: first the
// problems, the worst on top, then what there is.
func Text(w io.Writer, inv *Inventory, width int) error {
	p := summary(inv, width)
	for i := range inv.Systems {
		p.system(inv, &inv.Systems[i])
	}
	for _, s := range inv.Sessions {
		if s.System == "" {
			p.item(fmt.Sprintf("Session %s", s.Place), "sleeps in a swap area")
		}
	}
	for _, b := range inv.Backups {
		p.backup(b)
	}
	for _, k := range inv.KeyMedia {
		p.key(k)
	}
	for _, m := range inv.Media {
		p.item("Medium "+m.Disk, fmt.Sprintf("%s, installs %s", m.Profile, m.Payload))
	}
	for _, d := range inv.Disks {
		p.item("Disk "+d.String(), d.Summary())
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

// Summary writes the beginning of what Text writes: which machine is meant, and the
// problems.
func Summary(w io.Writer, inv *Inventory, width int) error {
	_, err := io.WriteString(w, summary(inv, width).b.String())
	return err
}

func summary(inv *Inventory, width int) *page {
	p := &page{width: max(width, minWidth)}
	p.host(inv)
	p.problems(inv)
	return p
}

// minWidth is the least that lines are broken to.
const minWidth = 40

// page is a text that grows.
type page struct {
	b     strings.Builder
	width int
}

// lines writes a text behind a first column, whose later lines begin below it.
func (p *page) lines(first string, indent int, text string) {
	head := fmt.Sprintf("%-*s", indent, first)
	for _, line := range wrap(disks.Clean(text), p.width-indent) {
		p.b.WriteString(strings.TrimRight(head+line, " ") + "\n")
		head = strings.Repeat(" ", indent)
	}
}

// wrap breaks a text between words, and words that are longer than a line.
func wrap(text string, width int) []string {
	var lines []string
	line := []rune{}
	for _, word := range strings.Fields(text) {
		r := []rune(word)
		if len(line) > 0 && len(line)+1+len(r) > width {
			lines, line = append(lines, string(line)), nil
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		for len(r) > width {
			lines, r = append(lines, string(r[:width])), r[width:]
		}
		line = append(line, r...)
	}
	return append(lines, string(line))
}

// The columns of a text: of severities, and of what belongs to a head.
const (
	severityIndent = 8
	itemIndent     = 4
	labelIndent    = 16
)

// item writes a head and what is below it.
func (p *page) item(head string, below ...string) {
	p.b.WriteString("\n")
	p.lines("", 0, head)
	for _, text := range below {
		p.lines("", itemIndent, text)
	}
}

// label writes one line of an item.
func (p *page) label(name, format string, args ...any) {
	p.lines(strings.Repeat(" ", itemIndent)+name, labelIndent, fmt.Sprintf(format, args...))
}

func (p *page) host(inv *Inventory) {
	switch {
	case inv.Host == nil:
		p.lines("", 0, "Rescue of whatever is here: no plan says which machine is meant.")
	case inv.Mine == "":
		p.lines("", 0, fmt.Sprintf("Rescue of %s (%s): no system here is known to be its own.", inv.Host.Hostname, inv.Host.Profile))
	default:
		p.lines("", 0, fmt.Sprintf("Rescue of %s (%s): its system is on %s.", inv.Host.Hostname, inv.Host.Profile, inv.Mine))
	}
}

func (p *page) problems(inv *Inventory) {
	if len(inv.Problems) == 0 {
		p.item("Nothing is wrong with what could be looked at.")
		return
	}
	p.b.WriteString("\n")
	for _, problem := range inv.Problems {
		p.lines(strings.ToUpper(string(problem.Severity)), severityIndent, problem.Object+": "+problem.Text)
		if problem.Means != "" {
			p.lines("", severityIndent, "→ "+problem.Means)
		}
	}
}

func (p *page) system(inv *Inventory, s *System) {
	head := "System " + s.ID
	if s.Hostname != "" {
		head += ": " + s.Hostname
	}
	if s.Release != "" {
		head += ", " + s.Release
	}
	if s.ID == inv.Mine {
		head += " (the host's own)"
	}
	p.item(head)
	unclean := ""
	if s.Unclean {
		unclean = ", was not unmounted: what was synced last shows once it is mounted"
	}
	p.label("file system", "btrfs %q %s, %s%s", s.Label, s.FSID, disks.ShortSize(s.Root.Size), unclean)
	if e := s.ESP; e != nil {
		p.esp(e)
	}
	p.generations(s)
	p.subvolumes(s)
	if f := s.Swapfile; f != nil {
		text := fmt.Sprintf("%s, %s, offset %d", f.Path, disks.ShortSize(f.Size), f.Offset)
		if f.Problem != "" {
			text += ": " + f.Problem
		}
		p.label("swapfile", "%s", text)
	}
	for _, session := range inv.Sessions {
		if session.System == s.ID {
			p.label("sleeps", "%s in %s", strings.TrimSpace("Linux "+session.Kernel), session.File)
		}
	}
}

func (p *page) esp(e *ESP) {
	if !e.Readable {
		p.label("ESP", "%s: cannot be read", e.Place)
		return
	}
	p.label("ESP", "%s: %s, %s, %s used, %s free", e.Place, cmp.Or(e.Loader, "no boot loader"), plural(len(e.Entries), "entry", "entries"), disks.ShortSize(e.Used), disks.ShortSize(e.Free))
}

func (p *page) generations(s *System) {
	name := "starts"
	for i, g := range s.Generations {
		if i == shownGenerations {
			p.label("", "and %d more", len(s.Generations)-i)
			return
		}
		p.label(name, "%s", g.String())
		name = ""
	}
}

// String describes a generation in one line.
func (g Generation) String() string {
	var parts []string
	if g.Number > 0 {
		parts = append(parts, fmt.Sprintf("%d", g.Number))
	}
	if !g.Date.IsZero() {
		parts = append(parts, g.Date.Format(day))
	}
	parts = append(parts, g.Title)
	if g.Kernel != "" && !strings.Contains(g.Title, g.Kernel) {
		parts = append(parts, "Linux "+g.Kernel)
	}
	if n := len(g.Specialisations); n > 0 {
		parts = append(parts, "with "+strings.Join(g.Specialisations, ", "))
	}
	text := strings.Join(parts, " ")
	for _, mark := range []struct {
		is   bool
		text string
	}{{g.Current, "current"}, {g.Default, "default"}, {len(g.Entries) == 0, "not in the menu"}, {g.Problem != "", "does not start"}} {
		if mark.is {
			text += ", " + mark.text
		}
	}
	return text
}

// subvolumes writes what is mounted, and of what there are older states.
func (p *page) subvolumes(s *System) {
	for _, v := range s.Subvolumes {
		if v.Mount == "" {
			continue
		}
		text := fmt.Sprintf("%s at %s", v.Path, v.Mount)
		if n, newest := s.states(v.Path, RoleSnapshot); n > 0 {
			text += fmt.Sprintf(", %s, the newest of %s: %s", plural(n, "snapshot", "snapshots"), newest.Made.Format(minute), newest.Path)
		}
		if n, factory := s.states(v.Path, RoleFactory); n > 0 {
			text += ", as it was built: " + factory.Path
		}
		if n, old := s.states(v.Path, RoleOld); n > 0 {
			text += ", as it was before an installation: " + old.Path
		}
		p.label(string(v.Role), "%s", text)
	}
	for _, role := range []Role{RoleSnapshot, RoleFactory, RoleOld, RoleNew} {
		gone := 0
		for _, v := range s.Subvolumes {
			if v.Role == role && !slices.ContainsFunc(s.Subvolumes, func(o Subvolume) bool { return o.Path == v.Of && o.Mount != "" }) {
				gone++
			}
		}
		if gone > 0 {
			p.label(string(role), "%s of what is not mounted", plural(gone, "subvolume", "subvolumes"))
		}
	}
}

// states counts the older states of a subvolume, and returns the newest.
func (s *System) states(of string, role Role) (n int, newest Subvolume) {
	for _, v := range s.Subvolumes {
		if v.Of != of || v.Role != role {
			continue
		}
		if n++; n == 1 || v.Made.After(newest.Made) {
			newest = v
		}
	}
	return n, newest
}

func (p *page) backup(b Backup) {
	head := fmt.Sprintf("Backup %s: %s %q", b.Place, cmp.Or(b.Type, "nothing that is known"), b.Label)
	if len(b.Wanted) > 0 {
		head += ", for " + strings.Join(b.Wanted, ", ")
	}
	p.item(head)
	for _, r := range b.Repositories {
		text := fmt.Sprintf("%s: %s", r.Path, plural(r.Files, "snapshot", "snapshots"))
		if !r.Newest.IsZero() {
			text += ", the newest written " + r.Newest.Format(minute)
		}
		p.label("repository", "%s", text)
		if r.Opened == nil {
			continue
		}
		for _, snapshot := range r.Opened.Snapshots {
			p.label("", "%s of %s: %s", snapshot.Time.UTC().Format(minute), snapshot.Host, strings.Join(snapshot.Paths, ", "))
		}
	}
	if len(b.Repositories) == 0 {
		p.lines("", itemIndent, "whether it has a repository shows once it is mounted")
	}
}

func (p *page) key(k KeyMedium) {
	what := "Key medium "
	if k.ESP {
		what = "Key on the ESP "
	}
	text := k.File + ", in the clear"
	switch {
	case k.Problem != "":
		text = "no key: " + k.Problem
	case k.Encrypted:
		text = k.File + ", a passphrase opens it"
	}
	p.item(what+k.Place.String(), append([]string{text}, k.Recipients...)...)
}
