package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/repository"
	"github.com/6FaNcY9/mkimage/installer/rescue/backup"
)

// browse is what the command was told.
type browse struct {
	source
	list bool
}

func newBrowse(p *program) *cobra.Command {
	var b browse
	cmd := &cobra.Command{
		Use:   "browse [SNAPSHOT] [PATH]",
		Short: "look into a backup",
		Long: `mkimage-rescue browse lists the snapshots of a backup, and what a directory of
one has. On a terminal one walks through it instead: ls, cd and pwd do what
they do in a shell, "get PATH to DIR" copies out, and exit ends it. Names are
taken as they are, with spaces and all, or in quotes: get needs these for a
name with " to " in it.

A snapshot is "newest", a date such as 2026-11-20 for the last one until then,
or the first digits of an ID. The backup disk is mounted so that nothing on it
changes.

With --json the snapshots are one list; the entries of a directory are one
object a line.`,
		Example: `  mkimage-rescue browse
  mkimage-rescue browse --list newest /home/alice
  mkimage-rescue browse --json 2026-11-20 /home`,
		Args: cobra.MaximumNArgs(2),
	}
	b.addSource(cmd.Flags())
	cmd.Flags().BoolVar(&b.list, "list", false, "list, on a terminal too")
	return p.command(cmd, func(ctx context.Context, args []string) error { return b.run(ctx, p, args) })
}

func (b *browse) run(ctx context.Context, p *program, args []string) error {
	d, err := p.deskOf(ctx, &b.source)
	if err != nil {
		return err
	}
	if err := d.open(ctx, "browse"); err != nil {
		return err
	}
	all, err := d.Snapshots(ctx, repository.Filter{})
	if err != nil {
		return err
	}
	walks := p.interactive() && !b.list
	if len(args) == 0 && !walks {
		return p.showSnapshots(all)
	}
	want, dir := "", "/"
	if len(args) > 0 {
		want = args[0]
	}
	if len(args) > 1 {
		dir = path.Join("/", args[1])
	}
	s, err := d.snapshot(ctx, all, want)
	if err != nil {
		return err
	}
	if walks {
		return (&walk{d, s, dir}).run(ctx)
	}
	return d.list(ctx, s, dir)
}

func (p *program) showSnapshots(all []repository.Snapshot) error {
	if p.json {
		list := []snapshotJSON{}
		for _, s := range all {
			list = append(list, toJSON(s))
		}
		return p.encode(list)
	}
	for _, s := range all {
		fmt.Fprintln(p.stdout, snapshotLine(s))
	}
	return nil
}

// entryJSON is what a directory has, for programs.
type entryJSON struct {
	Name  string    `json:"name"` // what is not UTF-8 in it is U+FFFD
	Type  string    `json:"type"`
	Size  int64     `json:"size"` // of a file, in bytes
	MTime time.Time `json:"mtime"`
	Mode  string    `json:"mode"` // octal
}

// list prints a directory of a snapshot, as its entries come.
func (d *desk) list(ctx context.Context, s repository.Snapshot, dir string) error {
	lines := json.NewEncoder(d.p.stdout)
	lines.SetEscapeHTML(false)
	return d.Browse(ctx, s.ID, dir, func(e backup.Entry) error {
		if d.p.json {
			return lines.Encode(entryJSON{e.Name, e.Type, e.Size, e.MTime, fmt.Sprintf("%04o", octal(e.Mode))})
		}
		_, err := fmt.Fprintln(d.p.stdout, entryLine(e))
		return err
	})
}

// octal is a mode as chmod(1) has it.
func octal(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	for _, b := range []struct {
		mode fs.FileMode
		bit  uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&b.mode != 0 {
			bits |= b.bit
		}
	}
	return bits
}

// entryLine is an entry in a line for people.
func entryLine(e backup.Entry) string {
	amount, mark := "", ""
	switch e.Type {
	case "file":
		amount = disks.SizeText(e.Size)
	case "dir":
		mark = "/"
	default:
		mark = "  (" + e.Type + ")"
	}
	return fmt.Sprintf("%04o %9s  %s  %s%s", octal(e.Mode), amount, e.MTime.Format(shownTime), repository.Printable(e.Name), mark)
}
