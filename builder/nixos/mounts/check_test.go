package mounts

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/profiles"
)

// TestCheckOfPlan: the table that follows from a plan fits it, whatever it names the
// partitions by.
func TestCheckOfPlan(t *testing.T) {
	for _, name := range []string{"btrfs-laptop", "btrfs-server", "impermanence"} {
		p := planOf(t, builtin(t, name))
		for _, tag := range []fstab.Tag{fstab.UUID, fstab.Label, fstab.PARTUUID, fstab.PARTLABEL} {
			c := &checker{plan: p}
			var short, long strings.Builder
			for _, m := range p.Mounts {
				l := fstab.Line{What: c.device(m, tag), Target: m.Target, Type: m.Type, Options: m.Options}
				fmt.Fprintln(&long, l)
				if tag, value, ok := fstab.ParseDevice(l.What); ok {
					l.What = string(tag) + "=" + strings.ToUpper(value)
					if tag == fstab.Label || tag == fstab.PARTLABEL {
						l.What = string(tag) + "=" + value
					}
				}
				fmt.Fprintln(&short, l)
			}
			if p.Swapfile != nil {
				fmt.Fprintln(&short, p.Swapfile.File+" none swap")
			}
			for _, text := range []string{long.String(), short.String()} {
				if err := check([]table{parse(t, text)}, p); err != nil {
					t.Errorf("%s by %s: %v\n%s", name, tag, err, text)
				}
			}
		}
	}
}

func TestCheck(t *testing.T) {
	const laptopHas = "; layout btrfs-laptop has "
	tests := []struct {
		name, in string
		want     []string
	}{
		{"fits", laptop, nil},
		{"type auto", edited("vfat", "auto"), nil},
		{"more of other kinds", laptop + "tmpfs /tmp tmpfs\nhost:/x /srv nfs4 _netdev\n/home/x /x none bind\nproc /proc proc\n/img /iso iso9660 loop\n", nil},
		{"other disks", laptop + "/dev/sdb1 /a ext4 nofail\n/dev/disk/by-id/x /b xfs noauto\nLABEL=x none swap nofail\ntank/x /z zfs nofail\n", nil},
		{"memory", laptop + "/dev/zram0 none swap\n/dev/zram1 /scratch ext2\n", nil},
		{"what is there already", laptop + "LABEL=nixos /top btrfs subvolid=5\nLABEL=nixos /top0 btrfs\nLABEL=nixos /s btrfs subvol=@home/.snapshots\n", nil},
		{"home of another disk", edited("/dev/disk/by-label/nixos /home btrfs subvol=@home", "LABEL=data /home ext4 nofail"), nil},
		{"no swap", edited("/swap/swapfile none swap defaults 0 0\n", "", "/dev/disk/by-label/nixos /swap btrfs subvol=@swap 0 0\n", ""), nil},
		{"device", edited("by-label/nixos /home", "by-label/data /home"), []string{
			`3:1: fileSystems."/home": mounts subvolume @home of /dev/disk/by-label/data (btrfs)` + laptopHas + "subvolume @home of /dev/disk/by-label/nixos (btrfs) there",
		}},
		{"label of another case", edited("by-label/ESP", "by-label/esp"), []string{
			`2:1: fileSystems."/boot": mounts /dev/disk/by-label/esp (vfat)` + laptopHas + "/dev/disk/by-label/ESP (vfat) there",
		}},
		{"partitions in each other's place", edited("by-label/nixos / ", "by-label/ESP / "), []string{
			`1:1: fileSystems."/": mounts subvolume @ of /dev/disk/by-label/ESP (btrfs)` + laptopHas + "subvolume @ of /dev/disk/by-label/nixos (btrfs) there",
		}},
		{"subvolume", edited("subvol=@home", "subvol=home"), []string{
			`3:1: fileSystems."/home": mounts subvolume home of /dev/disk/by-label/nixos (btrfs)` + laptopHas + "subvolume @home of /dev/disk/by-label/nixos (btrfs) there",
		}},
		{"top level", edited("subvol=@home,", ""), []string{
			`3:1: fileSystems."/home": mounts the top level of /dev/disk/by-label/nixos (btrfs)` + laptopHas + "subvolume @home of /dev/disk/by-label/nixos (btrfs) there",
		}},
		{"number", edited("subvol=@home", "subvolid=257"), []string{
			`3:1: fileSystems."/home": mounts subvolume number 257 of /dev/disk/by-label/nixos (btrfs)` + laptopHas + "subvolume @home of /dev/disk/by-label/nixos (btrfs) there",
		}},
		{"name and number", edited("subvol=@home", "subvol=@home,subvolid=5"), []string{
			`3:1: fileSystems."/home": mounts subvolume number 5 of /dev/disk/by-label/nixos (btrfs)` + laptopHas + "subvolume @home of /dev/disk/by-label/nixos (btrfs) there",
		}},
		{"type", edited("/home btrfs", "/home ext4"), []string{
			`3:1: fileSystems."/home": mounts /dev/disk/by-label/nixos (ext4)` + laptopHas + "subvolume @home of /dev/disk/by-label/nixos (btrfs) there",
		}},
		{"node", edited("/dev/disk/by-label/nixos /home", "/dev/sda2 /home"), []string{
			`3:1: fileSystems."/home": mounts subvolume @home of /dev/sda2 (btrfs)` + laptopHas + "subvolume @home of /dev/disk/by-partlabel/nixos (btrfs) there; /dev/sda2 is a name on one machine",
		}},
		{"in memory", edited("/dev/disk/by-label/nixos /home btrfs", "none /home tmpfs"), []string{
			`3:1: fileSystems."/home": mounts a file system in memory (tmpfs)` + laptopHas + "subvolume @home of /dev/disk/by-partlabel/nixos (btrfs) there",
		}},
		{"root that may be missing", edited("by-label/nixos / btrfs x-initrd.mount", "by-label/data / btrfs nofail"), []string{
			`1:1: fileSystems."/": mounts subvolume @ of /dev/disk/by-label/data (btrfs)` + laptopHas + "subvolume @ of /dev/disk/by-label/nixos (btrfs) there",
		}},
		{"our own that may be missing", edited("subvol=@home", "nofail,subvol=home"), []string{
			`3:1: fileSystems."/home": mounts subvolume home of /dev/disk/by-label/nixos (btrfs)` + laptopHas + "subvolume @home of /dev/disk/by-label/nixos (btrfs) there",
		}},
		{"options of the root that the kernel does not take", edited("subvol=@ ", "subvol=@,noatime,space_cache "), []string{
			`1:1: fileSystems."/": has the option space_cache, with which it cannot be mounted: expected v2, which the file system is made with and cannot be mounted without`,
		}},
		{"a disk of two", edited("subvol=@ ", "device=/dev/sda,subvol=@ "), []string{
			`1:1: fileSystems."/": has the option device=/dev/sda, with which it cannot be mounted: a layout names no devices`,
		}},
		{"options that it takes", edited("subvol=@ ", "subvol=@,space_cache=v2,ssd,x-a=b ", "subvol=@home", "subvol=@home,nospace_cache"), nil},
		{"another disk", laptop + "/dev/mapper/data /data ext4 defaults\ntank/a /z zfs\n", []string{
			`8:1: fileSystems."/data": mounts /dev/mapper/data (ext4)` + laptopHas + "nothing there; a layout has no encrypted or logical volumes",
			`9:1: fileSystems."/z": mounts tank/a (zfs)` + laptopHas + "nothing there",
		}},
		{"in the initramfs, although it may be missing", laptop + "LABEL=data /data ext4 nofail,x-initrd.mount\n", []string{
			`8:1: fileSystems."/data": mounts LABEL=data (ext4)` + laptopHas + "nothing there",
		}},
		{"subvolume that is not there", laptop + "LABEL=nixos /log btrfs subvol=@log\n", []string{
			`8:1: fileSystems."/log": mounts subvolume @log of LABEL=nixos (btrfs)` + laptopHas + "nothing there",
		}},
		{"missing", edited("/dev/disk/by-label/nixos /home btrfs subvol=@home,compress=zstd 0 0\n", "", "/dev/disk/by-label/ESP /boot vfat umask=0077 0 2\n", ""), []string{
			`fileSystems."/boot": is not mounted` + laptopHas + "/dev/disk/by-partlabel/ESP (vfat) there",
			`fileSystems."/home": is not mounted` + laptopHas + "subvolume @home of /dev/disk/by-partlabel/nixos (btrfs) there",
		}},
		{"before the activation", edited("subvol=@home,", "x-initrd.mount,subvol=@home,"), []string{
			`3:1: fileSystems."/home": is mounted before the system is activated; layout btrfs-laptop has it mounted later, expected layout.subvolumes.@home.early = true`,
		}},
		{"a bind before the activation", laptop + "/nix/srv /srv none bind,x-initrd.mount\n/home/log /var/log none bind\n", []string{
			`8:1: fileSystems."/srv": mounts /nix/srv (bound) before the system is activated; layout btrfs-laptop has nothing there`,
			`9:1: fileSystems."/var/log": mounts /home/log (bound) before the system is activated; layout btrfs-laptop has nothing there`,
		}},
		{"the top level before the activation", laptop + "LABEL=nixos /top btrfs x-initrd.mount\n", []string{
			`8:1: fileSystems."/top": mounts the top level of LABEL=nixos (btrfs) before the system is activated; layout btrfs-laptop has nothing there`,
		}},
		{"memory before the activation", laptop + "none /var/log tmpfs x-initrd.mount\n", nil},
		{"swap without its subvolume", edited("/dev/disk/by-label/nixos /swap btrfs subvol=@swap 0 0\n", ""), []string{
			`fileSystems."/swap": is not mounted` + laptopHas + "subvolume @swap of /dev/disk/by-partlabel/nixos (btrfs) there",
		}},
		{"swap", edited("/swap/swapfile", "/swapfile") + "UUID=1 none swap\n", []string{
			`7:1: swapDevices: swaps to /swapfile; the image has the swapfile /swap/swapfile (layout btrfs-laptop, swap.policy "hibernate")`,
			`8:1: swapDevices: swaps to UUID=1; the image has the swapfile /swap/swapfile (layout btrfs-laptop, swap.policy "hibernate")`,
		}},
	}
	p := planOf(t, builtin(t, "btrfs-laptop"))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := check([]table{parse(t, tt.in)}, p)
			if tt.want == nil {
				must(t, err)
				return
			}
			if diff := cmp.Diff(tt.want, texts(t, err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestCheckEarly: what an initramfs mounts too late, unless it is that of the system.
func TestCheckEarly(t *testing.T) {
	l := builtin(t, "btrfs-laptop")
	p := planOf(t, l)
	early := parse(t, edited("subvol=@home,", "x-initrd.mount,subvol=@home,")+"/nix/srv /srv none bind,x-initrd.mount\n/nix/lib /var/lib none bind\n")
	err := check([]table{early}, p)
	want := `start the system by its own initrd, --set initramfs.from=source; or write in the configuration of the system: fileSystems."/srv".neededForBoot = false;`
	if got := fault.HintOf(err); got != want {
		t.Errorf("hint %s; want %s", got, want)
	}
	p.Profile.Initramfs.From = profiles.InitramfsSource
	must(t, check([]table{early}, p))
	p = planOf(t, l)
	for i := range p.Mounts {
		p.Mounts[i].Early = true
	}
	must(t, check([]table{parse(t, edited("subvol=@home,", "x-initrd.mount,subvol=@home,"))}, p))
	memory := planOf(t, builtin(t, "impermanence"))
	err = check([]table{parse(t, "none / tmpfs\nLABEL=nixos /home btrfs subvol=@home\nLABEL=nixos /nix btrfs subvol=@nix\nLABEL=nixos /persist btrfs subvol=@persist\nLABEL=ESP /boot vfat\n/persist/var/lib/nixos /var/lib/nixos none bind,x-initrd.mount\n")}, memory)
	if got := texts(t, err); len(got) != 1 || !strings.HasSuffix(got[0], "layout impermanence has nothing there, expected it in layout.persist.directories or layout.persist.files") {
		t.Errorf("got %q", got)
	}
}

func TestCheckMemoryRoot(t *testing.T) {
	p := planOf(t, builtin(t, "impermanence"))
	const fits = `none / tmpfs size=1G,mode=755
LABEL=nixos /home btrfs subvol=@home
LABEL=nixos /nix btrfs subvol=@nix
LABEL=nixos /persist btrfs subvol=@persist
LABEL=ESP /boot vfat
/persist/var/log /var/log none bind,x-initrd.mount
`
	must(t, check([]table{parse(t, fits)}, p))
	must(t, check([]table{parse(t, strings.ReplaceAll(fits, "subvol=@home", "subvol=@home,space_cache"))}, p))
	if got := texts(t, check([]table{parse(t, strings.ReplaceAll(fits, "subvol=@nix", "subvol=@nix,space_cache"))}, p)); len(got) != 1 || !strings.HasPrefix(got[0], `3:1: fileSystems."/nix": has the option space_cache`) {
		t.Errorf("got %q", got)
	}
	err := check([]table{parse(t, strings.NewReplacer("none /", "LABEL=nixos /", "tmpfs size=1G,mode=755", "btrfs subvol=@", "/persist/var/log", "/persist/log").Replace(fits))}, p)
	want := []string{
		`1:1: fileSystems."/": mounts subvolume @ of LABEL=nixos (btrfs); layout impermanence has a file system in memory (tmpfs) there`,
		`6:1: fileSystems."/var/log": mounts /persist/log (bound); layout impermanence has /persist/var/log (bound) there`,
	}
	if diff := cmp.Diff(want, texts(t, err)); diff != "" {
		t.Error(diff)
	}
	for _, fix := range []string{
		`fileSystems."/" = { device = "tmpfs"; fsType = "tmpfs"; options = [ "size=2G" "mode=755" ]; };`,
		`fileSystems."/var/log" = { device = "/persist/var/log"; fsType = "none"; options = [ "bind" ]; };`,
	} {
		if !strings.Contains(fault.HintOf(err), fix) {
			t.Errorf("hint %s; want %s", fault.HintOf(err), fix)
		}
	}
}

// TestCheckMedium: what a medium installs gets its UUIDs on the machine, and its labels
// are those of the system, not those of the medium.
func TestCheckMedium(t *testing.T) {
	p := planOf(t, builtin(t, "btrfs-laptop"))
	uuid := "UUID=" + p.Partition(plan.RoleRoot).FSID
	m := *p
	m.Medium = &plan.Medium{Layout: p.Layout}
	m.Layout.Root.Label, m.Layout.ESP.Label = "payload", "INSTALLER"
	must(t, check([]table{parse(t, laptop)}, &m))
	err := check([]table{parse(t, edited("/dev/disk/by-label/nixos /home", uuid+" /home"))}, &m)
	want := []string{`3:1: fileSystems."/home": mounts subvolume @home of ` + uuid + ` (btrfs); layout btrfs-laptop has subvolume @home of /dev/disk/by-partlabel/nixos (btrfs) there; ` +
		"every disk that the medium is installed on gets UUIDs of its own"}
	if diff := cmp.Diff(want, texts(t, err)); diff != "" {
		t.Error(diff)
	}
}

func TestHint(t *testing.T) {
	p := planOf(t, builtin(t, "btrfs-laptop"))
	err := check([]table{parse(t, edited("subvol=@home", "subvol=home")+"LABEL=data /da$ta ext4\n")}, p)
	want := `write in the configuration of the system: ` +
		`fileSystems."/home" = { device = "/dev/disk/by-partlabel/nixos"; fsType = "btrfs"; options = [ "subvol=@home" "compress=zstd:3" "noatime" "discard=async" ]; }; ` +
		`fileSystems."/da\$ta".options = [ "nofail" ];`
	if diff := cmp.Diff(want, fault.HintOf(err)); diff != "" {
		t.Error(diff)
	}
	err = check([]table{parse(t, edited("subvol=@home", "subvol=home", "/swap/swapfile", "/swap/other"))}, p)
	if got := fault.HintOf(err); !strings.HasPrefix(got, "take the disk that the system asks for, --set layout=from-closure; or ") || !strings.Contains(got, `swapDevices = [ { device = "/swap/swapfile"; } ];`) {
		t.Errorf("hint %s", got)
	}
	wrong := parse(t, edited("subvol=@home", "subvol=home"))
	if got := fault.HintOf(check([]table{wrong, wrong}, p)); strings.Count(got, "fileSystems") != 1 {
		t.Errorf("hint says something twice: %s", got)
	}
	m := *p
	m.Medium = &plan.Medium{Layout: p.Layout}
	if got := fault.HintOf(check([]table{parse(t, edited("subvol=@home", "subvol=home"))}, &m)); !strings.HasPrefix(got, "take the disk that the system asks for, --set payload.layout=from-closure; or ") {
		t.Errorf("hint %s", got)
	}
	p.Layout.Name = LayoutName
	if got := fault.HintOf(check([]table{parse(t, edited("subvol=@home", "subvol=home"))}, p)); strings.Contains(got, LayoutName) {
		t.Errorf("hint %s", got)
	}
}

// TestHintBound: a table of nothing but differences takes no time that grows with its square.
func TestHintBound(t *testing.T) {
	p := planOf(t, builtin(t, "btrfs-laptop"))
	for n, want := range map[int]int{maxFixes - 1: maxFixes - 1, maxFixes: maxFixes, maxFixes + 1: maxFixes} {
		var lines strings.Builder
		lines.WriteString(laptop)
		for i := range n {
			fmt.Fprintf(&lines, "/dev/a /%d t\n", i)
		}
		err := check([]table{parse(t, lines.String())}, p)
		if got := strings.Count(fault.HintOf(err), "nofail"); got != want || len(texts(t, err)) != n {
			t.Errorf("%d lines: a hint with %d fixes, %d problems", n, got, len(texts(t, err)))
		}
	}
}
