package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/firstboot/restore"
	"github.com/6FaNcY9/mkimage/installer/repository"
	"github.com/6FaNcY9/mkimage/installer/rescue/backup"
	"github.com/6FaNcY9/mkimage/installer/rescue/machine"
)

// home is what the command was told.
type home struct {
	source
	consent
	snapshot string
	paths    []string
	to       string
	anySize  bool
}

func newHome(p *program) *cobra.Command {
	var h home
	cmd := &cobra.Command{
		Use:   "home [--snapshot WHICH] [--path PATH]... [--to DIR]",
		Short: "bring back the home from the backup",
		Long: `mkimage-rescue home fills /home of the system from a snapshot of its backup,
as its first boot does: beside what is there, read back and compared, and then
put to its place. Data that is there already is not touched; the backup of it
is then put into /home/.restored-ID. It can be cut at any instant, also by a
power cut, and run again: it goes on where it was. The first boot does not do
it once more.

With --path only these paths come back, and with --to into a directory of the
system that is new or empty: /home/restored-DATE by default. A path is as in
the snapshot, or below /home.

The password of the repository is the machine's own secret. The key to it is
looked for on key media, on the ESP and in the system; a passphrase is asked
for. Where none of that is there, the password is asked for, or
--password-file names a file that has it.

A snapshot is "newest", a date such as 2026-11-20 or "2026-11-20 18:30" for
the last one until then, or the first digits of an ID. On a terminal it is
asked for.`,
		Example: `  mkimage-rescue home
  mkimage-rescue home --snapshot 2026-11-20 --dry-run
  mkimage-rescue home --snapshot newest --path alice/Documents --to /home/alice/old`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	h.addSource(flags)
	h.consent.addTo(flags)
	flags.StringVar(&h.snapshot, "snapshot", "", "`which` snapshot: newest, a date, or the first digits of an ID")
	flags.StringArrayVar(&h.paths, "path", nil, "bring back this `path` alone, beside what is there")
	flags.StringVar(&h.to, "to", "", "the `directory` of the system that gets what comes back, new or empty")
	flags.BoolVar(&h.anySize, "any-size", false, "try it even if it may not fit: sparse files take less than their size")
	return p.writing(cmd, func(ctx context.Context, _ []string) error { return h.run(ctx, p) }, &h.dryRun)
}

// broughtBack is what the command has done, for programs.
type broughtBack struct {
	System   string           `json:"system"`
	Path     string           `json:"path"` // that was filled, in the system
	Snapshot string           `json:"snapshot"`
	Time     time.Time        `json:"time"` // of the snapshot
	Files    int64            `json:"files,omitempty"`
	Bytes    int64            `json:"bytes,omitempty"`
	Beside   []restore.Beside `json:"beside,omitempty"` // what could not be put to its place
	Seconds  float64          `json:"seconds"`
	DryRun   bool             `json:"dry_run,omitempty"`
}

func (h *home) run(ctx context.Context, p *program) error {
	d, err := p.deskOf(ctx, &h.source)
	if err != nil {
		return err
	}
	if err := d.needSystem(); err != nil {
		return err
	}
	if err := d.open(ctx, "home"); err != nil {
		return err
	}
	all, err := d.Snapshots(ctx, repository.Filter{})
	if err != nil {
		return err
	}
	s, err := d.snapshotOfOwn(ctx, all, h.snapshot)
	if err != nil {
		return err
	}
	made := broughtBack{System: d.system.ID, Path: h.target(d, s), Snapshot: s.ID, Time: s.Time}
	ok, err := p.agree(ctx, h.consent, h.will(d, s, made.Path)...)
	if err != nil || !ok {
		if err == nil && p.json {
			made.DryRun = true
			err = p.encode(made)
		}
		return err
	}
	if err := h.write(ctx, d, s, &made); err != nil {
		return err
	}
	return p.tellHome(&made)
}

// needSystem refuses a machine without a system to write to.
func (d *desk) needSystem() error {
	if d.system == nil {
		_, err := d.m.System(d.f.system)
		return err
	}
	return machine.Awake(d.system)
}

// beside reports whether what comes back is put beside what is there.
func (h *home) beside() bool { return len(h.paths) > 0 || h.to != "" }

// target is the directory of the system that is filled.
func (h *home) target(d *desk, s repository.Snapshot) string {
	_, dir := d.owner()
	switch {
	case h.to != "":
		return path.Join("/", h.to)
	case h.beside():
		return path.Join(dir, "restored-"+s.Time.Format(time.DateOnly))
	}
	return dir
}

// will says what is about to be done.
func (h *home) will(d *desk, s repository.Snapshot, target string) []string {
	disk := d.system.Root.Disk
	if about, err := d.m.Disk(disk); err == nil {
		disk = about.String()
	}
	what := "all"
	if len(h.paths) > 0 {
		what = repository.Listed(h.wanted(d))
	}
	lines := []string{
		"write to the system " + systemLine(d.system),
		"on the disk " + disk,
		fmt.Sprintf("take %s from snapshot %s of %s of %s", what, s.Short(), s.Time.Format(shownTime), repository.Printable(s.Host)),
	}
	if h.beside() {
		return append(lines, fmt.Sprintf("make the directory %s", target))
	}
	return append(lines, fmt.Sprintf("fill %s; what is there already stays, and its backup is put beside", target))
}

// wanted returns the paths that come back, as the snapshot has them.
func (h *home) wanted(d *desk) (list []string) {
	_, dir := d.owner()
	for _, p := range h.paths {
		if !path.IsAbs(p) {
			p = path.Join(dir, p)
		}
		list = append(list, p)
	}
	if len(list) == 0 {
		list = []string{dir}
	}
	return list
}

// write brings it back.
func (h *home) write(ctx context.Context, d *desk, s repository.Snapshot, made *broughtBack) (err error) {
	if err := d.release(ctx); err != nil {
		return err
	}
	note := func(line string) { d.p.note("%s", line) }
	sys, err := d.m.Mount(ctx, withoutESP(d.system), false, note)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.m.Close()) }() // what was written is on the disk then
	began := time.Now()
	if !h.beside() {
		_, dir := d.owner()
		err = d.fillHome(ctx, backup.HomeRequest{Root: sys.Dir, Path: dir, Snapshot: s.ID, AnySize: h.anySize}, made)
		made.Seconds = time.Since(began).Seconds()
		return err
	}
	to, err := sys.Resolve(path.Dir(made.Path))
	if err != nil {
		return fault.New(fault.Target, "name a directory whose parent is there", "%s: %w", path.Dir(made.Path), err)
	}
	tell, end := d.p.progress("copying and comparing")
	copied, err := d.CopyOut(ctx, backup.Copying{Snapshot: s.ID, Paths: h.wanted(d), To: path.Join(to, path.Base(made.Path)), AnySize: h.anySize, Progress: tell, Log: note})
	end()
	made.Files, made.Bytes, made.Seconds = copied.Files, copied.Bytes, time.Since(began).Seconds()
	return err
}

// fillHome fills the home of a system that is mounted, and notes in made what became of it.
func (d *desk) fillHome(ctx context.Context, r backup.HomeRequest, made *broughtBack) error {
	var end func()
	r.Progress, end = d.p.progress("restoring and comparing")
	r.Log = func(line string) { d.p.note("%s", line) }
	report, err := d.Home(ctx, r)
	end()
	if err != nil {
		return err
	}
	made.Path, made.Snapshot, made.Time, made.Beside = report.Path, report.Snapshot, report.Time, report.Beside
	return nil
}

// tellHome says what came back.
func (p *program) tellHome(made *broughtBack) error {
	if p.json {
		return p.encode(made)
	}
	fmt.Fprintf(p.stdout, "%s of %s has the backup of %s\n", made.Path, made.System, made.Time.Format(shownTime))
	for _, b := range made.Beside {
		if b.Kept {
			fmt.Fprintf(p.stdout, "  %s has what was there before of %s\n", b.Dir, repository.Printable(repository.Listed(b.Names)))
		} else {
			fmt.Fprintf(p.stdout, "  %s has the backup of what was there already, and was not touched: %s\n", b.Dir, repository.Printable(repository.Listed(b.Names)))
		}
	}
	return nil
}
