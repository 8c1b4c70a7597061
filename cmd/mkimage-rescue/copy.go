package main

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/repository"
	"github.com/6FaNcY9/mkimage/installer/rescue/backup"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
	"github.com/6FaNcY9/mkimage/installer/rescue/mounted"
)

// copying is what the command was told.
type copying struct {
	source
	to       string
	snapshot string // of btrfs
	anySize  bool
	dryRun   bool
}

func newCopy(p *program) *cobra.Command {
	var c copying
	cmd := &cobra.Command{
		Use:   "copy [SNAPSHOT] PATH... --to DIR",
		Short: "copy files out of a backup, or out of a snapshot of the system",
		Long: `mkimage-rescue copy copies files and directories out of a snapshot of the
backup, or, with --from-snapshot, out of a snapshot that the system's btrfs
has. They are read back and compared before the directory gets its name. Each
path is below it as it is in the snapshot; owners, modes, times and attributes
are as there.

DIR is new or empty, and of this machine, or of another disk: /dev/sdb1:DIR,
or LABEL=NAME:DIR. It must be on a file system that keeps owners, such as
btrfs or ext4. What was copied when it was cut short is beside DIR under a
name that says so, and the same command goes on with it.

A snapshot of the backup is "newest", a date, or the first digits of an ID;
without one it is asked for on a terminal, and else the newest. Paths begin
with /. What else is missing is asked for on a terminal, too.`,
		Example: `  mkimage-rescue copy newest /home/alice/Documents --to /dev/sdc1:documents
  mkimage-rescue copy --from-snapshot @home/.snapshots/monday alice/notes --to /tmp/back`,
		Args: cobra.ArbitraryArgs,
	}
	flags := cmd.Flags()
	c.addSource(flags)
	flags.StringVar(&c.to, "to", "", "the `directory` that gets them, new or empty")
	flags.StringVar(&c.snapshot, "from-snapshot", "", "out of this snapshot of the system: the `path` of a subvolume, as inventory prints it")
	flags.BoolVar(&c.anySize, "any-size", false, "try it even if it may not fit: sparse files of a backup take less than their size")
	flags.BoolVarP(&c.dryRun, "dry-run", "n", false, "say what would be done, and do nothing")
	return p.writing(cmd, func(ctx context.Context, args []string) error { return c.run(ctx, p, args) }, &c.dryRun)
}

// copiedOut is what the command has done, for programs.
type copiedOut struct {
	To       string  `json:"to"`
	Snapshot string  `json:"snapshot"` // ID, or the path of a subvolume
	Files    int64   `json:"files"`    // with directories
	Bytes    int64   `json:"bytes"`
	Seconds  float64 `json:"seconds"`
	DryRun   bool    `json:"dry_run,omitempty"`
}

func (c *copying) run(ctx context.Context, p *program, args []string) error {
	d, err := p.deskOf(ctx, &c.source)
	if err != nil {
		return err
	}
	if args, err = c.missing(ctx, d, args); err != nil {
		return err
	}
	if c.to == "" {
		return fault.New(fault.Usage, "--to /tmp/DIR, or --to LABEL=NAME:DIR", "where to: no directory is named")
	}
	var copied *copiedOut
	if c.snapshot != "" {
		copied, err = c.fromSubvolume(ctx, d, args)
	} else {
		copied, err = c.fromBackup(ctx, d, args)
	}
	if err != nil {
		return err
	}
	return p.tellCopied(copied)
}

// missing asks for what the command line does not say: from where, what, and where to. It
// returns the arguments with the answers.
func (c *copying) missing(ctx context.Context, d *desk, args []string) (_ []string, err error) {
	if !d.p.interactive() {
		return args, nil
	}
	if len(args) == 0 && c.snapshot == "" {
		if c.snapshot, err = d.chooseSource(ctx); err != nil {
			return nil, err
		}
	}
	if len(args) == 0 || len(args) == 1 && c.snapshot == "" && !path.IsAbs(args[0]) {
		question := "Copy which path of the backup? (such as /home/alice/notes; browse shows what there is) "
		if c.snapshot != "" {
			question = "Copy which path of " + c.snapshot + "? (such as alice/notes) "
		}
		name, err := d.p.argument(ctx, nil, 0, question, "")
		if err != nil {
			return nil, err
		}
		args = append(slices.Clone(args), name)
	}
	if c.to == "" {
		c.to, err = d.p.argument(ctx, nil, 0, "Copy to which directory? (such as /dev/sdb1:DIR, or /tmp/DIR) ", "")
	}
	return args, err
}

// chooseSource asks whether files come out of the backup, which is "", or out of which
// snapshot of the system.
func (d *desk) chooseSource(ctx context.Context) (string, error) {
	lines, names := []string{"the backup"}, []string{""}
	if d.system != nil {
		for _, v := range d.system.Subvolumes {
			if v.Role == inventory.RoleSnapshot || v.Role == inventory.RoleOld || v.Role == inventory.RoleFactory {
				lines, names = append(lines, v.Path), append(names, v.Path)
			}
		}
	}
	if len(lines) == 1 {
		return "", nil
	}
	i, err := d.p.choose(ctx, "source", lines)
	return names[i], err
}

// fromBackup opens the backup and copies out of that.
func (c *copying) fromBackup(ctx context.Context, d *desk, args []string) (*copiedOut, error) {
	want := ""
	if len(args) > 0 && !path.IsAbs(args[0]) {
		want, args = args[0], args[1:]
	}
	for _, a := range args {
		if !path.IsAbs(a) {
			return nil, fault.New(fault.Usage, "/home/"+repository.Printable(a), "path %s: expected one from the top of the snapshot", repository.Printable(a))
		}
	}
	if len(args) == 0 {
		return nil, fault.New(fault.Usage, "mkimage-rescue browse shows what there is", "no path is named")
	}
	if err := d.open(ctx, "copy"); err != nil {
		return nil, err
	}
	all, err := d.Snapshots(ctx, repository.Filter{})
	if err != nil {
		return nil, err
	}
	s, err := d.snapshot(ctx, all, want)
	if err != nil {
		return nil, err
	}
	return c.fromRepository(ctx, d, s, args)
}

// fromRepository copies paths of a snapshot of the backup, which is open.
func (c *copying) fromRepository(ctx context.Context, d *desk, s repository.Snapshot, paths []string) (*copiedOut, error) {
	made := &copiedOut{To: c.to, Snapshot: s.ID, DryRun: c.dryRun}
	d.p.note("will copy %s of snapshot %s to %s", repository.Printable(repository.Listed(paths)), s.Short(), c.to)
	if c.dryRun {
		return made, nil
	}
	dir, err := d.destination(ctx, c.to)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	tell, end := d.p.progress("copying and comparing")
	copied, err := d.CopyOut(ctx, backup.Copying{Snapshot: s.ID, Paths: paths, To: dir, AnySize: c.anySize, Progress: tell, Log: func(line string) { d.p.note("%s", line) }})
	end()
	made.Files, made.Bytes, made.Seconds = copied.Files, copied.Bytes, time.Since(began).Seconds()
	return made, err
}

// fromSubvolume copies paths of a subvolume of the system.
func (c *copying) fromSubvolume(ctx context.Context, d *desk, paths []string) (*copiedOut, error) {
	if d.system == nil {
		_, err := d.m.System(c.system)
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fault.New(fault.Usage, "--from-snapshot "+c.snapshot+" PATH", "no path of %s is named", c.snapshot)
	}
	name := strings.Trim(c.snapshot, "/")
	if !slices.ContainsFunc(d.system.Subvolumes, func(v inventory.Subvolume) bool { return v.Path == name }) {
		var names []string
		for _, v := range d.system.Subvolumes {
			names = append(names, v.Path)
		}
		return nil, fault.New(fault.Target, "one of "+strings.Join(names, ", "), "%s: subvolume %s is not there", d.system.ID, c.snapshot)
	}
	made := &copiedOut{To: c.to, Snapshot: name, DryRun: c.dryRun}
	d.p.note("will copy %s of %s to %s", repository.Printable(repository.Listed(paths)), name, c.to)
	if c.dryRun {
		return made, nil
	}
	top, err := d.m.Top(ctx, d.system, true)
	if err != nil {
		return nil, err
	}
	dir, err := d.destination(ctx, c.to)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	tell, end := d.p.progress("copying and comparing")
	copied, err := backup.CopyFromSnapshot(ctx, backup.SnapshotCopying{
		From: filepath.Join(top, name), Paths: paths, To: dir, Progress: tell, Log: func(line string) { d.p.note("%s", line) },
	})
	end()
	made.Files, made.Bytes, made.Seconds = copied.Files, copied.Bytes, time.Since(began).Seconds()
	return made, err
}

// destination returns the directory that a person has named, and mounts its disk, if it
// is on another one.
func (d *desk) destination(ctx context.Context, to string) (string, error) {
	head, rest, ok := strings.Cut(to, ":")
	_, _, named := fstab.ParseDevice(head)
	at, err := d.m.Find(head, "")
	if err != nil && !named && !strings.HasPrefix(head, "/dev/") {
		return to, nil // a directory of this machine
	}
	if err != nil {
		return "", err
	}
	if !ok {
		return "", fault.New(fault.Usage, "--to "+head+":back", "%s: is a disk, expected a colon and a directory behind it", to)
	}
	if slices.ContainsFunc(d.m.Inventory.Backups, func(b inventory.Backup) bool {
		return len(b.Repositories) > 0 && b.Disk == at.Disk && b.Number == at.Number && b.Start == at.Start
	}) {
		return "", fault.New(fault.Target, "name another disk", "%s: is the backup disk, of which nothing is changed", at)
	}
	if path.Join("/", rest) == "/" {
		return "", fault.New(fault.Usage, "--to "+head+":back", "%s: expected a directory behind the colon", to)
	}
	top, err := d.mountTarget(ctx, at)
	if err != nil {
		return "", err
	}
	parent, err := (&mounted.System{Dir: top}).Resolve(path.Dir(path.Join("/", rest)))
	if err != nil {
		return "", fault.New(fault.Target, "name a directory whose parent is there", "%s: %w", to, err)
	}
	return filepath.Join(parent, path.Base(rest)), nil
}

// mountTarget mounts the disk that is copied to, once: one can copy there again.
func (d *desk) mountTarget(ctx context.Context, at inventory.Place) (string, error) {
	if dir, has := d.targets[at]; has {
		return dir, nil
	}
	dir, err := d.m.FileSystem(ctx, at, fmt.Sprintf("target%d", len(d.targets)), false)
	if err != nil {
		return "", err
	}
	if d.targets == nil {
		d.targets = map[inventory.Place]string{}
	}
	d.targets[at] = dir
	return dir, nil
}

// tellCopied says what was copied.
func (p *program) tellCopied(made *copiedOut) error {
	if p.json {
		return p.encode(made)
	}
	if made.DryRun {
		return nil
	}
	fmt.Fprintf(p.stdout, "%s has %d files and directories, %s\n", made.To, made.Files, disks.SizeText(made.Bytes))
	return nil
}
