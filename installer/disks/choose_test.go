package disks_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/profiles"
)

func second(change func(d *disks.Disk)) disks.Disk {
	return inner(func(d *disks.Disk) {
		d.Name, d.Path, d.Serial, d.Model, d.Diskseq, d.Size = "nvme1n1", "/dev/nvme1n1", "S7", "Samsung 990", 10, 2e12
		if change != nil {
			change(d)
		}
	})
}

func TestChoose(t *testing.T) {
	wants := disks.Wants{Medium: noMedium}
	usbBackup := second(func(d *disks.Disk) { d.Bus = "usb" })
	tests := []struct {
		name  string
		list  []disks.Disk
		wants disks.Wants
		want  string // name of the disk; "" is an error
		err   error
		text  []string
	}{
		{"one", []disks.Disk{inner(nil)}, wants, "nvme0n1", nil, nil},
		{"one and a larger one on USB", []disks.Disk{inner(nil), usbBackup}, wants, "nvme0n1", nil, nil},
		{"none at all", nil, wants, "", disks.ErrNone, []string{"this machine has none"}},
		{"two", []disks.Disk{inner(nil), second(nil)}, wants, "", disks.ErrSeveral,
			[]string{"/dev/nvme0n1: WD_BLACK SN770 1TB, serial 22414Q800123, 931.3 GiB (1000.0 GB)", "/dev/nvme1n1: Samsung 990, serial S7, 1.8 TiB", "matches every rule"}},
		{"two, one by serial", []disks.Disk{inner(nil), second(nil)}, disks.Wants{Medium: noMedium, Rules: profiles.DiskRules{Serial: []string{"s7"}}}, "nvme1n1", nil, nil},
		{"two of which one has data", []disks.Disk{inner(nil), second(holds(disks.Content{Type: "ext4"}))}, wants, "nvme0n1", nil, nil},
		{"none matches", []disks.Disk{inner(nil), usbBackup}, disks.Wants{Medium: noMedium, Rules: profiles.DiskRules{Bus: []string{"sata"}}}, "", disks.ErrNone,
			[]string{`not it, by the rule "disk.bus": "nvme", expected "sata"`, `not it, by the rule "built in": is on USB`}},
		{"medium unknown", []disks.Disk{inner(nil)}, disks.Wants{}, "", disks.ErrNone, []string{"not known"}},
		{"escape sequences", []disks.Disk{inner(func(d *disks.Disk) { d.Model = "\x1b[2J"; holds(disks.Content{Type: "ext4", Label: "\x1b]0;"})(d) })}, wants, "", disks.ErrNone, []string{`\x1b[2J`, `\x1b]0;`}},
	}
	for _, tt := range tests {
		d, err := disks.Choose(tt.list, tt.wants)
		if d.Name != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: chose %q, %v; want %q, %v", tt.name, d.Name, err, tt.want, tt.err)
		}
		if tt.err == nil {
			continue
		}
		if fault.ClassOf(err) != fault.Target || fault.HintOf(err) == "" {
			t.Errorf("%s: class %d, hint %q; want class target and a hint", tt.name, fault.ClassOf(err), fault.HintOf(err))
		}
		for _, text := range tt.text {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v; want it to say %q", tt.name, err, text)
			}
		}
		if strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: an escape sequence reaches the terminal: %q", tt.name, err)
		}
	}
}

func TestChooseChecksWants(t *testing.T) {
	for _, w := range []disks.Wants{
		{Medium: noMedium, Rules: profiles.DiskRules{Serial: []string{""}}},
		{Medium: noMedium, Backup: []string{""}},
		{Medium: noMedium, Backup: []string{"UUID="}},
	} {
		if _, err := disks.Choose([]disks.Disk{inner(nil)}, w); fault.ClassOf(err) != fault.Config {
			t.Errorf("%+v: %v; want class config", w, err)
		}
	}
}
