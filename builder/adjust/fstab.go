package adjust

import (
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// fstab writes /etc/fstab, to be stored as it is: the partitions that an
// installer makes have other PARTUUIDs, which it puts in their places.
func (e *editor) fstab() error {
	const name = "/etc/fstab"
	if err := e.write(name, Fstab(e.plan), 0o644); err != nil {
		return err
	}
	table := e.find(name)
	table.Content = fstree.Raw{Content: table.Content}
	return nil
}

// Fstab returns the text of /etc/fstab in the system of a plan. A root in
// memory has no line: the initramfs has made it, and a remount with the options
// of a tmpfs would fail. Plans that differ only in identities give texts of
// equal length.
func Fstab(p *plan.Plan) string {
	rows := [][]string{{"# what", "where", "type", "options", "dump", "pass"}}
	for _, m := range p.Mounts {
		if m.Type == "tmpfs" && m.Target == "/" {
			continue
		}
		rows = append(rows, []string{m.What, m.Target, m.Type, strings.Join(m.Options, ","), "0", pass(m)})
	}
	if s := p.Swapfile; s != nil {
		rows = append(rows, []string{s.File, "none", "swap", "defaults", "0", "0"})
	}
	return aligned(rows)
}

// pass is the turn of a file system's check at boot: btrfs has none to make,
// see fsck.btrfs(8).
func pass(m plan.Mount) string {
	if m.Type == "vfat" {
		return "2"
	}
	return "0"
}

// aligned prints rows of equal length in columns.
func aligned(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			if i == len(row)-1 {
				b.WriteString(cell + "\n")
				break
			}
			b.WriteString(cell + strings.Repeat(" ", widths[i]-len(cell)+1))
		}
	}
	return b.String()
}
