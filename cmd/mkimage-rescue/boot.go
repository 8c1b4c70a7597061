package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/efivar"
	"github.com/6FaNcY9/mkimage/installer/rescue/bootrepair"
	"github.com/6FaNcY9/mkimage/installer/rescue/carried"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
	"github.com/6FaNcY9/mkimage/installer/rescue/machine"
)

// boot is what the command was told.
type boot struct {
	where
	consent
	drop, reformat, noFirmware bool
}

func newBoot(p *program) *cobra.Command {
	var b boot
	cmd := &cobra.Command{
		Use:   "boot [DISK]",
		Short: "repair what a system starts by",
		Long: `mkimage-rescue boot finds out why a system does not start, says what it would
do, and does it: the table of partitions is restored from its second copy, or
made again of the file systems that are found on the disk; the EFI system
partition is made again with boot loader, menu, kernels and initramfs; and the
firmware gets an entry.

What is put back is made of the system's own files, by the code that made it
first. What was on the lost partition alone comes from the stick. A disk that
starts is left as it is. After a power cut the same command goes on.

The disk is that of the machine's system; where no system can be found,
because the table is lost, it is the only disk that is neither the stick nor a
backup, or the one that is named.`,
		Example: `  mkimage-rescue boot --dry-run
  mkimage-rescue boot
  mkimage-rescue boot /dev/nvme0n1 --yes`,
		Args: cobra.MaximumNArgs(1),
	}
	b.addSystem(cmd.Flags())
	b.consent.addTo(cmd.Flags())
	flags := cmd.Flags()
	flags.BoolVar(&b.drop, "drop-session", false, "give up a session that sleeps on the disk: what was open in it is lost")
	flags.BoolVar(&b.reformat, "reformat", false, "give up files of others on an EFI system partition that is made anew")
	flags.BoolVar(&b.noFirmware, "no-firmware", false, "leave the firmware's own menu as it is; on a machine that no stick has started that is so always")
	return p.writing(cmd, func(ctx context.Context, args []string) error { return b.run(ctx, p, args) }, &b.dryRun)
}

func (b *boot) run(ctx context.Context, p *program, args []string) error {
	m, err := p.look(ctx, &b.where)
	if err != nil {
		return err
	}
	d, err := b.disk(m, args)
	if err != nil {
		return err
	}
	p.note("%s", d)
	if err := unused(d); err != nil && !b.dryRun {
		return err
	}
	disk, err := m.Open(d.Path, os.O_RDWR)
	if err != nil {
		return err
	}
	defer disk.Close()
	sys, err := b.systemOf(p, m, d, disk)
	if err != nil {
		return err
	}
	tell, end := p.progress("look at " + d.Path)
	findings, err := bootrepair.Diagnose(ctx, sys, tell)
	if err != nil {
		return err
	}
	end()
	return b.repair(ctx, p, m, d, findings)
}

// unused refuses a disk of which something is mounted, swapped to, or part of another
// device: who uses it would write over what is repaired.
func unused(d *disks.Disk) error {
	if len(d.Uses) == 0 {
		return nil
	}
	return fault.New(fault.Target, "unmount it, and end what uses it", "%s: is in use: %s by %s", d.Path, d.Uses[0].Device, d.Uses[0].By)
}

// disk returns the disk whose boot is repaired.
func (b *boot) disk(m *machine.Machine, args []string) (*disks.Disk, error) {
	if len(args) == 1 {
		return m.Disk(args[0])
	}
	s, err := m.System(b.system)
	if err == nil {
		return m.Disk(s.Root.Disk)
	}
	if b.system != "" || len(m.Inventory.Systems) > 0 {
		return nil, err
	}
	taken := map[string]bool{}
	for _, x := range m.Inventory.Media {
		taken[x.Disk] = true
	}
	for _, x := range m.Inventory.Backups {
		taken[x.Disk] = true
	}
	for _, x := range m.Inventory.KeyMedia {
		taken[x.Disk] = true
	}
	var left []*disks.Disk
	var names []string
	for i, d := range m.Inventory.Disks {
		if !taken[d.Path] && len(d.Uses) == 0 && !d.ReadOnly && d.Size > 0 {
			left = append(left, &m.Inventory.Disks[i])
			names = append(names, "mkimage-rescue boot "+d.Path)
		}
	}
	if len(left) == 1 {
		return left[0], nil
	}
	return nil, fault.New(fault.Usage, strings.Join(names, ", or "), "which disk: no system is found on any, and %d could have had it", len(left))
}

// sectors is a disk with what its table is counted in.
type sectors struct {
	rawdisk.Pieces
	size int64
}

// SectorSize implements bootrepair.Disk.
func (s sectors) SectorSize() int64 { return s.size }

// sectorOfImage is the logical sector of an image, in bytes.
const sectorOfImage = 512

func (b *boot) systemOf(p *program, m *machine.Machine, d *disks.Disk, disk *rawdisk.Disk) (s bootrepair.System, err error) {
	s = bootrepair.System{
		Name: d.Path, Disk: sectors{rawdisk.Pieces{Disk: disk}, max(d.SectorSize, sectorOfImage)}, Pin: func() error { return b.isPinned(m, d.Path) },
	}
	if _, err := rand.Read(s.Seed[:]); err != nil {
		return s, err
	}
	s.Present = present(m.Inventory.Disks)
	if isHere() && len(b.images) == 0 && !b.noFirmware {
		if s.Vars, err = efivar.Open(efivar.Mount); err != nil {
			p.note("the firmware's menu is left as it is: %v", err)
		}
	}
	s.Stick, err = b.stick(p, m, d, s.Seed)
	return s, err
}

func (b *boot) isPinned(m *machine.Machine, path string) error {
	disk, err := m.Open(path, os.O_RDONLY)
	if err != nil {
		return err
	}
	return disk.Close()
}

// present returns the partitions of all disks.
func present(list []disks.Disk) (out []ids.UUID) {
	for _, d := range list {
		for _, p := range d.Partitions {
			if id, err := ids.ParseUUID(p.GUID); err == nil { // an MBR has others
				out = append(out, id)
			}
		}
	}
	return out
}

// stick returns what the stick can give, as far as one is plugged in.
func (b *boot) stick(p *program, m *machine.Machine, d *disks.Disk, seed ids.Seed) (bootrepair.Stick, error) {
	host, err := carried.Host(m.Plan, seed, d.Size)
	if err != nil {
		return bootrepair.Stick{}, err
	}
	stick, err := p.openStick(m)
	if err != nil || stick == nil || host == nil {
		return bootrepair.Stick{Plan: host}, err
	}
	install, err := ids.ParseUUID(d.DiskGUID)
	if err != nil { // the table is lost, and with it which installation it was
		install = seed.UUID("disk")
	}
	return stick.Parts(host, install, time.Now())
}

func (b *boot) repair(ctx context.Context, p *program, m *machine.Machine, d *disks.Disk, f *bootrepair.Findings) error {
	var will []string
	for _, x := range f.List {
		line := fmt.Sprintf("%s: %s", x.Object, x.Wrong)
		if x.Will == "" {
			p.note("%s (nothing can be done about it here)", line)
			continue
		}
		will = append(will, fmt.Sprintf("%s: %s", line, x.Will))
		if len(x.Loses) > 0 {
			will = append(will, "lose "+strings.Join(x.Loses, ", "))
		}
	}
	for _, n := range f.Notes {
		p.note("%s", n)
	}
	if f.Session != nil && len(will) > 0 && !b.drop {
		return fault.New(fault.Target, machine.Wake+"; or --drop-session", "%s: a session sleeps in %s, and would be destroyed", d.Path, f.Session.File)
	}
	if len(will) > 0 && sleepsBesides(m, d.Path, f.Session) {
		return fault.New(fault.Target, machine.Wake, "%s: a session sleeps on it, and would be destroyed", d.Path)
	}
	if len(will) == 0 {
		if p.json {
			return p.encode(f)
		}
		fmt.Fprintf(p.stdout, "%s: all that it starts by is as it should be\n", d.Path)
		return nil
	}
	ok, err := p.agree(ctx, b.consent, will...)
	if err != nil || !ok {
		if err == nil && p.json {
			return p.encode(f)
		}
		return err
	}
	return b.do(ctx, p, m, d, f)
}

// sleepsBesides reports whether a session sleeps on a disk that the repair cannot give up:
// in a swap partition, or in the swapfile of another system. known is the one that it can,
// and may be nil.
func sleepsBesides(m *machine.Machine, disk string, known *bootrepair.Session) bool {
	if known == nil {
		return m.Sleeps(disk)
	}
	return slices.ContainsFunc(m.Inventory.Sessions, func(s inventory.Session) bool {
		return s.Disk == disk && (s.File == "" || s.Start+s.Offset*swaparea.PageSize != known.At)
	})
}

// do repairs.
func (b *boot) do(ctx context.Context, p *program, m *machine.Machine, d *disks.Disk, f *bootrepair.Findings) error {
	choices := bootrepair.Choices{DropSession: b.drop, Reformat: b.reformat, Mount: func(ctx context.Context, esp gpt.Partition) (durable.FS, func() error, error) {
		dir, done, err := m.Part(ctx, inventory.Place{Disk: d.Path, Start: esp.Start, Size: esp.Size}, "esp", "vfat", machine.ESPOptions)
		if err != nil {
			return nil, nil, err
		}
		return durable.OS(dir), done, nil
	}}
	var last bootrepair.Kind
	tell, end := func(int64, int64) {}, func() {}
	report, err := bootrepair.Repair(ctx, f, choices, func(k bootrepair.Kind, done, total int64) {
		if k != last {
			end()
			tell, end = p.progress("repair: " + string(k))
			last = k
		}
		tell(done, total)
	})
	end()
	if err != nil {
		return err
	}
	if p.json {
		return p.encode(report)
	}
	for _, x := range report.Done {
		fmt.Fprintf(p.stdout, "done: %s: %s\n", x.Object, x.Will)
	}
	for _, n := range report.Notes {
		p.note("%s", n)
	}
	if len(report.Left) > 0 {
		return errors.New("something is left that this cannot repair, as told above")
	}
	return nil
}
