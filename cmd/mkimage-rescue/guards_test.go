package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
	"github.com/6FaNcY9/mkimage/installer/rescue/machine"
)

// fiveDisks is a machine with a disk of every role, and one of none.
func fiveDisks() *machine.Machine {
	at := func(path string) inventory.Place { return inventory.Place{Disk: path, Number: 1} }
	disk := func(name string) disks.Disk {
		return disks.Disk{Name: name, Path: "/dev/" + name, Size: 1 << 30, Removable: true, Serial: "serial of " + name}
	}
	return &machine.Machine{Inventory: &inventory.Inventory{
		Disks:   []disks.Disk{disk("system"), disk("backup"), disk("medium"), disk("keys"), disk("free")},
		Systems: []inventory.System{{ID: "/dev/system1", Root: at("/dev/system")}},
		Backups: []inventory.Backup{{Place: at("/dev/backup")}}, Media: []inventory.Medium{{Disk: "/dev/medium"}}, KeyMedia: []inventory.KeyMedium{{Place: at("/dev/keys")}},
	}}
}

// TestKeyMediumRefuses: a key medium is made of nothing that somebody may need, whatever
// was agreed to.
func TestKeyMediumRefuses(t *testing.T) {
	content := []disks.Content{{Type: "ext4"}}
	for _, tt := range []struct {
		name, disk, erase string
		change            func(d *disks.Disk)
		want              string // "" for none
	}{
		{"an empty stick", "/dev/free", "", nil, ""},
		{"one that is named", "/dev/free", "serial of free", func(d *disks.Disk) { d.Contents = content }, ""},
		{"built in, and named", "/dev/free", "serial of free", func(d *disks.Disk) { d.Removable, d.Bus = false, "nvme" }, ""},
		{"of a system", "/dev/system", "serial of system", nil, "has a system"},
		{"of a backup", "/dev/backup", "serial of backup", nil, "has a backup"},
		{"an installer medium", "/dev/medium", "serial of medium", nil, "is an installer medium"},
		{"a key medium", "/dev/keys", "serial of keys", nil, "has a key"},
		{"no disk", "/dev/none", "", nil, "is no disk of this machine"},
		{"asleep", "/dev/free", "serial of free", func(d *disks.Disk) { d.Contents = []disks.Content{{Type: "swsuspend", Hibernated: true}} }, "a session sleeps on it"},
		{"in use", "/dev/free", "serial of free", func(d *disks.Disk) { d.Uses = []disks.Use{{Device: "free1", Kind: "mount", By: "/mnt"}} }, "is mounted at /mnt"},
		{"read-only", "/dev/free", "serial of free", func(d *disks.Disk) { d.ReadOnly = true }, "is read-only"},
		{"not empty", "/dev/free", "", func(d *disks.Disk) { d.Contents = content }, "is not empty"},
		{"named by another number", "/dev/free", "serial of keys", func(d *disks.Disk) { d.Contents = content }, "--erase says"},
		{"built in", "/dev/free", "", func(d *disks.Disk) { d.Removable, d.Bus = false, "nvme" }, "is not a removable disk"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &desk{p: &program{stdin: strings.NewReader("")}, m: fiveDisks()}
			if tt.change != nil {
				tt.change(&d.m.Inventory.Disks[4])
			}
			err := (&bringKey{toMedium: tt.disk, erase: tt.erase}).allow(t.Context(), d)
			if tt.want == "" && err != nil || tt.want != "" && (fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v; want %q", err, tt.want)
			}
		})
	}
}

// TestBootDisk: where no system is found, a disk is taken only if no other one could be
// meant, and none that is known to be something else.
func TestBootDisk(t *testing.T) {
	with := func(change func(d *disks.Disk)) []disks.Disk {
		d := disks.Disk{Name: "second", Path: "/dev/second", Size: 1 << 30}
		change(&d)
		return []disks.Disk{d}
	}
	for _, tt := range []struct {
		name    string
		systems []string // their disks
		more    []disks.Disk
		system  string // that is meant
		args    []string
		want    string // path, or part of the error
	}{
		{"the only one that is left", nil, nil, "", nil, "/dev/free"},
		{"named", nil, nil, "", []string{"/dev/backup"}, "/dev/backup"},
		{"named, and not there", nil, nil, "", []string{"/dev/none"}, "is no disk of this machine"},
		{"that of the system", []string{"/dev/system"}, nil, "", nil, "/dev/system"},
		{"of a system that is not there", nil, nil, "/dev/other", nil, "there is none on it"},
		{"of two systems", []string{"/dev/system", "/dev/free"}, nil, "", nil, "several systems are there"},
		{"two", nil, with(func(*disks.Disk) {}), "", nil, "2 could have had it"},
		{"one in use", nil, with(func(d *disks.Disk) { d.Uses = []disks.Use{{Device: "second", Kind: "mount", By: "/"}} }), "", nil, "/dev/free"},
		{"one read-only", nil, with(func(d *disks.Disk) { d.ReadOnly = true }), "", nil, "/dev/free"},
		{"an empty slot", nil, with(func(d *disks.Disk) { d.Size = 0 }), "", nil, "/dev/free"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := fiveDisks()
			if m.Inventory.Systems = nil; tt.systems == nil {
				m.Inventory.Disks = m.Inventory.Disks[1:]
			}
			for _, path := range tt.systems {
				m.Inventory.Systems = append(m.Inventory.Systems, inventory.System{ID: path + "1", Root: inventory.Place{Disk: path}})
			}
			m.Inventory.Disks = append(m.Inventory.Disks, tt.more...)
			b := &boot{}
			b.system = tt.system
			d, err := b.disk(m, tt.args)
			if err == nil && d.Path != tt.want || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%+v, %v; want %s", d, err, tt.want)
			}
		})
	}
}

// TestAsleep: nothing is written to a system whose session sleeps, and none is looked into.
func TestAsleep(t *testing.T) {
	d := &desk{p: &program{stderr: &bytes.Buffer{}}, m: fiveDisks(), f: &source{}}
	d.system = &d.m.Inventory.Systems[0]
	if err := d.needSystem(); err != nil {
		t.Errorf("awake: %v", err)
	}
	d.system.Hibernated = true
	for name, do := range map[string]func() error{
		"to write":     d.needSystem,
		"to look into": func() error { _, err := d.systemDir(t.Context()); return err },
		"awake":        func() error { return machine.Awake(d.system) },
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), "a session sleeps on it") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAgreed: a disk is erased for nobody who has not named it.
func TestAgreed(t *testing.T) {
	for _, tt := range []struct {
		name, erase, to string
		has             bool
		class           fault.Class // 0 where it is agreed to
	}{
		{"by its number", "S1", "", false, 0},
		{"by that of another one", "S2", "", false, fault.Target},
		{"by its name, which is no number", "sda", "", false, fault.Target},
		{"nobody is there", "", "", false, fault.Usage},
		{"nobody is there, with its path", "", "/dev/sda", false, fault.Usage},
		{"installed, with its path", "", "/dev/sda", true, 0},
		{"installed, with another number", "S2", "", true, fault.Target},
		{"installed, nobody is there", "", "", true, fault.Usage},
	} {
		j := &rescuing{
			recovery: &recovery{erase: tt.erase, to: tt.to}, desk: &desk{p: &program{stdin: strings.NewReader("erase S1\n"), stderr: &bytes.Buffer{}}},
			target: disks.Disk{Name: "sda", Path: "/dev/sda", Serial: "S1"}, has: tt.has,
		}
		if err := j.agreed(t.Context()); (err == nil) != (tt.class == 0) || err != nil && fault.ClassOf(err) != tt.class {
			t.Errorf("%s: %v; want class %v", tt.name, err, tt.class)
		}
	}
}
