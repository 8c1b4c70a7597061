package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/flash"
	"github.com/6FaNcY9/mkimage/installer/repository"
	"github.com/6FaNcY9/mkimage/installer/rescue/imaging"
	"github.com/6FaNcY9/mkimage/installer/rescue/salvage"
)

func newSave(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "save",
		Short: "save what can be read of a failing disk",
		Long: `mkimage-rescue save gets out what a failing disk, or a damaged file system,
still has. "save disk" copies a disk that cannot be read everywhere, and
should be the first that is done to it: each hour that it runs may be its
last. "save files" copies files out of a btrfs that the kernel would not mount
any more, best out of such a copy. On a terminal what is missing is asked for.`,
		Args: cobra.NoArgs,
	}
	disk, files := newSaveDisk(p), newSaveFiles(p)
	cmd.AddCommand(disk, files)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !p.interactive() {
			return fault.New(fault.Usage, "mkimage-rescue save disk --help, mkimage-rescue save files --help", "save: expected disk or files")
		}
		p.started = true
		ways := []*cobra.Command{disk, files}
		i, err := p.choose(cmd.Context(), "of them", []string{disk.Short, files.Short})
		if err != nil {
			return err
		}
		ways[i].SetContext(cmd.Context())
		return ways[i].RunE(ways[i], nil)
	}
	return cmd
}

// saveDisk is what the command was told.
type saveDisk struct {
	mapFile string
	retries int
	same    string
	consent flash.Consent
}

func newSaveDisk(p *program) *cobra.Command {
	var s saveDisk
	cmd := &cobra.Command{
		Use:   "disk DISK TARGET",
		Short: "copy a disk that fails, or a partition, to a file or to another disk",
		Long: `mkimage-rescue save disk copies a disk, or a partition of it, that cannot be
read everywhere. What reads well comes first; then it goes closer and closer
to what does not, sector by sector at last. Nothing is written to the disk
that is read.

TARGET is a file that does not exist yet, on a disk that has as much room as
DISK is used, or a whole disk that is at least as large. That disk must not be
in use, and is named by --serial where it is built in, and by --erase where it
is not empty, as the message says.

In the rescue environment a disk has to be mounted for it first: what is in
memory is gone with the machine, and refused.

What is known of each sector is kept in a map: TARGET.map, or for a disk the
file of --map. Ctrl-C stops it, a power cut too, and the same command goes on.
The map is one of GNU ddrescue, which can go on with it as well.

Before it goes on, the map is compared with the disk (its size, and serial
number or WWID; of an image the name), and some of what the map calls rescued
with the disk and TARGET: of another disk, or with another TARGET, nothing is
written. Where it is the same disk all the same, behind another adapter or
written to meanwhile, --same-disk says so: what is rescued is compared as
well then, and no more than half of it may differ.

The exit code is 7 where sectors could not be read: those are zeros in the
copy.`,
		Example: `  mkimage-rescue save disk /dev/sdb /mnt/large/laptop.img
  mkimage-rescue save disk /dev/nvme0n1p2 /mnt/large/root.img --retries 3
  mkimage-rescue save disk /dev/sdb /dev/sdc --map /mnt/stick/laptop.map --erase WD-12345`,
		Args: cobra.MaximumNArgs(2),
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&s.mapFile, "map", "", "where the map is kept: a `file` on neither of the two disks; default TARGET.map")
	flags.IntVar(&s.retries, "retries", 1, "how `often` bad sectors are tried again")
	flags.StringVar(&s.same, "same-disk", "", "go on although the map names another disk, or some blocks differ: the `SERIAL` number of the disk that is read, else its WWID or name")
	flags.StringVar(&s.consent.Serial, "serial", "", "copy over a disk that is not removable: its `SERIAL` number, or its name if it has none")
	flags.StringVar(&s.consent.Erase, "erase", "", "copy over a disk that is not empty, also to go on with a copy: its `SERIAL` number, or its name if it has none")
	return p.writing(cmd, func(ctx context.Context, args []string) error { return s.run(ctx, p, args) })
}

// maxRetries bounds what can be meant.
const maxRetries = 100

func (s *saveDisk) run(ctx context.Context, p *program, args []string) error {
	if s.retries < 0 || s.retries > maxRetries {
		return fault.New(fault.Usage, "", "save: --retries says %d, expected 0 to %d", s.retries, maxRetries)
	}
	const usage = "mkimage-rescue save disk DISK TARGET"
	name, err := p.argument(ctx, args, 0, "Which disk, or partition, fails? (such as /dev/sdb; inventory lists them) ", usage)
	if err != nil {
		return err
	}
	target, err := p.argument(ctx, args, 1, "Copy it to which file, or disk? (such as /mnt/large/laptop.img) ", usage)
	if err != nil {
		return err
	}
	from, err := imaging.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	place, err := s.place(ctx, p, from, target)
	if err != nil {
		return err
	}
	defer place.Close()
	if place.Again {
		p.note("going on with what was begun")
	}
	report, err := s.copy(ctx, p, from, place)
	if err != nil {
		return err
	}
	if report.Bad > 0 {
		p.code = exitDamage
	}
	if p.json {
		return p.encode(report)
	}
	fmt.Fprintf(p.stdout, "%s: %s of %s rescued\n", target, disks.ShortSize(report.Rescued), disks.ShortSize(report.Size))
	for _, part := range report.BadParts[:min(len(report.BadParts), maxShown)] {
		fmt.Fprintf(p.stdout, "lost     %d bytes from byte %d on\n", part.Length, part.Start)
	}
	if report.BadCount > maxShown {
		fmt.Fprintf(p.stdout, "         … %d places in all; the map has them\n", report.BadCount)
	}
	return nil
}

// place opens what is copied to.
func (s *saveDisk) place(ctx context.Context, p *program, from *imaging.Disk, target string) (*imaging.Place, error) {
	info, err := os.Stat(target)
	if err != nil || info.Mode().Type() != os.ModeDevice {
		mapFile := s.mapFile
		if mapFile == "" {
			mapFile = target + ".map"
		}
		if abs, err := filepath.Abs(target); err == nil && strings.HasPrefix(abs, "/dev/") && !strings.HasPrefix(abs, "/dev/shm/") {
			return nil, fault.New(fault.Target, "mkimage-rescue inventory lists the disks", "%s: is no disk that is there", target)
		}
		if s.consent != (flash.Consent{}) {
			return nil, fault.New(fault.Usage, "name a disk, or leave them out", "save: --serial and --erase are for disks, %s is none", target)
		}
		if err := p.kept(target, mapFile); err != nil {
			return nil, err
		}
		return imaging.ToFile(from, target, mapFile, s.same)
	}
	if s.mapFile == "" && p.interactive() {
		if s.mapFile, err = p.argument(ctx, nil, 0, "Keep the map in which file? (on neither disk, such as /mnt/stick/laptop.map) ", ""); err != nil {
			return nil, err
		}
	}
	if s.mapFile == "" {
		return nil, fault.New(fault.Usage, "--map FILE, on a stick for one", "save: --map is missing: with a disk as the target the map needs a place of its own")
	}
	if err := p.kept(s.mapFile); err != nil {
		return nil, err
	}
	var scan disks.Scanner
	chosen, err := scan.One(ctx, target)
	if err != nil {
		return nil, err
	}
	return imaging.ToDisk(ctx, from, scan, chosen, s.consent, s.mapFile, s.same)
}

// copy copies, and tells how far it is.
func (s *saveDisk) copy(ctx context.Context, p *program, from *imaging.Disk, place *imaging.Place) (*imaging.Report, error) {
	tell, end := p.progress("rescued")
	defer end()
	doing := ""
	place.Compared = func(k imaging.Compared) {
		if k.Samples > 0 {
			p.note("%s", k)
		}
		if k.Samples > 0 && k.Read == 0 {
			p.note("nothing that the map calls copied can be read any more: whether the copy is of this disk is not known")
		}
	}
	return place.Copy(ctx, from, s.retries, func(now imaging.Progress) {
		if now.Doing != doing {
			doing = now.Doing
			p.note("%s; %s bad so far, %s to go", doing, disks.ShortSize(now.Bad), disks.ShortSize(now.Remaining))
		}
		tell(now.Rescued, now.Rescued+now.Bad+now.Remaining)
	})
}

// saveFiles is what the command was told.
type saveFiles struct {
	where
	subvolume, from string
}

func newSaveFiles(p *program) *cobra.Command {
	var s saveFiles
	cmd := &cobra.Command{
		Use:   "files DIRECTORY",
		Short: "copy files out of a damaged btrfs",
		Long: `mkimage-rescue save files copies a subvolume, or a directory of it, to a
directory that is new or empty. The file system is read by mkimage's own
reader: it need not be mountable, and is neither mounted nor written to.

What is lost is named: of a file that is damaged all else is copied, with
zeros in the place of what is lost. So is what the file system of DIRECTORY
cannot have: symlinks, some names, owners, files of 4 GiB on FAT; on ext4 or
btrfs all of it can be kept. The exit code is 7 then.

After Ctrl-C, a power cut or a full disk the same command goes on: what
DIRECTORY has already is compared to the last byte, gets what it lacks, and is
not written over. A file of the same name with another content is left, and
named as lost. ` + "`.mkimage-save.json`" + ` in DIRECTORY says what it is a copy of.`,
		Example: `  mkimage-rescue save files --subvolume @home /mnt/large/home
  mkimage-rescue save files --image /mnt/large/laptop.img --subvolume @home --from alice /mnt/large/alice`,
		Args: cobra.MaximumNArgs(1),
	}
	s.addSystem(cmd.Flags())
	cmd.Flags().StringVar(&s.subvolume, "subvolume", "@home", "the subvolume, by its `path` from the top level; / is that")
	cmd.Flags().StringVar(&s.from, "from", "", "a directory of the subvolume: its `path`; default all of it")
	return p.writing(cmd, func(ctx context.Context, args []string) error { return s.run(ctx, p, args) })
}

func (s *saveFiles) run(ctx context.Context, p *program, args []string) error {
	dir, err := p.argument(ctx, args, 0, "Copy "+s.subvolume+" to which directory? (new or empty, such as /mnt/large/home) ", "mkimage-rescue save files DIRECTORY")
	if err != nil {
		return err
	}
	if err := p.kept(dir); err != nil {
		return err
	}
	m, system, err := p.system(ctx, &s.where)
	if err != nil {
		return err
	}
	if err := imaging.Elsewhere(system.Root.Disk, dir); err != nil {
		return err
	}
	part, done, err := m.OpenPlace(system.Root)
	if err != nil {
		return err
	}
	defer done()
	fs, err := reader.Open(part, part.Size())
	if err != nil {
		return err
	}
	fsid := fs.Super().FSID
	to, again, err := salvage.OpenFolder(dir, salvage.Origin{FileSystem: hex.EncodeToString(fsid[:]), Subvolume: path.Clean("/" + s.subvolume), From: path.Clean("/" + s.from)})
	if err != nil {
		return err
	}
	defer to.Close()
	if again {
		p.note("going on with what was begun")
	}
	tell, end := p.progress("copied")
	report, err := salvage.Copy(ctx, salvage.Request{FS: fs, Subvolume: s.subvolume, From: s.from, To: to, Progress: func(done int64) { tell(done, 0) }})
	end()
	if err != nil {
		return err
	}
	if report.Lost > 0 || report.Blocks > 0 {
		p.code = exitDamage
	}
	if report.Unkept > 0 {
		p.note("the file system of %s cannot have all that was saved: to keep the rest too, save to a directory on ext4 or btrfs", dir)
	}
	if p.json {
		return p.encode(report)
	}
	fmt.Fprintf(p.stdout, "%s: %d files, %d directories, %s\n", dir, report.Files, report.Directories, disks.ShortSize(report.Bytes))
	if again {
		fmt.Fprintf(p.stdout, "         %d of the files were there already\n", report.Found)
	}
	for _, l := range report.Losses[:min(len(report.Losses), maxShown)] {
		fmt.Fprintf(p.stdout, "lost     %s: %s\n", repository.Printable(l.Path), l.What)
	}
	if report.Lost > maxShown {
		fmt.Fprintf(p.stdout, "         … %d in all; --json has more\n", report.Lost)
	}
	return nil
}
