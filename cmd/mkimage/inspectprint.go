package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/6FaNcY9/mkimage/builder/inspect"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// printInspection prints an image for people: a picture of the disk, and a
// table for each kind of thing in it.
func printInspection(w io.Writer, name string, m *inspect.Image, look plan.Look) error {
	p := &inspectionPrinter{w: w}
	p.line("%s: disk of %s, GPT %s", printable(name), humanBytes(m.Size), m.GUID)
	if p.err == nil {
		p.err = plan.Picture(w, drawn(m.Partitions), look)
	}
	p.origin(m.Origin)
	p.partitions(m.Partitions)
	p.subvolumes(m.Subvolumes)
	p.boot(m.Boot)
	if s := m.Swapfile; s != nil {
		p.line("\nswapfile  %s, %s, resume offset %d", printable(s.Path), humanBytes(s.Size), s.ResumeOffset)
	}
	for _, u := range m.Unread {
		p.line("not read: %s", printable(u))
	}
	return p.err
}

// drawn returns the partitions as plan.Picture takes them.
func drawn(list []inspect.Partition) []plan.Partition {
	var parts []plan.Partition
	for _, p := range list {
		role := p.Role
		if role == "" {
			role = fmt.Sprint(p.Number)
		}
		parts = append(parts, plan.Partition{Role: role, Label: printable(p.Label), Size: p.Size, FSType: p.FSType})
	}
	return parts
}

// inspectionPrinter prints lines and tables until the first error.
type inspectionPrinter struct {
	w   io.Writer
	err error
}

func (p *inspectionPrinter) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// table prints rows, the first being the head.
func (p *inspectionPrinter) table(rows [][]string) {
	t := tabwriter.NewWriter(p.w, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		fmt.Fprintln(t, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	if p.err == nil {
		p.line("")
	}
	if err := t.Flush(); p.err == nil {
		p.err = err
	}
}

func (p *inspectionPrinter) origin(o *inspect.Origin) {
	if o != nil {
		p.line("made by mkimage %s from profile %s on layout %s, source %s", printable(o.Mkimage), printable(o.Profile), printable(o.Layout), printable(o.Source))
	}
}

func (p *inspectionPrinter) partitions(list []inspect.Partition) {
	rows := [][]string{{"PARTITION", "ROLE", "LABEL", "START", "SIZE", "USED", "FILE SYSTEM", "FSID", "PARTUUID"}}
	for _, x := range list {
		rows = append(rows, []string{
			fmt.Sprint(x.Number), x.Role, x.Label, humanBytes(x.Start), humanBytes(x.Size), humanBytes(x.Used), x.FSType, x.FSID, x.PARTUUID.String(),
		})
	}
	p.table(rows)
}

func (p *inspectionPrinter) subvolumes(list []inspect.Subvolume) {
	if len(list) == 0 {
		return
	}
	rows := [][]string{{"SUBVOLUME", "ID", "FILES", "CONTENT", "STORED", "RATIO", ""}}
	for _, s := range list {
		note := ""
		if s.ReadOnly {
			note = "read-only"
		}
		if s.SnapshotOf != "" {
			note = strings.TrimPrefix(note+", snapshot of "+s.SnapshotOf, ", ")
		}
		rows = append(rows, []string{
			s.Path, fmt.Sprint(s.ID), fmt.Sprint(s.Files), humanBytes(s.Bytes), humanBytes(s.Stored), fmt.Sprintf("%.0f%%", 100*s.Ratio()), note,
		})
	}
	p.table(rows)
}

func (p *inspectionPrinter) boot(b inspect.Boot) {
	if len(b.Entries) == 0 {
		return
	}
	rows := [][]string{{"ENTRY", "TITLE", "KERNEL", "SIZE", "INITRAMFS"}}
	for _, e := range b.Entries {
		var initrd int64
		for _, f := range e.Initrd {
			initrd += max(f.Size, 0)
		}
		rows = append(rows, []string{e.ID, e.Title, e.Version, fileSize(e.Linux), humanBytes(initrd)})
	}
	p.table(rows)
	for _, e := range b.Entries {
		p.line("%s: %s", printable(e.ID), printable(e.Options))
	}
	switch {
	case b.Loader == inspect.LoaderUKI:
		p.line("started by the firmware, without a menu")
	case b.Timeout == bls.MenuForce:
		p.line("%s, waits for a choice, default %s", b.Loader, printable(b.Default))
	default:
		p.line("%s, waits %d s, default %s", b.Loader, b.Timeout, printable(b.Default))
	}
}

func fileSize(f inspect.File) string {
	if f.Size < 0 {
		return "not there"
	}
	return humanBytes(f.Size)
}
