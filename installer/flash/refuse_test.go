package flash_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/flash"
)

func TestRefuse(t *testing.T) {
	stick := disks.Disk{Name: "sdb", Path: "/dev/sdb", Bus: "usb", Serial: "4C53"}
	internal := disks.Disk{Name: "nvme0n1", Path: "/dev/nvme0n1", Bus: "nvme", Serial: "S3Z"}
	nameless := disks.Disk{Name: "vda", Path: "/dev/vda", Bus: "virtio"}
	with := func(d disks.Disk, change func(d *disks.Disk)) disks.Disk {
		change(&d)
		return d
	}
	full := func(d *disks.Disk) {
		d.Table, d.Partitions = "gpt", []disks.Partition{{Number: 1, Label: "home", Contents: []disks.Content{{Type: "btrfs", Label: "data"}}}}
	}
	use := func(kind, by string) func(d *disks.Disk) {
		return func(d *disks.Disk) { d.Uses = []disks.Use{{Device: d.Name + "1", Kind: kind, By: by}} }
	}
	for _, tt := range []struct {
		name string
		disk disks.Disk
		c    flash.Consent
		want []string
	}{
		{"empty stick", stick, flash.Consent{}, nil},
		{"empty stick, named", stick, flash.Consent{Serial: "4C53", Erase: "4C53"}, nil},
		{"another stick named", stick, flash.Consent{Serial: "4C54"}, []string{`--serial says "4C54", but this disk is "4C53"`}},
		{"another stick erased", stick, flash.Consent{Erase: "sdb"}, []string{`--erase says "sdb", but this disk is "4C53"`}},
		{"full stick", with(stick, full), flash.Consent{}, []string{`is not empty: partition 1 "home" (btrfs "data")`}},
		{"full stick, only its serial number", with(stick, full), flash.Consent{Serial: "4C53"}, []string{`is not empty: partition 1 "home" (btrfs "data")`}},
		{"full stick, erased", with(stick, full), flash.Consent{Erase: "4C53"}, nil},
		{"internal", internal, flash.Consent{}, []string{"is not a removable disk"}},
		{"internal, only erased", with(internal, full), flash.Consent{Erase: "S3Z"}, []string{"is not a removable disk"}},
		{"internal, named", internal, flash.Consent{Serial: "S3Z"}, nil},
		{"internal, full, named and erased", with(internal, full), flash.Consent{Serial: "S3Z", Erase: "S3Z"}, nil},
		{"internal, of another name", internal, flash.Consent{Serial: "nvme0n1"}, []string{`--serial says "nvme0n1", but this disk is "S3Z"`}},
		{"no serial number", nameless, flash.Consent{Serial: "vda"}, nil},
		{"no serial number, another name", nameless, flash.Consent{Serial: "vdb"}, []string{`--serial says "vdb", but this disk is "vda"`}},
		{"card", disks.Disk{Name: "mmcblk0", Bus: "mmc", Serial: "0x1"}, flash.Consent{}, []string{"is not a removable disk"}},
		{"removable card", disks.Disk{Name: "mmcblk0", Bus: "mmc", Serial: "0x1", Removable: true}, flash.Consent{}, nil},
		{"unknown bus", disks.Disk{Name: "xyz"}, flash.Consent{}, []string{"is not a removable disk"}},
		{"read-only", with(stick, func(d *disks.Disk) { d.ReadOnly = true }), flash.Consent{}, []string{"is read-only"}},
		{"unreadable", with(stick, func(d *disks.Disk) { d.Problem = "EIO" }), flash.Consent{}, []string{"cannot be read: EIO"}},
		{"mounted", with(stick, use("mount", "/mnt")), flash.Consent{Erase: "4C53"}, []string{`"sdb1" is mounted at /mnt`}},
		{"running system", with(stick, use("mount", "/")), flash.Consent{Erase: "4C53"}, []string{`"sdb1" is mounted at /: the running system is on it`}},
		{"swap", with(stick, use("swap", "swap")), flash.Consent{Erase: "4C53"}, []string{`"sdb1" is swapped to`}},
		{"holder", with(stick, use("holder", "md0")), flash.Consent{Erase: "4C53"}, []string{`"sdb1" is in use by md0`}},
		{"damaged table", with(stick, func(d *disks.Disk) { d.Table, d.TableProblem = "gpt", "checksum" }), flash.Consent{}, []string{"is not empty: a damaged partition table"}},
		{"all at once", with(with(with(internal, full), use("mount", "/mnt")), func(d *disks.Disk) { d.ReadOnly = true }), flash.Consent{}, []string{
			"is read-only", `"nvme0n11" is mounted at /mnt`, "is not a removable disk", `is not empty: partition 1 "home" (btrfs "data")`}},
	} {
		var got []string
		for _, f := range flash.Refuse(tt.disk, tt.c) {
			got = append(got, f.What)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s:\n%s", tt.name, diff)
		}
	}
}
