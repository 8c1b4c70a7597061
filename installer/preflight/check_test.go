package preflight

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/initramfs/smbios"
	"github.com/6FaNcY9/mkimage/initramfs/smbios/smbiostest"
	"github.com/6FaNcY9/mkimage/layouts"
)

const mib, gib = int64(1 << 20), int64(1 << 30)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// testPlan is the plan of a medium, as far as this package reads it.
func testPlan() *plan.Plan {
	return &plan.Plan{
		Epoch: epoch, Swapfile: &plan.Swapfile{Path: "@swap/swapfile"},
		Medium: &plan.Medium{Layout: layouts.Layout{
			ESP: layouts.ESP{Size: 1 << 30}, Root: layouts.Root{Free: 1 << 30}, Swapfile: layouts.Swapfile{Size: "ram+2GiB"},
		}},
		Mounts: []plan.Mount{
			{Target: "/", Type: "btrfs", Subvol: "/@"}, {Target: "/boot", Type: "vfat"},
			{Target: "/var", Type: "btrfs", Subvol: "/@var"}, {Target: "/var/log", Type: "btrfs", Subvol: "/@log"},
		},
	}
}

// good is a machine that all is well with.
func good() Facts {
	return Facts{
		Memory: 7*gib + gib/2, RAM: 8 * gib, UEFI: 64, Mains: true, Clock: epoch,
		TargetSize: 256 * gib, SectorSize: 512, PayloadSize: 3 * gib, PayloadUsed: 2 * gib,
	}
}

func find(list []Finding, name string) *Finding {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// TestCheck changes one fact at a time: the finding about it alone changes.
func TestCheck(t *testing.T) {
	// A root with 2 GiB of system, 10 of swapfile, and an eighth of it free.
	rootNeed := (12*gib*8 + 6) / 7
	need := 2*mib + gib + (rootNeed+mib-1)/mib*mib
	battery := func(percent int, discharging, mains bool) func(*Facts) {
		return func(f *Facts) {
			f.Batteries, f.Mains = []Battery{{Name: "BAT0", Percent: percent, Discharging: discharging}}, mains
		}
	}
	tests := []struct {
		name, finding string
		change        func(*Facts)
		mark, text    string
	}{
		{"all good", "memory", func(*Facts) {}, "ok", "7.5 GiB, needed are 512.0 MiB"},
		{"memory -1", "memory", func(f *Facts) { f.Memory = 512*mib - 1 }, "STOP", "512.0 MiB"},
		{"memory 0", "memory", func(f *Facts) { f.Memory = 512 * mib }, "ok", ""},
		{"memory +1", "memory", func(f *Facts) { f.Memory = 512*mib + 1 }, "ok", ""},
		{"no UEFI", "firmware", func(f *Facts) { f.UEFI = 0 }, "STOP", "without UEFI"},
		{"UEFI of 32 bits", "firmware", func(f *Facts) { f.UEFI = 32 }, "STOP", "of 32 bits"},
		{"no battery", "power", func(f *Facts) { f.Mains = false }, "ok", "no battery"},
		{"battery -1", "power", battery(29, true, false), "STOP", "29 %, expected 30 %"},
		{"battery 0", "power", battery(30, true, false), "ok", "30 %"},
		{"battery +1", "power", battery(31, true, false), "ok", "31 %"},
		{"battery on mains", "power", battery(5, true, true), "ok", "from outside"},
		{"battery that charges", "power", battery(5, false, false), "ok", "from outside"},
		{"battery that says nothing", "power", battery(-1, true, false), "warning", "does not say"},
		{"two batteries", "power", func(f *Facts) {
			f.Mains, f.Batteries = false, []Battery{{"BAT0", 3, true}, {"BAT1", 80, false}}
		}, "ok", "80 %"},
		{"sectors 4096", "sectors", func(f *Facts) { f.SectorSize = 4096 }, "ok", "4096 bytes"},
		{"sectors 520", "sectors", func(f *Facts) { f.SectorSize = 520 }, "STOP", "target has sectors of 520"},
		{"sectors unknown", "sectors", func(f *Facts) { f.SectorSize = 0 }, "STOP", "sectors of 0"},
		{"medium 2048", "sectors", func(f *Facts) { f.MediumSectorSize = 2048 }, "STOP", "medium has sectors of 2048"},
		{"medium 4096", "sectors", func(f *Facts) { f.MediumSectorSize = 4096 }, "ok", ""},
		{"disk -1", "disk", func(f *Facts) { f.TargetSize = need - 1 }, "STOP", "10.0 GiB swapfile"},
		{"disk 0", "disk", func(f *Facts) { f.TargetSize = need }, "ok", "2.0 GiB system"},
		{"disk +1", "disk", func(f *Facts) { f.TargetSize = need + 1 }, "ok", "1.0 GiB ESP"},
		{"payload's partition is larger", "disk", func(f *Facts) { f.TargetSize, f.PayloadSize = 2*mib+gib+20*gib-1, 20*gib }, "STOP", ""},
		{"payload's partition fits", "disk", func(f *Facts) { f.TargetSize, f.PayloadSize = 2*mib+gib+20*gib, 20*gib }, "ok", ""},
		{"clock -1", "clock", func(f *Facts) { f.Clock = epoch.Add(-1) }, "warning", "before the system was made: 2026-01-02T03:04:05Z"},
		{"clock +1", "clock", func(f *Facts) { f.Clock = epoch.Add(1) }, "ok", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := good()
			tt.change(&f)
			list := Check(testPlan(), f)
			got := find(list, tt.finding)
			if got == nil || got.mark() != tt.mark || !strings.Contains(got.Text, tt.text) || !got.OK && got.Hint == "" && got.Name != "firmware" {
				t.Errorf("%s: %+v; want %s and %q", tt.finding, got, tt.mark, tt.text)
			}
			for _, other := range list {
				if other.Name != tt.finding && !other.OK {
					t.Errorf("%s is bad too: %s", other.Name, other.Text)
				}
			}
			if len(list) != 6 {
				t.Errorf("%d findings, want 6: %+v", len(list), list)
			}
		})
	}
}

// TestCheckElsewhere leaves out the machine that is not the target's, and the
// size of one that is not known.
func TestCheckElsewhere(t *testing.T) {
	f := Facts{Memory: gib, Elsewhere: true, SectorSize: 512}
	var names []string
	for _, got := range Check(testPlan(), f) {
		names = append(names, got.Name+" "+got.mark())
	}
	if diff := cmp.Diff([]string{"memory ok", "sectors ok"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestNeedOf(t *testing.T) {
	tests := []struct {
		size       string
		swap, free int64
		err        string
	}{
		{"none", 0, gib, ""},
		{"ram", 8 * gib, (10*gib + 6) / 7, ""},
		{"ram+2GiB", 10 * gib, (12*gib + 6) / 7, ""},
		{"1MiB", mib, gib, ""}, // the layout asks for more than an eighth
		{"4G", 4 * gib, gib, ""},
		{"5GiB", 5 * gib, gib, ""}, // an eighth of 8 GiB to the byte
		{"many", 0, 0, `swapfile of size "many"`},
	}
	for _, tt := range tests {
		p := testPlan()
		p.Medium.Layout.Swapfile.Size = tt.size
		got, err := NeedOf(p, good())
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("NeedOf(%s): %v; want %q", tt.size, err, tt.err)
			}
			continue
		}
		if err != nil || got.Swap != tt.swap || got.Free != tt.free || got.Root < got.Used+got.Swap+got.Free || got.Root%mib != 0 {
			t.Errorf("NeedOf(%s) = %+v, %v; want %d of swap and %d free", tt.size, got, err, tt.swap, tt.free)
		}
	}
	p := testPlan()
	p.Swapfile = nil
	if got, err := NeedOf(p, good()); err != nil || got.Swap != 0 {
		t.Errorf("without a swapfile: %+v, %v", got, err)
	}
	if _, err := NeedOf(&plan.Plan{}, good()); err == nil {
		t.Error("the plan of a system is taken for that of a medium")
	}
}

// TestReadFacts reads machines as the kernel shows them.
func TestReadFacts(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ReadFacts(dir+"/sys", dir+"/proc"); err == nil {
		t.Error("a machine without /proc/meminfo has facts")
	}
	write("proc/meminfo", "MemTotal:       15999380 kB\nMemFree: 1 kB")
	got, err := ReadFacts(dir+"/sys", dir+"/proc")
	if diff := cmp.Diff(Facts{Memory: 15999380 << 10, RAM: 16 * gib}, got); diff != "" || err != nil {
		t.Errorf("bare machine: %v\n%s", err, diff)
	}
	module := smbiostest.Structure(17, 0x54, map[int]any{0x0c: uint16(16384), 0x12: uint8(0x22)})
	write("sys/"+smbios.Table, string(slices.Concat(module, module, smbiostest.Last)))
	if got, err = ReadFacts(dir+"/sys", dir+"/proc"); err != nil || got.RAM != 32*gib {
		t.Errorf("two modules of which the graphics has a part: %+v, %v", got, err)
	}
	write("sys/"+smbios.Table, "")
	write("sys/firmware/efi/fw_platform_size", "64")
	for name, text := range map[string]string{
		"AC/type": "Mains", "AC/online": "0", "BAT0/type": "Battery", "BAT0/present": "1", "BAT0/status": "Discharging", "BAT0/capacity": "42",
		"BAT1/type": "Battery", "BAT1/present": "0", "BAT2/type": "Battery", "BAT2/status": "Full", "BAT2/capacity": "101",
		"hid-mouse/type": "Battery", "hid-mouse/scope": "Device", "hid-mouse/status": "Discharging", "hid-mouse/capacity": "1",
	} {
		write("sys/class/power_supply/"+name, text)
	}
	want := Facts{Memory: 15999380 << 10, RAM: 16 * gib, UEFI: 64, Batteries: []Battery{{"BAT0", 42, true}, {"BAT2", -1, false}}}
	got, err = ReadFacts(dir+"/sys", dir+"/proc")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("laptop: %v\n%s", err, diff)
	}
	write("sys/class/power_supply/AC/online", "1")
	if got, err = ReadFacts(dir+"/sys", dir+"/proc"); err != nil || !got.Mains {
		t.Errorf("laptop on mains: %+v, %v", got, err)
	}
	write("sys/firmware/efi/fw_platform_size", "128")
	if _, err = ReadFacts(dir+"/sys", dir+"/proc"); err == nil {
		t.Error("UEFI of 128 bits is taken")
	}
}

func TestWrite(t *testing.T) {
	list := []Finding{
		{Name: "memory", Text: "7.5 GiB", OK: true, Hint: "unused"}, {Name: "clock", Text: "1970\x1b[2J", Warning: true, Hint: "set it"},
		{Name: "backup disk", Text: "is not there", Proof: ProofBackup, Hint: "plug it in", Code: 30}, {Name: "key", Text: "none", Proof: ProofKey, Code: 20},
	}
	Waive(list, []string{ProofKey})
	var out strings.Builder
	if err := Write(&out, list); err != nil {
		t.Fatal(err)
	}
	want := "ok       memory       7.5 GiB\nwarning  clock        1970?[2J\n" + strings.Repeat(" ", 22) + "hint: set it\n" +
		"STOP     backup disk  is not there\n" + strings.Repeat(" ", 22) + "hint: plug it in\nwaived   key          none\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	err := Refused(list)
	if err == nil || err.Error() != "nothing was erased: backup disk: is not there" || fault.ClassOf(err) != fault.Target || fault.HintOf(err) != "plug it in" {
		t.Errorf("Refused: %v", err)
	}
	Waive(list, []string{ProofBackup})
	if err := Refused(list); err != nil {
		t.Errorf("Refused with all waived: %v", err)
	}
}

func TestTree(t *testing.T) {
	tree := TreeOf(testPlan(), "/run/payload")
	for name, want := range map[string]string{
		"/": "/run/payload/@", "/etc/x": "/run/payload/@/etc/x", "/var": "/run/payload/@var", "/var/lib/x": "/run/payload/@var/lib/x",
		"/var/log/x": "/run/payload/@log/x", "/variable": "/run/payload/@/variable", "/boot/x": "/run/payload/@/boot/x", "/etc/../var/x": "/run/payload/@var/x",
	} {
		if got := tree.Path(name); got != want {
			t.Errorf("Path(%s) = %s; want %s", name, got, want)
		}
	}
	if got := tree.Programs(); got[1] != "/run/payload/@var/lib/mkimage/bin/mkimage-firstboot" {
		t.Errorf("Programs = %q", got)
	}
}
