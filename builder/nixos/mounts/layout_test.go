package mounts

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/layouts"
)

// resolve reads a layout that was made.
func resolve(text []byte, sets ...strict.Setting) (layouts.Layout, error) {
	set := layouts.Load()
	set.Made = map[string][]byte{LayoutName: text}
	l, _, err := set.Resolve(LayoutName, sets)
	return l, err
}

// TestLayoutOfBuiltin: of the table of a plan comes the layout of the plan, but for what no
// table has, and a plan of that fits the table.
func TestLayoutOfBuiltin(t *testing.T) {
	for _, name := range []string{"btrfs-laptop", "btrfs-server", "impermanence"} {
		want := builtin(t, name)
		p := planOf(t, want)
		c := &checker{plan: p}
		var text strings.Builder
		for _, m := range p.Mounts {
			text.WriteString(fstab.Line{What: c.device(m, fstab.Label), Target: m.Target, Type: m.Type, Options: m.Options}.String() + "\n")
		}
		if p.Swapfile != nil {
			text.WriteString(p.Swapfile.File + " none swap\n")
		}
		doc, err := document(parse(t, text.String()))
		must(t, err)
		got, err := resolve(doc)
		if err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		if err := check([]table{parse(t, text.String())}, planOf(t, got)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(plain(want), plain(got)); diff != "" {
			t.Errorf("%s: %s\n%s", name, diff, doc)
		}
	}
}

// plain returns what a table says of a layout: not its name, nor what is taken snapshots
// of while it runs. Options of btrfs as a whole stay apart, others are every mount's own.
func plain(l layouts.Layout) layouts.Layout {
	var whole, each []string
	for _, o := range l.Root.Options {
		name, _, _ := strings.Cut(o, "=")
		if layouts.IsFileSystemOption(name) {
			whole = append(whole, o)
		} else {
			each = append(each, o)
		}
	}
	byMount := map[string]layouts.Subvolume{}
	for _, s := range l.Subvolumes {
		if l.Tmpfs.Size == "" || s.Mount != "/" {
			s.Options = append(append([]string{}, each...), s.Options...)
		}
		s.Snapshots = false
		byMount[s.Mount] = s
	}
	l.Name, l.Description, l.Root.Options, l.Subvolumes = "", "", whole, nil
	for _, mount := range []string{"/", "/home", "/nix", "/persist", "/swap", "/var"} {
		if s, ok := byMount[mount]; ok {
			l.Subvolumes = append(l.Subvolumes, s)
		}
	}
	return l
}

// TestLayout: what a configuration of one's own becomes.
func TestLayout(t *testing.T) {
	doc, err := document(parse(t, `PARTLABEL=pool / btrfs x-initrd.mount,subvol=root,compress=zstd:1,noatime,rw
LABEL=BOOT /efi vfat fmask=0077 0 2
PARTLABEL=pool /data btrfs subvol=/data,compress=zstd:9,nodev,x-systemd.automount
PARTLABEL=pool /old btrfs subvol=old,noauto
PARTLABEL=pool /swap btrfs subvol=swap,nodatacow,noatime
PARTLABEL=pool /top btrfs subvolid=5,noauto
LABEL=stick /stick vfat nofail
UUID=1 /disk ext4 nofail
tmpfs /tmp tmpfs size=1G
/swap/file none swap pri=1
`))
	must(t, err)
	got, err := resolve(doc, strict.Setting{Key: "esp.size", Value: "64MiB"})
	must(t, err)
	none := []string{}
	want := layouts.Layout{
		Name: LayoutName, Description: "as the system of the source mounts it",
		ESP:  layouts.ESP{Size: 64 << 20, Label: "BOOT", Mount: "/efi"},
		Root: layouts.Root{Label: "pool", Options: []string{"compress=zstd:1"}, Metadata: "dup", Free: 1 << 30},
		Subvolumes: []layouts.Subvolume{
			{Name: "root", Mount: "/", Options: []string{"noatime"}, Early: true},
			{Name: "data", Mount: "/data", Options: []string{"nodev", "x-systemd.automount"}},
			{Name: "old", Mount: "/old", Options: []string{"noauto"}},
			{Name: "swap", Mount: "/swap", Options: []string{"noatime"}, NoDataCow: true},
		},
		Swapfile: layouts.Swapfile{Subvolume: "swap", Name: "file", Size: "ram", Image: 64 << 20},
		Persist:  layouts.Persist{Directories: none, Files: none},
		Factory:  layouts.Factory{Subvolumes: []string{"root"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%s", diff, doc)
	}
}

// TestLayoutWithoutCow: a subvolume for machines takes no checksums from all others. Of the
// root the option holds, as in the kernel.
func TestLayoutWithoutCow(t *testing.T) {
	const table = "LABEL=n / btrfs subvol=@,%s\nLABEL=n /vm btrfs subvol=@vm,nodatacow,nodatasum,noatime\nLABEL=E /boot vfat\n"
	for options, want := range map[string][]string{
		"compress=zstd": {"compress=zstd"}, "noatime": {}, "nodatacow": {"nodatacow"},
	} {
		doc, err := document(parse(t, fmt.Sprintf(table, options)))
		must(t, err)
		l, err := resolve(doc)
		if err != nil {
			t.Errorf("%s: %v", options, err)
			continue
		}
		if diff := cmp.Diff(want, l.Root.Options); diff != "" {
			t.Errorf("%s: %s", options, diff)
		}
	}
}

func TestLayoutRefuses(t *testing.T) {
	const one = "; a layout has one file system besides the ESP, here /dev/disk/by-label/nixos"
	tests := []struct {
		name, in string
		want     []string
	}{
		{"UUIDs", edited("by-label/nixos", "by-uuid/1", "/dev/disk/by-label/ESP", "PARTUUID=2"), []string{
			`2:1: fileSystems."/boot": is on PARTUUID=2, expected one named by its label: an image gets its UUIDs when it is made`,
			`1:1: fileSystems."/": is on /dev/disk/by-uuid/1, expected one named by its label: an image gets its UUIDs when it is made`,
		}},
		{"label that FAT cannot have", edited("by-label/ESP", "by-partlabel/disk-main-ESP"), []string{
			`2:1: fileSystems."/boot": is on /dev/disk/by-partlabel/disk-main-ESP; in a layout the partition of an ESP has the label of its file system, expected 1 to 11 of A-Z 0-9 _ -`,
		}},
		{"no ESP", edited("vfat", "ext4"), []string{
			`mounts no ESP; a layout has one, expected a file system of type vfat at /boot`,
			`2:1: fileSystems."/boot": mounts /dev/disk/by-label/ESP (ext4)` + one,
		}},
		{"two ESPs", laptop + "LABEL=B /b vfat\n", []string{`8:1: fileSystems."/b": mounts LABEL=B (vfat); a layout has one file system of type vfat, here that at /boot`}},
		{"root of another type", edited("/ btrfs", "/ ext4"), []string{`1:1: fileSystems."/": mounts /dev/disk/by-label/nixos (ext4); a layout has a btrfs file system for / and /nix`}},
		{"no root", edited("/dev/disk/by-label/nixos / btrfs x-initrd.mount,subvol=@ 0 0\n", ""), []string{`fileSystems."/": mounts nothing there; a layout has a btrfs file system for / and /nix`}},
		{"encrypted", strings.ReplaceAll(laptop, "/dev/disk/by-label/nixos", "/dev/mapper/root"), []string{
			`1:1: fileSystems."/": is on /dev/mapper/root, expected one named by its label: a layout has no encrypted or logical volumes`,
		}},
		{"another disk", edited("by-label/nixos /home", "by-label/data /home"), []string{`3:1: fileSystems."/home": mounts subvolume @home of /dev/disk/by-label/data (btrfs)` + one}},
		{"top level", edited("subvol=@home,", ""), []string{
			`3:1: fileSystems."/home": mounts the top level of /dev/disk/by-label/nixos (btrfs); a layout mounts subvolumes by their names, expected an option such as "subvol=@home"`,
		}},
		{"number", edited("subvol=@home", "subvolid=256"), []string{
			`3:1: fileSystems."/home": mounts subvolume number 256 of /dev/disk/by-label/nixos (btrfs); a layout mounts subvolumes by their names, expected an option such as "subvol=@home"`,
		}},
		{"twice", edited("subvol=@home", "subvol=@"), []string{
			`3:1: fileSystems."/home": mounts subvolume @ of /dev/disk/by-label/nixos (btrfs); a layout mounts a subvolume once, and this one is at /`,
		}},
		{"swap partition", edited("/swap/swapfile", "LABEL=swap"), []string{`7:1: swapDevices: swaps to LABEL=swap; a layout has a swapfile, and no other swap area`}},
		{"two swapfiles", laptop + "/swap/b none swap\n", []string{`8:1: swapDevices: swaps to /swap/b; a layout has one swapfile`}},
		{"swapfile in the root", edited("/swap/swapfile", "/swapfile"), []string{
			`7:1: swapDevices: swaps to /swapfile; a layout has its swapfile in a subvolume for nothing else, such as @swap at /swap`,
		}},
		{"swapfile in a directory", edited("/swap/swapfile", "/swap/a/swapfile"), []string{
			`7:1: swapDevices: swaps to /swap/a/swapfile; a layout has its swapfile in a subvolume for nothing else, such as @swap at /swap`,
		}},
		{"early bind", laptop + "/home/x /x none bind,x-initrd.mount\n", []string{
			`8:1: fileSystems."/x": binds /home/x before the system starts; a layout does so over a root in memory, from the same path below one subvolume`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := document(parse(t, tt.in))
			if err == nil {
				t.Fatalf("made\n%s", doc)
			}
			if diff := cmp.Diff(tt.want, texts(t, err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLayoutOfMemoryRoot: over the name of a subvolume that is there already.
func TestLayoutOfMemoryRoot(t *testing.T) {
	doc, err := document(parse(t, "none / tmpfs\nLABEL=n /nix btrfs subvol=@\nLABEL=E /boot vfat nofail\n/nix/persist/etc /etc none bind\n"))
	must(t, err)
	l, err := resolve(doc)
	must(t, err)
	if l.Subvolumes[0].Name != "@root" || l.Subvolumes[0].Mount != "/" || l.Tmpfs != (layouts.TmpfsRoot{Size: "50%", Mode: "755"}) {
		t.Errorf("%s", doc)
	}
}

// FuzzDocument wants of any table an error, or the file of a layout that can be read, and
// that a plan of a layout which is right fits the table.
func FuzzDocument(f *testing.F) {
	f.Add(laptop)
	f.Add("none / tmpfs size=2G\nLABEL=n /nix btrfs subvol=@\\040\"x\nLABEL=E /boot vfat nofail\n/nix/persist/etc /etc none bind,x-initrd.mount\n")
	f.Add("UUID=1 / ext4\n/dev/sda1 none swap\nx /x zfs\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := fstab.Parse(text)
		if err != nil || strings.Contains(text, "!") { // which takes something away in a layout
			return
		}
		one := table{file: file, lines: lines}
		doc, err := document(one)
		if err != nil {
			if fault.ClassOf(err) != fault.Config {
				t.Errorf("error %v: class %d", err, fault.ClassOf(err))
			}
			return
		}
		var l layouts.Layout
		if _, err := strict.Decode("made", doc, &l); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		if l, err = resolve(doc); err != nil {
			return
		}
		if err := check([]table{one}, planOf(t, l)); err != nil {
			t.Errorf("%v\n%s\n%s", err, text, doc)
		}
	})
}
