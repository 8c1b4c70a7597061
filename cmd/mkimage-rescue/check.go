package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/repository"
	"github.com/6FaNcY9/mkimage/installer/rescue/health"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
	"github.com/6FaNcY9/mkimage/installer/rescue/machine"
)

// exitDamage is the exit code of a check that found something, and of a copy that is
// not whole.
const exitDamage = 7

// check is what the command was told.
type check struct {
	source
	smart, data, second, scrub, heal, backup bool
	sample                                   int
}

func newCheck(p *program) *cobra.Command {
	var c check
	cmd := &cobra.Command{
		Use:   "check",
		Short: "check disks, file systems and the backup",
		Long: `mkimage-rescue check asks the disks how they are (SMART) and reads all that
describes the files of a system, without mounting it. Nothing is written, so
that a system whose session sleeps can be checked, too.

With --data all files are read as well, and those of which something is lost
are named. --second asks btrfs check for its opinion of the same.

--scrub mounts the system read-only and has the kernel read everything, every
copy. With --heal it may write: what has a good copy left, as the file
system's own tables have, is put in order. What has none is told, and the
files are named.

--backup has restic check the backup, and read a part of its data (--sample).

The exit code is 7 where something was found, be it healed; what could not be
asked is told, and no damage.`,
		Example: `  mkimage-rescue check
  mkimage-rescue check --data
  mkimage-rescue check --scrub --heal
  mkimage-rescue check --backup --sample 20`,
		Args: cobra.NoArgs,
	}
	c.addSource(cmd.Flags())
	flags := cmd.Flags()
	flags.BoolVar(&c.smart, "smart", false, "ask the disks alone")
	flags.BoolVar(&c.data, "data", false, "read all files, too")
	flags.BoolVar(&c.second, "second", false, "ask btrfs check, too")
	flags.BoolVar(&c.scrub, "scrub", false, "have the kernel read everything")
	flags.BoolVar(&c.heal, "heal", false, "let the scrub put in order what has a good copy")
	flags.BoolVar(&c.backup, "backup", false, "check the backup alone")
	flags.IntVar(&c.sample, "sample", 5, "how much of the backup's data is read, in `percent`")
	return p.command(cmd, func(ctx context.Context, _ []string) error { return c.run(ctx, p) })
}

// checked is what the command has found.
type checked struct {
	Verdict health.Verdict     `json:"verdict"`
	Smart   []*health.Smart    `json:"smart,omitempty"`
	Btrfs   *health.Btrfs      `json:"btrfs,omitempty"`
	Second  *health.Second     `json:"second,omitempty"`
	Scrub   *health.Scrub      `json:"scrub,omitempty"`
	Backup  *health.Repository `json:"backup,omitempty"`
}

func (c *check) run(ctx context.Context, p *program) error {
	switch {
	case c.heal && !c.scrub:
		return fault.New(fault.Usage, "mkimage-rescue check --scrub --heal", "check: --heal is of a scrub")
	case c.sample < 1 || c.sample > 100:
		return fault.New(fault.Usage, "name a percentage from 1 to 100", "check: --sample says %d%%", c.sample)
	case c.backup && (c.smart || c.data || c.second || c.scrub), c.smart && (c.data || c.second || c.scrub):
		return fault.New(fault.Usage, "do one after the other", "check: --smart and --backup are alone")
	}
	if c.heal {
		if err := p.staysAlone(); err != nil {
			return err
		}
	}
	d, err := p.deskOf(ctx, &c.source)
	if err != nil {
		return err
	}
	found := &checked{}
	if !c.backup {
		if found.Smart, err = askDisks(ctx, p, d.m); err != nil {
			return err
		}
	}
	switch {
	case c.backup:
		err = c.checkBackup(ctx, d, found)
	case !c.smart:
		err = c.checkSystem(ctx, p, d.m, found)
	}
	if err != nil {
		return err
	}
	found.Verdict = found.worst()
	if found.Verdict == health.Warn || found.Verdict == health.Failing {
		p.code = exitDamage
	}
	if p.json {
		return p.encode(found)
	}
	return found.print(p.stdout)
}

// askDisks asks all disks that are no images.
func askDisks(ctx context.Context, p *program, m *machine.Machine) (list []*health.Smart, err error) {
	var programs health.Programs
	if name, err := p.tool("/usr/sbin/smartctl"); err == nil {
		programs.Smartctl = name
	}
	if name, err := p.tool("/usr/sbin/nvme"); err == nil {
		programs.NVMe = name
	}
	for _, d := range m.Inventory.Disks {
		if d.Bus == "file" || d.Bus == "loop" {
			continue
		}
		s, err := health.AskSmart(ctx, programs, d.Path)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// checkSystem checks the file system of the system that is meant.
func (c *check) checkSystem(ctx context.Context, p *program, m *machine.Machine, found *checked) error {
	s, err := m.System(c.system)
	if err != nil {
		return err
	}
	if err := machine.Awake(s); err != nil && c.scrub {
		return fault.New(fault.Target, "mkimage-rescue check --data reads the same, and mounts nothing", "%w", err)
	}
	if found.Btrfs, err = readAll(ctx, p, m, s, c.data); err != nil {
		return err
	}
	if c.second {
		if err := c.askSecond(ctx, p, s, found); err != nil {
			return err
		}
	}
	if !c.scrub {
		return nil
	}
	dir, err := m.Top(ctx, s, !c.heal)
	if err != nil {
		return err
	}
	tell, end := p.progress("scrub")
	found.Scrub, err = health.RunScrub(ctx, dir, !c.heal, tell)
	end()
	switch {
	case errors.Is(err, unix.EROFS) && !c.heal:
		p.note("this kernel does not scrub what is mounted read-only: mkimage's own reader reads every copy")
	case err != nil || found.Scrub.Uncorrectable == 0 || c.data:
		return err
	}
	// The kernel names files in its log alone.
	if err := m.Close(); err != nil {
		return err
	}
	found.Btrfs, err = readAll(ctx, p, m, s, true)
	return err
}

// readAll reads a file system that is not mounted.
func readAll(ctx context.Context, p *program, m *machine.Machine, s *inventory.System, data bool) (*health.Btrfs, error) {
	part, done, err := m.OpenPlace(s.Root)
	if err != nil {
		return nil, err
	}
	defer done()
	tell, end := p.progress("reading " + s.ID)
	defer end()
	return health.CheckBtrfs(ctx, part, part.Size(), data, tell)
}

// askSecond asks btrfs-progs.
func (c *check) askSecond(ctx context.Context, p *program, s *inventory.System, found *checked) error {
	if s.Root.Node == "" {
		return fault.New(fault.Input, "losetup --find --show --partscan makes devices of an image", "%s: btrfs check reads devices alone", s.ID)
	}
	program, err := p.tool("/usr/bin/btrfs")
	if err != nil {
		return err
	}
	found.Second, err = health.BtrfsCheck(ctx, program, s.Root.Node)
	return err
}

// checkBackup has restic check the backup.
func (c *check) checkBackup(ctx context.Context, d *desk, found *checked) error {
	if _, err := d.p.tool(resticPath); err != nil {
		return err
	}
	if err := d.open(ctx, "check --backup"); err != nil {
		return err
	}
	d.p.note("restic reads %d%% of the data and says nothing meanwhile", c.sample)
	sum, err := d.Check(ctx, c.sample)
	if err != nil {
		return err
	}
	found.Backup = health.JudgeRepository(sum, c.sample)
	return nil
}

// worst is the verdict of all.
func (f *checked) worst() health.Verdict {
	var list []health.Verdict
	for _, s := range f.Smart {
		list = append(list, s.Verdict)
	}
	if f.Btrfs != nil {
		list = append(list, f.Btrfs.Verdict)
	}
	if f.Second != nil && !f.Second.Clean {
		list = append(list, health.Failing)
	}
	if f.Scrub != nil {
		list = append(list, f.Scrub.Verdict)
	}
	if f.Backup != nil {
		list = append(list, f.Backup.Verdict)
	}
	return health.Worst(list...)
}

// maxShown is how many findings and files people are shown.
const maxShown = 20

// print prints what was found for people.
func (f *checked) print(w io.Writer) error {
	for _, s := range f.Smart {
		fmt.Fprintf(w, "%-8s disk %s: %s\n", s.Verdict, s.Disk, s.Reasons[0])
		for _, r := range s.Reasons[1:] {
			fmt.Fprintf(w, "         %s\n", r)
		}
	}
	if b := f.Btrfs; b != nil {
		fmt.Fprintf(w, "%-8s file system: %s\n", b.Verdict, b.Reason)
		for _, found := range b.Findings[:min(len(b.Findings), maxShown)] {
			fmt.Fprintf(w, "         %s\n", repository.Printable(found.String()))
		}
		if b.Found > maxShown {
			fmt.Fprintf(w, "         … %d in all; --json has more\n", b.Found)
		}
		for _, file := range b.Files[:min(len(b.Files), maxShown)] {
			fmt.Fprintf(w, "lost     %s\n", lostLine(file))
		}
	}
	if f.Second != nil {
		says := map[bool]string{true: "no error found", false: "errors: " + repository.Printable(f.Second.Text)}
		fmt.Fprintf(w, "btrfs check: %s\n", says[f.Second.Clean])
	}
	if f.Scrub != nil {
		fmt.Fprintf(w, "%-8s scrub: %s\n", f.Scrub.Verdict, f.Scrub.Reason)
	}
	if b := f.Backup; b != nil {
		fmt.Fprintf(w, "%-8s backup: %s\n", b.Verdict, b.Reason)
		if b.Hint != "" {
			fmt.Fprintf(w, "         %s\n", b.Hint)
		}
	}
	_, err := fmt.Fprintf(w, "All in all: %s\n", f.Verdict)
	return err
}

// lostLine names a damaged file, and what of it is lost.
func lostLine(file health.DamagedFile) string {
	var bytes int64
	for _, r := range file.Ranges {
		bytes += r.Length
	}
	name := file.Path
	if file.Subvolume != "" {
		name = file.Subvolume + "/" + name
	}
	return fmt.Sprintf("%s: %d bytes from byte %d on", repository.Printable(name), bytes, file.Ranges[0].Start)
}
