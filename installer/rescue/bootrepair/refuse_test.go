package bootrepair

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/installer/efivar"
)

// hibernate puts the mark of a hibernated session into the swapfile.
func (m made) hibernate(t *testing.T) (at int64) {
	t.Helper()
	root := m.table.Partitions[1]
	fsys, err := reader.Open(section(m.disk, root.Start, root.Size), root.Size)
	if err != nil {
		t.Fatal(err)
	}
	top, err := fsys.Subvolume("")
	if err != nil {
		t.Fatal(err)
	}
	swap, err := top.Swapfile(m.plan.Swapfile.Path)
	if err != nil {
		t.Fatal(err)
	}
	at = root.Start + swap.Offset*swaparea.PageSize
	page := m.disk.read(t, at, swaparea.PageSize)
	copy(page[swaparea.PageSize-20:], swaparea.Signature)
	copy(page[swaparea.PageSize-10:], swaparea.HibernateSignature+"\x00")
	m.disk.put(t, at, page...)
	return at
}

// TestRefuse: what is refused is refused before the first write.
func TestRefuse(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, m made, s *System, c *Choices)
		class   fault.Class
		want    string
	}{
		{"a session", func(t *testing.T, m made, _ *System, _ *Choices) { m.hibernate(t) }, fault.Target, "a session is hibernated in /swap/swapfile"},
		{"not pinned", func(_ *testing.T, _ made, s *System, _ *Choices) { s.Pin = nil }, fault.Target, "was not pinned"},
		{"another disk", func(_ *testing.T, _ made, s *System, _ *Choices) {
			s.Pin = func() error { return fault.New(fault.Target, "", "is not the disk that was chosen") }
		}, fault.Target, "is not the disk that was chosen"},
		{"the ESP before the table", func(t *testing.T, m made, _ *System, c *Choices) {
			m.disk.wipe(t, 0, mib)
			c.Only = []Kind{KindESP}
		}, fault.Target, "its table of partitions is not whole"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := smallDisk(t)
			s, c := m.system(m.stick(t).withKernel(m.esp(t))), Choices{}
			m.disk.wipe(t, m.table.Partitions[0].Start, mib)
			tt.prepare(t, m, &s, &c)
			before := m.disk.clone()
			found, err := Diagnose(t.Context(), s, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Repair(t.Context(), found, c, nil)
			if fault.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "the disk: ") {
				t.Errorf("Repair: %v; want %q", err, tt.want)
			}
			if !m.disk.Equal(before.MemDisk) {
				t.Error("the disk was written to")
			}
		})
	}
}

// TestDropSession: a session that is given up is gone before anything else is written.
func TestDropSession(t *testing.T) {
	m := smallDisk(t)
	stick := m.stick(t).withKernel(m.esp(t))
	at := m.hibernate(t)
	m.disk.wipe(t, m.table.Partitions[0].Start, mib)
	r := &recorder{memDisk: m.disk}
	s := m.system(stick)
	s.Disk = r
	found, err := Diagnose(t.Context(), s, nil)
	if err != nil || found.Session == nil {
		t.Fatalf("%+v, %v", found, err)
	}
	if _, err := Repair(t.Context(), found, Choices{DropSession: true}, nil); err != nil {
		t.Fatal(err)
	}
	if r.writes[0].at != at || r.writes[1] != nil {
		t.Errorf("first write at byte %d, want %d and a sync behind it", r.writes[0].at, at)
	}
	if page := m.disk.read(t, at, swaparea.PageSize); swaparea.Hibernated(page) || !strings.HasSuffix(string(page), swaparea.Signature) {
		t.Errorf("the header ends with %q", page[swaparea.PageSize-10:])
	}
	if again, err := Diagnose(t.Context(), m.system(stick), nil); err != nil || again.Session != nil || len(again.List) > 0 {
		t.Errorf("afterwards %+v, %v", again, err)
	}
}

// TestLoses: the file system of an ESP is not made anew over what others have there.
func TestLoses(t *testing.T) {
	imgtest.Need(t, "mcopy", "mmd")
	m := smallDisk(t)
	stick := m.stick(t).withKernel(m.esp(t))
	m.onESP(t, func(file string) {
		run(t, "mmd", "-i", file, "::/EFI/Microsoft")
		run(t, "mcopy", "-i", file, "/bin/true", "::/EFI/Microsoft/bootmgfw.efi")
	})
	start := m.table.Partitions[0].Start
	second := int64(m.disk.read(t, start+14, 1)[0])*512 + int64(uint32(m.disk.read(t, start+36, 1)[0])|uint32(m.disk.read(t, start+37, 1)[0])<<8)*512
	m.disk.put(t, start+second+40, 1, 2, 3, 4) // of the second FAT
	found, err := Diagnose(t.Context(), m.system(stick), nil)
	if err != nil || !found.Has(KindESP) || !slices.Equal(found.List[0].Loses, []string{"/EFI/Microsoft/bootmgfw.efi"}) {
		t.Fatalf("%+v, %v", found, err)
	}
	if _, err := Repair(t.Context(), found, Choices{}, nil); fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "files of others") {
		t.Errorf("Repair: %v", err)
	}
	if _, err := Repair(t.Context(), found, Choices{Reformat: true}, nil); err != nil {
		t.Error(err)
	}
	if _, there := m.esp(t)["EFI/Microsoft/bootmgfw.efi"]; there {
		t.Error("the file system was not made anew")
	}
}

// TestFirmware: the entry is put first, once.
func TestFirmware(t *testing.T) {
	m := smallDisk(t)
	vars, err := efivar.Open(filepath.Clean(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	s := m.system(m.stick(t))
	s.Vars = vars
	found, err := Diagnose(t.Context(), s, nil)
	if err != nil || len(found.List) != 1 || found.List[0].Kind != KindFirmware {
		t.Fatalf("%+v, %v", found, err)
	}
	if _, err := Repair(t.Context(), found, Choices{}, nil); err != nil {
		t.Fatal(err)
	}
	_, order, err := vars.Read(efivar.BootOrder)
	if err != nil || len(order) != 2 {
		t.Fatalf("order %x, %v", order, err)
	}
	if again, err := Diagnose(t.Context(), s, nil); err != nil || len(again.List) > 0 {
		t.Errorf("afterwards: %+v, %v", again, err)
	}
	changes, err := RepairFirmware(vars, *found.firmware)
	if err != nil || len(changes) > 0 {
		t.Errorf("once more: %v, %v", changes, err)
	}
}

// TestFirmwareFails: what the firmware does not take is a note, and not done.
func TestFirmwareFails(t *testing.T) {
	m := smallDisk(t)
	dir := t.TempDir()
	vars, err := efivar.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := m.system(m.stick(t))
	s.Vars = vars
	found, err := Diagnose(t.Context(), s, nil)
	if err != nil || len(found.List) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	report, err := Repair(t.Context(), found, Choices{}, nil)
	if err != nil || len(report.Done) > 0 || len(report.Notes) != 1 || !strings.HasPrefix(report.Notes[0], "firmware: ") {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestNoSystem: a disk with another file system in the place of the root.
func TestNoSystem(t *testing.T) {
	m := smallDisk(t)
	m.disk.wipe(t, m.table.Partitions[1].Start, 65*mib)
	if _, err := Diagnose(t.Context(), m.system(Stick{}), nil); err == nil || !strings.Contains(err.Error(), "the disk: partition 2: not a btrfs") {
		t.Errorf("Diagnose: %v", err)
	}
	if _, err := Diagnose(t.Context(), System{Name: "x", Disk: memDisk{imgtest.NewMemDisk(100 * mib)}}, nil); fault.ClassOf(err) != fault.Target || errors.Is(err, errNoPartition) {
		t.Errorf("an empty disk: %v", err)
	}
}
