package plan

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// stick returns an installer of the laptop, and the laptop as it can be
// installed.
func stick() (installer profiles.Profile, medium layouts.Layout, payload profiles.Profile, layout layouts.Layout) {
	installer = profiles.Profile{
		Name: "stick", Description: "a stick for tests", Kind: profiles.KindInstaller, Payload: "demo", Layout: "usb",
		Installer: profiles.Installer{Mode: "auto", Countdown: 15, Hibernated: "refuse", After: "reboot", Disk: profiles.DiskRules{Bus: []string{"nvme"}}},
	}
	medium = layouts.Layout{
		Name: "usb", ESP: layouts.ESP{Size: 256 << 20, Label: "INSTALLER", Mount: "/boot"}, Root: layouts.Root{Label: "payload", Metadata: "single"},
		Subvolumes: []layouts.Subvolume{{Name: "@", Mount: "/", Early: true}},
	}
	payload = laptop()
	payload.FirstBoot.Steps = []string{"machine-id", "grow", "swapfile"}
	return installer, medium, payload, laptopLayout()
}

func mustMedium(t *testing.T, o Options) *Plan {
	t.Helper()
	i, m, p, l := stick()
	made, err := MakeMedium(i, m, p, l, o)
	if err != nil {
		t.Fatalf("MakeMedium: %v", err)
	}
	return made
}

// TestMedium holds what is a medium's own, and what is its payload's.
func TestMedium(t *testing.T) {
	p := mustMedium(t, Options{})
	esp, root := p.Partition(RoleESP), p.Partition(RoleRoot)
	_, _, payload, layout := stick()
	system := mustMake(t, payload, layout, Options{})
	tests := []struct {
		name      string
		want, got any
	}{
		{"name", "stick", p.Name()},
		{"profile", system.Profile, p.Profile},
		{"ESP", []any{TypeESP, "INSTALLER", int64(256 << 20), int64(1 << 20)}, []any{esp.Type, esp.Label, esp.Size, esp.Start}},
		{"payload", []any{"0fc63daf-8483-4772-8e79-3d69d8477de4", "payload", int64(257 << 20), uint64(0)}, []any{root.Type.String(), root.Label, root.Start, root.Attributes()}},
		{"free", layouts.Size(0), p.Layout.Root.Free},
		{"metadata", "dup", p.Layout.Root.Metadata},
		{"subvolumes", system.Subvolumes, p.Subvolumes},
		{"snapshots", system.Snapshots, p.Snapshots},
		{"swapfile", &Swapfile{Path: "@swap/swapfile", File: "/swap/swapfile"}, p.Swapfile},
		{"entries", []Entry{
			{"mkimage-stick", "Install demo (erases a disk)", "mkimage-1", []string{"mkimage.install", "root=PARTUUID=" + root.PARTUUID.String(), "quiet", "console=tty0"}},
			{"mkimage-stick-rescue", "stick (rescue shell)", "mkimage-3-rescue", []string{"mkimage.install", "root=PARTUUID=" + root.PARTUUID.String(), "quiet", "console=tty0", "mkimage.shell"}},
		}, p.Entries},
		{"layout of the target", system.Layout, p.Medium.Layout},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	i, m, noShell, l := stick()
	i.Installer.Mode = "keep-home"
	noShell.Initramfs.Shell, noShell.Boot.Rescue, noShell.Swap.Policy = false, false, SwapNone
	plain, err := MakeMedium(i, m, noShell, l, Options{})
	if err != nil || len(plain.Entries) != 1 || !strings.Contains(plain.Entries[0].Title, "keeps /home") || plain.Swapfile != nil {
		t.Errorf("without a shell: %+v, %v", plain, err)
	}
}

// TestTarget reads the plan of a medium back as a manifest has it, and plans
// what it installs: the very plan of the payload with another seed.
func TestTarget(t *testing.T) {
	medium, again := mustMedium(t, Options{Epoch: time.Unix(1e9, 0)}), &Plan{}
	if err := json.Unmarshal([]byte(mustJSON(t, medium)), again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(medium, again); diff != "" {
		t.Fatalf("of a medium: -want +got:\n%s", diff)
	}
	seed := ids.Seed{1}
	got, err := Target(again, seed, 20<<30+4095)
	if err != nil {
		t.Fatal(err)
	}
	_, _, payload, layout := stick()
	if diff := cmp.Diff(mustMake(t, payload, layout, Options{Seed: &seed, Epoch: time.Unix(1e9, 0), Size: 20<<30 + 3584}), got); diff != "" {
		t.Errorf("target: -want +got:\n%s", diff)
	}
	// The archive of the medium's kernel goes to the target as it is.
	if diff := cmp.Diff(InitConfig(got, nil), InitConfig(again, nil)); diff != "" {
		t.Errorf("configuration of the initramfs: -target +medium:\n%s", diff)
	}
	if !got.Partition(RoleRoot).FirstBoot {
		t.Error("the target's first boot is not to come")
	}
	least := needs(&payload, &layout)
	for size, ok := range map[int64]bool{least - 512: false, least: true, least + 512: true} {
		if _, err := Target(again, seed, size); (err == nil) != ok || err != nil && fault.ClassOf(err) != fault.Target {
			t.Errorf("on a disk of %d bytes: %v; want ok = %v, least is %d", size, err, ok, least)
		}
	}
	if _, err := Target(got, seed, 0); fault.ClassOf(err) != fault.Input {
		t.Errorf("of a system: %v; want an input error", err)
	}
}

// TestMediumIdentities wants no identity to be in two of: a medium, a system of
// the same seed, what the medium installs twice, a medium with another rule.
func TestMediumIdentities(t *testing.T) {
	seed := ids.Seed{7}
	_, _, payload, layout := stick()
	plans := []*Plan{
		mustMedium(t, Options{}), mustMedium(t, Options{Seed: &seed}),
		mustMake(t, payload, layout, Options{}), mustMake(t, payload, layout, Options{Seed: &seed}),
	}
	for n := range byte(2) {
		target, err := Target(plans[0], ids.Seed{n + 1}, 0)
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, target)
	}
	i, m, p, l := stick()
	i.Installer.Unattended = true
	other, err := MakeMedium(i, m, p, l, Options{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for n, p := range append(plans, other) {
		for _, id := range []string{p.Disk.GUID.String(), p.Partition(RoleESP).PARTUUID.String(), p.Partition(RoleESP).FSID, p.Partition(RoleRoot).PARTUUID.String(), p.Partition(RoleRoot).FSID} {
			if first, twice := seen[id]; twice {
				t.Errorf("%s is of plan %d and of plan %d", id, first, n)
			}
			seen[id] = n
		}
	}
	if a, b := mustJSON(t, plans[0]), mustJSON(t, mustMedium(t, Options{})); a != b {
		t.Error("two plans of one medium differ")
	}
}

// TestMediumContradictions breaks one thing at a time.
func TestMediumContradictions(t *testing.T) {
	keep := func(names ...string) func(i *profiles.Profile, m *layouts.Layout, p *profiles.Profile, l *layouts.Layout) {
		return func(i *profiles.Profile, _ *layouts.Layout, _ *profiles.Profile, _ *layouts.Layout) {
			i.Installer.Keep = names
		}
	}
	tests := []struct {
		name string
		in   func(i *profiles.Profile, m *layouts.Layout, p *profiles.Profile, l *layouts.Layout)
		want string // of the error; "" means none
	}{
		{"no installer", func(i *profiles.Profile, _ *layouts.Layout, _ *profiles.Profile, _ *layouts.Layout) { i.Kind = "" }, "installer.kind: stick is of kind"},
		{"name", func(i *profiles.Profile, _ *layouts.Layout, _ *profiles.Profile, _ *layouts.Layout) { i.Name = "a b" }, `installer.name: "a b"`},
		{"another payload", func(i *profiles.Profile, _ *layouts.Layout, _ *profiles.Profile, _ *layouts.Layout) { i.Payload = "x" }, `installer.payload: got profile "demo", expected "x"`},
		{"built-in payload", func(i *profiles.Profile, _ *layouts.Layout, _ *profiles.Profile, _ *layouts.Layout) {
			i.Payload = "builtin:demo"
		}, ""},
		{"another layout", func(_ *profiles.Profile, m *layouts.Layout, _ *profiles.Profile, _ *layouts.Layout) { m.Name = "x" }, `installer.layout: got layout "x", expected "usb"`},
		{"an installer of an installer", func(_ *profiles.Profile, _ *layouts.Layout, p *profiles.Profile, _ *layouts.Layout) {
			p.Kind = profiles.KindInstaller
		}, `kind: demo is of kind "installer", expected the profile of a system`},
		{"a medium of an ESP only", func(_ *profiles.Profile, m *layouts.Layout, _ *profiles.Profile, _ *layouts.Layout) {
			m.ESP.Only = true
		}, "installer.layout: usb has an ESP and nothing else"},
		{"payload of an ESP only", func(_ *profiles.Profile, _ *layouts.Layout, _ *profiles.Profile, l *layouts.Layout) {
			l.ESP.Only = true
		}, "layout: laptop has an ESP and nothing else, expected a layout with a root"},
		{"payload without a swapfile", func(_ *profiles.Profile, _ *layouts.Layout, _ *profiles.Profile, l *layouts.Layout) {
			l.Swapfile.Image = 0
		}, "layout.swapfile.image is 0"},
		{"payload that nobody grows", func(_ *profiles.Profile, _ *layouts.Layout, p *profiles.Profile, _ *layouts.Layout) {
			p.FirstBoot.Steps = []string{"swapfile"}
		}, `first_boot.steps: expected "grow"`},
		{"swapfile that nobody makes", func(_ *profiles.Profile, _ *layouts.Layout, p *profiles.Profile, _ *layouts.Layout) {
			p.FirstBoot.Steps = []string{"grow"}
		}, `first_boot.steps: expected "swapfile"`},
		{"no swapfile that nobody makes", func(_ *profiles.Profile, _ *layouts.Layout, p *profiles.Profile, _ *layouts.Layout) {
			p.FirstBoot.Steps, p.Swap.Policy = []string{"grow"}, SwapNone
		}, ""},
		{"unified kernel", func(_ *profiles.Profile, _ *layouts.Layout, p *profiles.Profile, _ *layouts.Layout) {
			p.Boot.Loader = loaderUKI
		}, `boot.loader: "uki": expected "systemd-boot"`},
		{"GRUB", func(i *profiles.Profile, _ *layouts.Layout, p *profiles.Profile, _ *layouts.Layout) {
			i.Installer.Mode, p.Boot.Loader = "fresh", loaderGRUB
		}, ""},
		{"GRUB that keeps what there is", func(_ *profiles.Profile, _ *layouts.Layout, p *profiles.Profile, _ *layouts.Layout) {
			p.Boot.Loader = loaderGRUB
		}, `installer.mode: "auto": expected "fresh" for a payload with boot.loader = "grub"`},
		{"GRUB that keeps the home", func(i *profiles.Profile, _ *layouts.Layout, p *profiles.Profile, _ *layouts.Layout) {
			i.Installer.Mode, p.Boot.Loader = "keep-home", loaderGRUB
		}, `installer.mode: "keep-home": expected "fresh"`},
		{"keep", keep("/etc/ssh", "/var/lib/x", "/bootx", "/swapx"), ""},
		{"keep what is on the ESP", keep("/etc/ssh", "/boot/loader"), "installer.keep[1]: /boot/loader is on the ESP, mounted at /boot"},
		{"keep a subvolume", keep("/var"), "installer.keep[0]: /var is where @var is mounted"},
		{"keep what is on a subvolume of no files", keep("/swap/x"), "installer.keep[0]: /swap/x is on @swap"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			i, m, p, l := stick()
			test.in(&i, &m, &p, &l)
			_, err := MakeMedium(i, m, p, l, Options{})
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (fault.ClassOf(err) != fault.Config || !strings.Contains(err.Error(), test.want)):
				t.Errorf("MakeMedium: %v; want a config error with %q", err, test.want)
			}
		})
	}
	i, _, _, l := stick()
	if _, err := Make(i, l, Options{}); err == nil || !strings.Contains(err.Error(), `kind: stick is of kind "installer"`) {
		t.Errorf("Make of an installer: %v", err)
	}
}

// TestMediumCmdline leaves room for the second archive.
func TestMediumCmdline(t *testing.T) {
	i, m, p, l := stick()
	for n, ok := range map[int]bool{-1: true, 0: true, 1: false} {
		p.Kernel.Parameters = nil
		made, err := MakeMedium(i, m, p, l, Options{})
		if err != nil {
			t.Fatal(err)
		}
		used := len(strings.Join(made.Entries[1].Cmdline, " "))
		p.Kernel.Parameters = []string{strings.Repeat("x", MaxCmdline-installerWord-used-1+n)}
		if _, err := MakeMedium(i, m, p, l, Options{}); (err == nil) != ok {
			t.Errorf("%d bytes beside the limit: %v; want ok = %v", n, err, ok)
		}
	}
}

// TestMediumText says what a medium installs, from which rules, onto what.
func TestMediumText(t *testing.T) {
	i, m, p, l := stick()
	i.Installer = profiles.Installer{
		Mode: "keep-home", Keep: []string{"/etc/ssh"}, Countdown: 30, Hibernated: "drop", After: "poweroff", Erase: true, Missing: []string{"backup"}, Backup: []string{"vault"},
		Disk:    profiles.DiskRules{MinSize: "1GiB", MaxSize: "2TiB", Bus: []string{"usb", "sata"}, Model: []string{"M*"}, Serial: []string{"S1\x1b"}, WWID: []string{"w"}, Layout: true},
		Machine: profiles.Machine{Product: "Laptop 13", Serial: "F1"},
	}
	p.Backup = []profiles.Backup{{Name: "usb", Disk: "UUID=1-2"}, {Name: "again", Disk: "LABEL=vault"}, {Name: "far"}}
	made, err := MakeMedium(i, m, p, l, Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := text(t, made, Look{Width: 200})
	for _, want := range []string{
		"Plan of stick: a stick for tests\n",
		"  system      demo on layout laptop, ESP 1GiB, the rest nixos\n",
		"  onto        the one disk that is on usb or sata, of at least 1GiB, of at most 2TiB, of model M*, of serial number S1?, of identifier w, laid out like the system already\n",
		"  never       the medium itself, one with a restic repository or with LABEL=vault, UUID=1-2\n",
		"  on          the machine of product Laptop 13, serial number F1\n",
		"  consent     unattended, 30 seconds in which any key stops it\n",
		"  mode        keep-home: the system is replaced, but for /home, /etc/ssh\n",
		"  other data  a disk with other data may be erased\n", "  hibernated  a session that is asleep on the disk is lost\n",
		"  missing     goes on without backup\n", "  after       poweroff\n", "  @swap/swapfile    swapfile, made by the first boot\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	i.Installer.Machine, i.Installer.Disk, i.Installer.Mode = profiles.Machine{}, profiles.DiskRules{}, "fresh"
	i.Installer.Keep = nil
	if made, err = MakeMedium(i, m, p, l, Options{}); err != nil {
		t.Fatal(err)
	}
	out = text(t, made, Look{Width: 200})
	for _, want := range []string{"the one disk that is inside of the machine\n", "the medium itself, a disk on USB, one", "any machine\n", "somebody types a phrase\n", "fresh: the whole disk is erased\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, named := range []func(*profiles.Installer){
		func(i *profiles.Installer) { i.Unattended = true }, func(i *profiles.Installer) { i.Machine.Serial = "x" }, func(i *profiles.Installer) { i.Disk.Serial = []string{"x"} },
	} {
		alone := i
		named(&alone.Installer)
		if made, err = MakeMedium(alone, m, p, l, Options{}); err != nil || !strings.Contains(text(t, made, Look{}), "unattended, 30 seconds") {
			t.Errorf("%+v: nobody is asked: %v", alone.Installer, err)
		}
	}
	if !slices.Equal(made.Medium.Protected(made.Profile), []string{"LABEL=vault", "UUID=1-2"}) {
		t.Errorf("protected are %q", made.Medium.Protected(made.Profile))
	}
}
