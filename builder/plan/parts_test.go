package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// TestParts compares everything derived with what the layout means.
func TestParts(t *testing.T) {
	p := mustMake(t, laptop(), laptopLayout(), Options{Seed: &ids.Seed{}})
	root, esp := "PARTUUID="+p.Partition(RoleRoot).PARTUUID.String(), "PARTUUID="+p.Partition(RoleESP).PARTUUID.String()
	cmdline := []string{"root=" + root, "rootfstype=btrfs", "rootflags=subvol=@,compress=zstd:3,noatime", "rw", "quiet", "console=tty0"}
	btrfs := func(target, subvol string, early bool, more ...string) Mount {
		return Mount{Target: target, Type: "btrfs", What: root, Subvol: subvol, Early: early,
			Options: append([]string{"subvol=" + subvol, "compress=zstd:3", "noatime"}, more...)}
	}
	tests := []struct {
		name      string
		got, want any
	}{
		{"subvolumes", p.Subvolumes, []Subvolume{
			{Path: "@"}, {Path: "@home", Source: "home"}, {Path: "@home/.snapshots", Empty: true},
			{Path: "@log", Source: "var/log"}, {Path: "@var", Source: "var"}, {Path: "@swap", Empty: true, NoDataCow: true},
		}},
		{"snapshots", p.Snapshots, []Snapshot{{"@var", "@factory-var"}, {"@", "@factory"}}},
		{"swapfile", p.Swapfile, &Swapfile{Path: "@swap/swapfile", File: "/swap/swapfile", Size: 64 << 20}},
		{"mounts", p.Mounts, []Mount{
			btrfs("/", "@", true),
			{Target: "/boot", Type: "vfat", What: esp, Options: []string{"umask=0077"}},
			btrfs("/home", "@home", false), btrfs("/swap", "@swap", false),
			btrfs("/var", "@var", true, "x-initrd.mount"), btrfs("/var/log", "@log", true, "nodev", "x-initrd.mount"),
		}},
		{"cmdline", p.Cmdline, cmdline},
		{"entries", p.Entries, []Entry{
			{"mkimage-demo", "demo", "mkimage-1", cmdline},
			{"mkimage-demo-factory", "demo (as built, changes are not kept)", "mkimage-2-factory", append(cmdline[:6:6], "mkimage.factory")},
			{"mkimage-demo-rescue", "demo (rescue shell)", "mkimage-3-rescue", append(cmdline[:6:6], "mkimage.shell")},
		}},
		{"disk", p.Disk, Disk{GUID: ids.Seed{}.UUID(ids.Disk), SectorSize: 512, Partitions: []Partition{
			{Role: "esp", Type: TypeESP, PARTUUID: ids.Seed{}.UUID(ids.ESP), Label: "ESP", Start: 1 << 20, Size: 1 << 30, FSType: "vfat", FSID: p.Disk.Partitions[0].FSID},
			{Role: "root", Type: TypeRootX86_64, PARTUUID: ids.Seed{}.UUID(ids.Root), Label: "nixos", Start: 1<<30 + 1<<20, FSType: "btrfs", FSID: "eb0c16ce-566a-8ba6-9762-885308d1c924"},
		}}},
		{"types", []string{TypeESP.String(), TypeRootX86_64.String()},
			[]string{"c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"}},
		{"init", InitConfig(p, nil), config.Config{
			Version: config.Version,
			Mounts: []config.Mount{
				{Subvolume: "@", Target: "/", Options: []string{"compress=zstd:3", "noatime"}},
				{Subvolume: "@var", Target: "/var", Options: []string{"compress=zstd:3", "noatime"}},
				{Subvolume: "@log", Target: "/var/log", Options: []string{"compress=zstd:3", "noatime", "nodev"}},
			},
			Factory: []config.Mount{
				{Subvolume: "@factory", Target: "/", Options: []string{"compress=zstd:3", "noatime"}},
				{Subvolume: "@factory-var", Target: "/var", Options: []string{"compress=zstd:3", "noatime"}},
			},
			Swapfile: &config.Swapfile{Path: "@swap/swapfile", Target: "/swap/swapfile", Size: "ram", Hibernate: true},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestUnifiedKernel plans one file for the firmware: it has the normal entry of
// the same profile with a menu, and no other.
func TestUnifiedKernel(t *testing.T) {
	menu := mustMake(t, laptop(), laptopLayout(), Options{Seed: &ids.Seed{}})
	profile := laptop()
	profile.Boot.Loader = "uki"
	p := mustMake(t, profile, laptopLayout(), Options{Seed: &ids.Seed{}})
	if diff := cmp.Diff(menu.Entries[:1], p.Entries); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if p.HasMenu() || !menu.HasMenu() {
		t.Errorf("HasMenu = %v of a unified kernel image, %v of systemd-boot", p.HasMenu(), menu.HasMenu())
	}
}

// TestMemoryRoot plans a root in memory: nothing mounts its subvolume in the
// running system, and what persists is bound last.
func TestMemoryRoot(t *testing.T) {
	p := mustMake(t, laptop(), memoryLayout(), Options{})
	if diff := cmp.Diff(Mount{Target: "/", Type: "tmpfs", What: "tmpfs", Options: []string{"size=2G", "mode=755"}, Early: true, Subvol: "@"}, p.Mounts[0]); diff != "" {
		t.Errorf("mount of / (-want +got):\n%s", diff)
	}
	bind := func(target string, file bool) Mount {
		return Mount{Target: target, Type: "none", What: "/persist" + target, Options: []string{"bind", "x-initrd.mount"}, Early: true, File: file}
	}
	want := []Mount{bind("/etc/machine-id", true), bind("/etc/ssh", false), bind("/srv", false)}
	if diff := cmp.Diff(want, p.Mounts[len(p.Mounts)-3:]); diff != "" {
		t.Errorf("bind mounts (-want +got):\n%s", diff)
	}
	c := InitConfig(p, nil)
	if diff := cmp.Diff(&config.Tmpfs{Size: "2G", Mode: "755"}, c.Tmpfs); diff != "" {
		t.Errorf("tmpfs of the initramfs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(config.Bind{From: "/persist/etc/machine-id", To: "/etc/machine-id", File: true}, c.Binds[0]); len(c.Binds) != 3 || diff != "" {
		t.Errorf("%d bind mounts of the initramfs, the first (-want +got):\n%s", len(c.Binds), diff)
	}
	if diff := cmp.Diff(config.Mount{Subvolume: "@", Target: "/", Options: []string{"compress=zstd:3", "noatime"}}, c.Mounts[0]); diff != "" {
		t.Errorf("lower of / (-want +got):\n%s", diff)
	}
}

// TestFirstBoot leaves to mkimage-init what must be done before the system
// runs, and marks the root for it.
func TestFirstBoot(t *testing.T) {
	for _, test := range []struct {
		name         string
		in           []string
		policy, size string
		want         []string
		attributes   uint64
	}{
		{"none", nil, SwapHibernate, "ram", nil, 0},
		{"of the system", []string{"machine-id", "host-keys"}, SwapHibernate, "ram", nil, 0},
		{"grow", []string{"machine-id", "grow"}, SwapHibernate, "ram", []string{"grow"}, 1 << 59},
		{"swapfile", []string{"swapfile", "host-keys"}, SwapHibernate, "ram", []string{"swapfile"}, 1 << 59},
		{"both", []string{"swapfile", "grow"}, SwapSwapfile, "1GiB", []string{"swapfile", "grow"}, 1 << 59},
		{"without swap", []string{"swapfile", "grow"}, SwapNone, "ram", []string{"grow"}, 1 << 59},
		{"swapfile without swap", []string{"swapfile"}, SwapNone, "ram", nil, 0},
		{"swapfile without a size", []string{"swapfile"}, SwapSwapfile, "none", nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			profile, layout := laptop(), laptopLayout()
			profile.FirstBoot.Steps, profile.Swap.Policy, layout.Swapfile.Size = test.in, test.policy, test.size
			p := mustMake(t, profile, layout, Options{})
			if diff := cmp.Diff(test.want, InitConfig(p, nil).FirstBoot); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if got := p.Partition(RoleRoot).Attributes(); got != test.attributes || p.Partition(RoleESP).Attributes() != 0 {
				t.Errorf("attributes %#x of the root, %#x of the ESP; want %#x and 0", got, p.Partition(RoleESP).Attributes(), test.attributes)
			}
		})
	}
}

// TestInitSwapfile tells mkimage-init sizes as plain numbers, and of a swapfile
// only where there is one.
func TestInitSwapfile(t *testing.T) {
	swap := func(size string, hibernate bool) *config.Swapfile {
		return &config.Swapfile{Path: "@swap/swapfile", Target: "/swap/swapfile", Size: size, Hibernate: hibernate}
	}
	tests := []struct {
		name, size, policy string
		want               *config.Swapfile
	}{
		{"as large as the RAM", "ram", SwapHibernate, swap("ram", true)},
		{"larger than the RAM", "ram+1GiB", SwapHibernate, swap("ram+1073741824", true)},
		{"a number", "512MiB", SwapSwapfile, swap("536870912", false)},
		{"unused", "ram", SwapNone, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, l := laptop(), laptopLayout()
			p.Swap.Policy, l.Swapfile.Size = test.policy, test.size
			if diff := cmp.Diff(test.want, InitConfig(mustMake(t, p, l, Options{}), nil).Swapfile); diff != "" {
				t.Errorf("swapfile (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLeftOut plans without what a profile and a layout can leave out.
func TestLeftOut(t *testing.T) {
	p, l := laptop(), laptopLayout()
	p.Boot.Rescue, p.Swap.Policy, l.Factory.Subvolumes = false, SwapNone, nil
	p.Layout = "builtin:laptop" // asks for the built-in layout of that name
	plan := mustMake(t, p, l, Options{})
	if len(plan.Entries) != 1 || plan.Swapfile != nil || len(plan.Snapshots) != 0 || InitConfig(plan, nil).Factory != nil {
		t.Errorf("%d entries, swapfile %v, snapshots %v; want one entry alone", len(plan.Entries), plan.Swapfile, plan.Snapshots)
	}
}

// TestSizeText writes sizes around the change of units.
func TestSizeText(t *testing.T) {
	tests := []struct {
		in   int64
		want string
	}{
		{0, "0 bytes"}, {1023, "1023 bytes"}, {1024, "1 KiB"}, {1025, "1025 bytes"}, {1536, "1.5 KiB"},
		{1 << 30, "1 GiB"}, {1<<30 + 1<<29, "1.5 GiB"}, {1<<30 - 1<<20, "1023 MiB"}, {1 << 62, "4 EiB"}, {1<<63 - 1, "9223372036854775807 bytes"},
	}
	for _, test := range tests {
		if got := sizeText(test.in); got != test.want {
			t.Errorf("sizeText(%d) = %q; want %q", test.in, got, test.want)
		}
	}
}
