package bootrepair

import (
	"context"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/esp"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/efivar"
)

// System is a disk with a system that does not start, and what may help.
type System struct {
	Name string // of the disk, in messages
	Disk Disk
	// Pin is called before the first write, and is an error where the disk is not the one
	// that was chosen any more: installer/disks checks its pins so. Nil refuses to write.
	Pin   func() error
	Stick Stick
	// Vars are those of the firmware, nil where it has none or is not to be changed.
	Vars    *efivar.Vars
	Present []ids.UUID // partitions of all disks, see efivar.Entry
	// Seed is of this repair alone: identities come from it that nobody remembers.
	Seed ids.Seed
}

// Kind is what a finding is about.
type Kind string

// The kinds, in the order in which they are repaired: each rests on those before.
const (
	KindTable    Kind = "table"    // the table of partitions
	KindESP      Kind = "esp"      // the file system of the ESP, which is made anew
	KindFiles    Kind = "files"    // files on it that are missing or damaged
	KindFirmware Kind = "firmware" // the entry in the firmware's menu
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind   Kind     `json:"kind"`
	Object string   `json:"object"`          // what it is about
	Wrong  string   `json:"wrong"`           // what was found
	Will   string   `json:"will"`            // what Repair does; "" where it can do nothing
	Needs  []string `json:"needs,omitempty"` // what the stick gives for it
	// Loses are the files of others that are gone by it: Repair asks for Choices.Reformat.
	Loses []string `json:"loses,omitempty"`
}

// Findings is what Diagnose has found. It is to be used once: the disk changes.
type Findings struct {
	List    []Finding `json:"findings"` // none where nothing is wrong
	Session *Session  `json:"session,omitempty"`
	Notes   []string  `json:"notes,omitempty"` // what is not as usual, and stays

	system   System
	table    *TableFound
	esp      gpt.Partition
	params   esp.Params
	menu     *menu
	missing  []file
	firmware *efivar.Entry
}

// Has reports whether there is a finding of a kind.
func (f *Findings) Has(k Kind) bool {
	return slices.ContainsFunc(f.List, func(x Finding) bool { return x.Kind == k })
}

func (f *Findings) add(x Finding) { f.List = append(f.List, x) }

func (f *Findings) note(format string, args ...any) {
	f.Notes = append(f.Notes, fmt.Sprintf(format, args...))
}

// Diagnose finds out why the system of a disk does not start. It writes nothing. A disk
// that has no system, or several, is refused with an error of class fault.Target.
func Diagnose(ctx context.Context, s System, progress Progress) (*Findings, error) {
	f := &Findings{system: s}
	var err error
	if f.table, err = InspectTable(ctx, s.Disk, s.Seed, progress); err != nil {
		return nil, named(s.Name, err)
	}
	f.judgeTable()
	part, root, err := f.table.partitions(s.Disk)
	if err != nil {
		return nil, named(s.Name, err)
	}
	if part == nil {
		return nil, fault.New(fault.Target, "", "%s: its table has no ESP, and nothing says where one was", s.Name)
	}
	f.esp = *part
	fsys, err := reader.Open(section(s.Disk, root.Start, root.Size), root.Size)
	if err != nil {
		return nil, named(s.Name, fmt.Errorf("partition %d: %w", root.Number, err))
	}
	installed, err := openSystem(fsys)
	if err != nil {
		return nil, named(s.Name, fmt.Errorf("partition %d: %w", root.Number, err))
	}
	f.Session = sessionOf(installed, root.Start)
	if err := f.judgeESP(ctx, installed, *root); err != nil {
		return nil, named(s.Name, err)
	}
	return f, f.judgeFirmware()
}

func named(name string, err error) error {
	return fault.New(fault.ClassOf(err), fault.HintOf(err), "%s: %w", name, err)
}

func (f *Findings) judgeTable() {
	f.Notes = append(f.Notes, f.table.Notes...)
	switch f.table.State {
	case TableDamaged:
		var wrong []string
		for _, p := range f.table.Problems {
			wrong = append(wrong, p.String())
		}
		f.add(Finding{Kind: KindTable, Object: "partition table", Wrong: strings.Join(wrong, "; "), Will: "write it again from the copy that is whole"})
	case TableLost:
		var found []string
		for _, fsys := range f.table.Found {
			found = append(found, fsys.String())
		}
		f.add(Finding{Kind: KindTable, Object: "partition table", Wrong: f.table.Lost, Will: "make it again around what is on the disk: " + strings.Join(found, "; ")})
	}
}

// growAttribute is on the partition of a root until its first boot is finished.
const growAttribute = 1 << 59

// judgeESP compares the ESP with what it should have.
func (f *Findings) judgeESP(ctx context.Context, s *system, root gpt.Partition) error {
	files, wrong, loses := f.openESP(ctx)
	identity := plan.Identity{
		Disk: f.table.Table.GUID, ESP: f.esp.GUID, Root: root.GUID, SectorSize: f.table.Table.SectorSize,
		BtrfsFSID: ids.UUID(s.fsys.Super().FSID).String(),
	}
	f.params = espParams(s, files, f.esp, f.table.Table.SectorSize, f.system)
	identity.ESPSerial = esp.UUID(f.params.Serial)
	m, err := makeMenu(ctx, s, f.system.Stick, files, identity, root.Attributes&growAttribute == 0, f.params)
	if err != nil && fault.ClassOf(err) != fault.Input && fault.ClassOf(err) != fault.Target && fault.ClassOf(err) != fault.Config {
		return err
	}
	if err != nil {
		f.note("the content of the ESP cannot be made again: %v", err)
		if wrong != "" {
			f.add(Finding{Kind: KindESP, Object: "ESP", Wrong: wrong})
		}
		return nil
	}
	f.menu = m
	f.Notes = append(f.Notes, m.notes...)
	if wrong != "" {
		f.add(Finding{Kind: KindESP, Object: "ESP", Wrong: wrong, Will: "make the file system and its content anew", Needs: m.needs, Loses: loses})
		return nil
	}
	if f.missing, err = missing(files, m.files, f.system.Stick.Files, root.GUID); err != nil {
		return err
	}
	for _, x := range f.missing {
		f.add(Finding{Kind: KindFiles, Object: "/" + x.path, Wrong: x.why, Will: "put it back", Needs: m.needs})
	}
	return nil
}

// openESP opens the file system of the ESP. Where it has to be made anew, wrong says why,
// and loses are the files in it that can be read still and that nobody makes again.
func (f *Findings) openESP(ctx context.Context) (files *espreader.FS, wrong string, loses []string) {
	files, err := espreader.Open(section(f.system.Disk, f.esp.Start, f.esp.Size), f.esp.Size)
	if err != nil {
		return nil, err.Error(), nil
	}
	var bad []string
	for _, p := range files.Check(ctx) {
		switch p.Kind {
		case espreader.KindTable, espreader.KindChain, espreader.KindLoop, espreader.KindCrossed, espreader.KindSize, espreader.KindUnreadable, espreader.KindDots, espreader.KindDuplicate:
			bad = append(bad, p.String())
		default:
			f.note("ESP: %s; fsck.fat -a puts that right", p)
		}
	}
	if bad == nil {
		return files, "", nil
	}
	return files, strings.Join(bad, "; "), foreign(files)
}

// foreign returns the files of an ESP that are not of this system.
func foreign(files *espreader.FS) (list []string) {
	seen := 0
	_ = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		seen++
		switch {
		case seen > maxSeen: // its directories may go in a circle
			return fs.SkipAll
		case err != nil && d != nil && d.IsDir():
			return fs.SkipDir
		case err != nil:
			return nil
		case d.IsDir() || isOurs(name):
			return nil
		case len(list) >= maxListed:
			return fs.SkipAll
		}
		list = append(list, "/"+name)
		return nil
	})
	return list
}

// Bounds of a list of files for people, and of what is looked at for it.
const (
	maxListed = 100
	maxSeen   = 1 << 16
)

// isOurs reports whether a file of an ESP is one that an installation or a NixOS makes.
func isOurs(name string) bool {
	for _, prefix := range []string{"efi/boot/", "efi/systemd/", "efi/nixos/", "loader/", "mkimage/", "kernels/", "grub/"} {
		if strings.HasPrefix(strings.ToLower(name), prefix) {
			return true
		}
	}
	return false
}

// fatLabel is what layouts have for the label of an ESP.
var fatLabel = regexp.MustCompile(`^[A-Z0-9_-]{1,11}$`)

// espParams returns the shape of the ESP's file system: by what the system knows it, or as
// it was.
func espParams(s *system, files *espreader.FS, part gpt.Partition, sectorSize int64, from System) esp.Params {
	p := esp.Params{Size: part.Size, SectorSize: sectorSize, Start: part.Start, Label: "ESP", Serial: from.Seed.Serial(nameFAT), Timestamp: plan.DefaultEpoch}
	labels := []string{part.Label}
	if from.Stick.Plan != nil {
		p.Timestamp = from.Stick.Plan.Epoch
		labels = append(labels, from.Stick.Plan.Layout.ESP.Label)
	}
	if files != nil {
		labels = append(labels, files.Label())
	}
	for _, l := range s.table {
		if tag, value, _ := fstab.ParseDevice(l.What); isESP(l) && tag == fstab.Label {
			labels = append(labels, value)
		}
	}
	for _, label := range labels { // the last one counts
		if fatLabel.MatchString(label) {
			p.Label = label
		}
	}
	if files != nil {
		if was := (&plan.Partition{FSID: files.UUID()}); files.UUID() != "" {
			if serial, err := was.Serial(); err == nil && serial != 0 {
				p.Serial = serial
			}
		}
	}
	if serial, ok := serialOf(s); ok {
		p.Serial = serial
	}
	return p
}

func (f *Findings) judgeFirmware() error {
	if f.system.Vars == nil || f.menu == nil {
		return nil
	}
	present := f.system.Present
	if present != nil { // whoever listed them may have found no table here
		present = append(slices.Clone(present), f.esp.GUID)
	}
	e := efivar.Installed(f.menu.plan.Profile.Name, f.table.Table, f.esp, present)
	changes, warning, err := planFirmware(f.system.Vars, e)
	if err != nil {
		return err
	}
	if warning != "" {
		f.note("firmware: %s", warning)
	}
	if len(changes) == 0 {
		return nil
	}
	f.firmware = &e
	var will []string
	for _, c := range changes {
		will = append(will, c.String())
	}
	f.add(Finding{Kind: KindFirmware, Object: "firmware", Wrong: "its menu does not begin with the entry of this system", Will: strings.Join(will, "; ")})
	return nil
}
