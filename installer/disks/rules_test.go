package disks_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/profiles"
)

var noMedium = disks.Medium{Known: true}

// inner returns an empty disk of a laptop, changed.
func inner(change func(d *disks.Disk)) disks.Disk {
	d := disks.Disk{Name: "nvme0n1", Path: "/dev/nvme0n1", Diskseq: 9, Size: 1e12, SectorSize: 512, Bus: "nvme", Model: "WD_BLACK SN770 1TB", Serial: "22414Q800123", WWID: "eui.0025385b21404321"}
	if change != nil {
		change(&d)
	}
	return d
}

// holds makes a disk one of a GPT with one partition that holds c.
func holds(c disks.Content) func(d *disks.Disk) {
	return func(d *disks.Disk) {
		d.Table = "gpt"
		d.Partitions = []disks.Partition{{Number: 1, Label: "part", GUID: "aaaa", Contents: []disks.Content{c}}}
	}
}

// TestJudge names the rule that rejects a disk, "" for a candidate, and words of
// its reason.
func TestJudge(t *testing.T) {
	usb := func(d *disks.Disk) { d.Bus, d.Serial = "usb", "ABC123" }
	ours := func(d *disks.Disk) {
		d.Table = "gpt"
		d.Partitions = []disks.Partition{
			{Number: 1, Label: "ESP", Type: strings.ToUpper(espType), Contents: []disks.Content{{Type: "vfat"}}},
			{Number: 2, Label: "nixos", Type: rootType, Contents: []disks.Content{{Type: "btrfs", Subvolumes: []string{"@", "@home", "@swap", "@more"}}}},
		}
	}
	rules := func(r profiles.DiskRules) disks.Wants { return disks.Wants{Rules: r, Medium: noMedium} }
	erase := func(backup ...string) disks.Wants {
		return disks.Wants{Medium: noMedium, Erase: true, Backup: backup, Rules: profiles.DiskRules{Serial: []string{"ABC123", "22414Q800123"}}}
	}
	tests := []struct {
		name   string
		disk   disks.Disk
		wants  disks.Wants
		rule   string
		reason string
	}{
		{"empty disk, no rules", inner(nil), rules(profiles.DiskRules{}), "", ""},
		{"medium unknown", inner(nil), disks.Wants{}, disks.RuleMedium, "not known"},
		{"medium by diskseq", inner(nil), disks.Wants{Medium: disks.Medium{Known: true, Diskseq: 9}}, disks.RuleMedium, "started from it"},
		{"another diskseq", inner(nil), disks.Wants{Medium: disks.Medium{Known: true, Diskseq: 8}}, "", ""},
		{"medium by GUID", inner(func(d *disks.Disk) { d.Table, d.DiskGUID = "gpt", "AB" }), disks.Wants{Medium: disks.Medium{Known: true, DiskGUID: "ab"}}, disks.RuleMedium, ""},
		{"medium by PARTUUID", inner(holds(disks.Content{})), disks.Wants{Erase: true, Medium: disks.Medium{Known: true, PartUUID: "AAAA"}}, disks.RuleMedium, ""},
		{"unreadable", inner(func(d *disks.Disk) { d.Problem = "read: input/output error" }), erase(), disks.RuleReadable, "input/output"},
		{"read-only", inner(func(d *disks.Disk) { d.ReadOnly = true }), erase(), disks.RuleWritable, "read-only"},
		{"mounted", inner(func(d *disks.Disk) { d.Uses = []disks.Use{{Device: "nvme0n1p2", Kind: "mount", By: "/home"}} }), erase(), disks.RuleUnused, "nvme0n1p2 is mounted at /home"},
		{"array", inner(func(d *disks.Disk) { d.Uses = []disks.Use{{Device: "nvme0n1p1", Kind: "holder", By: "md127"}} }), erase(), disks.RuleUnused, "md127"},
		{"size 0", inner(func(d *disks.Disk) { d.Size = 0 }), erase(), disks.RuleSize, ""},

		{"backup by label", inner(holds(disks.Content{Type: "ext4", Label: "Backup"})), erase("BACKUP"), disks.RuleBackup, "partition 1 is BACKUP"},
		{"backup by LABEL=", inner(holds(disks.Content{Type: "ext4", Label: "Backup"})), erase("LABEL=Backup"), disks.RuleBackup, ""},
		{"backup by UUID=", inner(holds(disks.Content{Type: "ext4", UUID: "ab-cd"})), erase("UUID=AB-CD"), disks.RuleBackup, ""},
		{"backup by label of the partition", inner(holds(disks.Content{})), erase("part"), disks.RuleBackup, ""},
		{"backup by PARTUUID=", inner(holds(disks.Content{})), erase("PARTUUID=aaaa"), disks.RuleBackup, ""},
		{"backup on the disk itself", inner(func(d *disks.Disk) { d.Contents = []disks.Content{{Type: "btrfs", Label: "b"}} }), erase("b"), disks.RuleBackup, ""},
		{"label with =", inner(holds(disks.Content{Label: "a=b"})), erase("a=b"), disks.RuleBackup, ""},
		{"UUID is no label", inner(holds(disks.Content{Label: "x"})), erase("UUID=x"), "", ""},
		{"another label", inner(holds(disks.Content{Label: "data"})), erase("backup", ""), "", ""},
		{"restic repository, named by serial", inner(holds(disks.Content{Type: "btrfs", Repositories: []string{"backup/fox"}})), erase(), disks.RuleBackup, "backup/fox"},
		{"restic repository on USB, named by serial", inner(func(d *disks.Disk) { holds(disks.Content{Repositories: []string{"."}})(d); usb(d) }), erase(), disks.RuleBackup, ""},

		{"USB", inner(usb), rules(profiles.DiskRules{}), disks.RuleBuiltIn, "on USB, and no rule names its serial number ABC123"},
		{"USB by another rule", inner(usb), rules(profiles.DiskRules{Bus: []string{"usb"}, Model: []string{"WD*"}}), disks.RuleBuiltIn, ""},
		{"USB by a pattern", inner(usb), rules(profiles.DiskRules{Serial: []string{"ABC*", "ABC12?", "[A]BC123"}}), disks.RuleBuiltIn, ""},
		{"USB by its serial", inner(usb), rules(profiles.DiskRules{Serial: []string{"abc123"}}), "", ""},
		{"USB without a serial", inner(func(d *disks.Disk) { d.Bus, d.Serial = "usb", "" }), rules(profiles.DiskRules{Serial: []string{"*", ""}}), disks.RuleBuiltIn, "has no serial"},
		{"removable", inner(func(d *disks.Disk) { d.Removable = true }), rules(profiles.DiskRules{}), disks.RuleBuiltIn, "removable"},
		{"removable by its serial", inner(func(d *disks.Disk) { d.Removable = true }), rules(profiles.DiskRules{Serial: []string{"22414Q800123"}}), "", ""},
		{"network", inner(func(d *disks.Disk) { d.Bus = "fabrics" }), rules(profiles.DiskRules{}), disks.RuleBuiltIn, "network"},

		{"min_size - 1", inner(func(d *disks.Disk) { d.Size = 1<<30 - 512 }), rules(profiles.DiskRules{MinSize: "1GiB"}), disks.RuleMinSize, "1GiB"},
		{"min_size", inner(func(d *disks.Disk) { d.Size = 1 << 30 }), rules(profiles.DiskRules{MinSize: "1GiB"}), "", ""},
		{"max_size", inner(func(d *disks.Disk) { d.Size = 1 << 30 }), rules(profiles.DiskRules{MaxSize: "1GiB"}), "", ""},
		{"max_size + 1", inner(func(d *disks.Disk) { d.Size = 1<<30 + 512 }), rules(profiles.DiskRules{MaxSize: "1GiB"}), disks.RuleMaxSize, ""},
		{"bus", inner(nil), rules(profiles.DiskRules{Bus: []string{"sata"}}), "disk.bus", `"nvme", expected "sata"`},
		{"one of several buses", inner(nil), rules(profiles.DiskRules{Bus: []string{"sata", "nvme"}}), "", ""},
		{"model, other case", inner(nil), rules(profiles.DiskRules{Model: []string{"wd_black*"}}), "", ""},
		{"model, spaces as udev has them", inner(nil), rules(profiles.DiskRules{Model: []string{"WD BLACK_SN770_1TB"}}), "", ""},
		{"model, a part", inner(nil), rules(profiles.DiskRules{Model: []string{"WD_BLACK"}}), "disk.model", ""},
		{"serial", inner(nil), rules(profiles.DiskRules{Serial: []string{"x", "22414*"}}), "", ""},
		{"no serial matches nothing", inner(func(d *disks.Disk) { d.Serial = "" }), rules(profiles.DiskRules{Serial: []string{"*"}}), "disk.serial", "it has none"},
		{"empty pattern matches nothing", inner(nil), rules(profiles.DiskRules{Serial: []string{""}}), "disk.serial", ""},
		{"bad pattern matches nothing", inner(nil), rules(profiles.DiskRules{Serial: []string{"[2"}}), "disk.serial", ""},
		{"wwid", inner(nil), rules(profiles.DiskRules{WWID: []string{"eui.*"}}), "", ""},
		{"other wwid", inner(nil), rules(profiles.DiskRules{WWID: []string{"naa.*"}}), "disk.wwid", ""},
		{"empty lists match all", inner(nil), rules(profiles.DiskRules{Serial: []string{}, Bus: []string{}}), "", ""},

		{"layout", inner(ours), disks.Wants{Medium: noMedium, Layout: disks.LayoutOf(laptopLayout), Rules: profiles.DiskRules{Layout: true}}, "", ""},
		{"layout, not asked for", inner(ours), disks.Wants{Medium: noMedium, Layout: disks.LayoutOf(laptopLayout)}, "", ""},
		{"layout unknown", inner(ours), disks.Wants{Medium: noMedium, Erase: true, Rules: profiles.DiskRules{Layout: true}}, disks.RuleHasLayout, "not known"},
		{"layout on an empty disk", inner(nil), disks.Wants{Medium: noMedium, Layout: disks.LayoutOf(laptopLayout), Rules: profiles.DiskRules{Layout: true}}, disks.RuleHasLayout, ""},
		{"layout without a subvolume", inner(func(d *disks.Disk) { ours(d); d.Partitions[1].Contents[0].Subvolumes = []string{"@", "@home"} }), disks.Wants{Medium: noMedium, Layout: disks.LayoutOf(laptopLayout)}, disks.RuleErasable, ""},
		{"layout and one partition more", inner(func(d *disks.Disk) { ours(d); d.Partitions = append(d.Partitions, disks.Partition{Number: 3}) }), disks.Wants{Medium: noMedium, Layout: disks.LayoutOf(laptopLayout)}, disks.RuleErasable, ""},

		{"need + 1", inner(func(d *disks.Disk) { d.Size = 1 << 30 }), disks.Wants{Medium: noMedium, Need: 1<<30 + 1}, disks.RuleNeed, ""},
		{"need", inner(func(d *disks.Disk) { d.Size = 1 << 30 }), disks.Wants{Medium: noMedium, Need: 1 << 30}, "", ""},

		{"Windows", inner(holds(disks.Content{Type: "ntfs", Label: "Windows"})), rules(profiles.DiskRules{}), disks.RuleErasable, `partition 1 "part" (ntfs "Windows")`},
		{"Windows, erase", inner(holds(disks.Content{Type: "ntfs"})), erase(), "", ""},
		{"LUKS on the disk", inner(func(d *disks.Disk) { d.Contents = []disks.Content{{Type: "crypto_LUKS", UUID: "ab"}} }), rules(profiles.DiskRules{}), disks.RuleErasable, "crypto_LUKS ab"},
		{"unknown data", inner(func(d *disks.Disk) { d.Contents = []disks.Content{{Type: disks.TypeData}} }), rules(profiles.DiskRules{}), disks.RuleErasable, "no signature"},
		{"damaged table", inner(func(d *disks.Disk) { d.Table, d.TableProblem = "gpt", "x" }), rules(profiles.DiskRules{}), disks.RuleErasable, "damaged partition table"},
		{"empty GPT", inner(func(d *disks.Disk) { d.Table = "gpt" }), rules(profiles.DiskRules{}), "", ""},
	}
	for _, tt := range tests {
		f, _ := disks.Judge(tt.disk, tt.wants).Rejected()
		if f.Rule != tt.rule || !strings.Contains(f.Reason, tt.reason) {
			t.Errorf("%s: rejected by %q: %q; want %q: %q", tt.name, f.Rule, f.Reason, tt.rule, tt.reason)
		}
	}
}

// TestJudgeSaysAll wants the answers of all rules, in their order.
func TestJudgeSaysAll(t *testing.T) {
	v := disks.Judge(inner(func(d *disks.Disk) { d.ReadOnly = true }), disks.Wants{Medium: noMedium, Need: 1, Rules: profiles.DiskRules{
		MinSize: "1GiB", MaxSize: "2TiB", Bus: []string{"nvme"}, Model: []string{"*"}, Serial: []string{"*"}, WWID: []string{"*"}, Layout: true}})
	var got []string
	for _, f := range v.Findings {
		got = append(got, f.Rule)
		if f.Reason == "" {
			t.Errorf("%s: no reason", f.Rule)
		}
	}
	want := []string{disks.RuleMedium, disks.RuleReadable, disks.RuleWritable, disks.RuleUnused, disks.RuleSize, disks.RuleBackup, disks.RuleBuiltIn,
		disks.RuleMinSize, disks.RuleMaxSize, "disk.bus", "disk.model", "disk.serial", "disk.wwid", disks.RuleHasLayout, disks.RuleNeed, disks.RuleErasable}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCheckRules(t *testing.T) {
	tests := []struct {
		rules profiles.DiskRules
		want  string // "" is no error
	}{
		{profiles.DiskRules{}, ""},
		{profiles.DiskRules{MinSize: "200GiB", MaxSize: "200GiB", Bus: []string{"nvme", "S?TA"}, Serial: []string{"A[0-9]*"}}, ""},
		{profiles.DiskRules{Serial: []string{"x", ""}}, "serial"},
		{profiles.DiskRules{WWID: []string{" "}}, "wwid"},
		{profiles.DiskRules{Model: []string{"[a"}}, "model"},
		{profiles.DiskRules{Model: []string{`a\`}}, "model"},
		{profiles.DiskRules{Bus: []string{"nmve"}}, "bus"},
		{profiles.DiskRules{MinSize: "big"}, "min_size"},
		{profiles.DiskRules{MaxSize: "-1"}, "max_size"},
		{profiles.DiskRules{MinSize: "2GiB", MaxSize: "1GiB"}, "max_size"},
	}
	for _, tt := range tests {
		err := disks.CheckRules(tt.rules)
		if tt.want == "" && err == nil {
			continue
		}
		if tt.want == "" || fault.ClassOf(err) != fault.Config || !strings.Contains(err.Error(), "disk rule "+tt.want) {
			t.Errorf("CheckRules(%+v): %v; want an error about %q", tt.rules, err, tt.want)
		}
	}
}

func TestWantsOf(t *testing.T) {
	i := profiles.Installer{Disk: profiles.DiskRules{Bus: []string{"nvme"}}, Backup: []string{"vault"}, Erase: true}
	payload := profiles.Profile{Restore: profiles.Restore{Disk: "LABEL=BACKUP"}, Backup: []profiles.Backup{{Disk: "LABEL=BACKUP"}, {Disk: ""}, {Disk: "UUID=1"}}}
	want := disks.Wants{Rules: i.Disk, Backup: []string{"vault", "LABEL=BACKUP", "UUID=1"}, Layout: disks.LayoutOf(laptopLayout), Erase: true}
	if diff := cmp.Diff(want, disks.WantsOf(i, payload, laptopLayout)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
