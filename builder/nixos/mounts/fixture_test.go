package mounts

import (
	"errors"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// planOf returns the plan of a small profile on a layout.
func planOf(t testing.TB, layout layouts.Layout) *plan.Plan {
	t.Helper()
	profile, _, err := profiles.Load().Resolve("bandit-minimal", nil)
	must(t, err)
	profile.Layout = layout.Name
	if layout.Swapfile.Subvolume == "" {
		profile.Swap.Policy = plan.SwapNone
	}
	if len(layout.Factory.Subvolumes) == 0 {
		profile.Tests.Promises = nil
	}
	p, err := plan.Make(profile, layout, plan.Options{})
	must(t, err)
	return p
}

// builtin returns a built-in layout.
func builtin(t testing.TB, name string) layouts.Layout {
	t.Helper()
	l, _, err := layouts.Load().Resolve(name, nil)
	must(t, err)
	return l
}

// file is where the tables of these tests are.
const file = "/nix/store/x-system/etc/fstab"

// parse returns the table of a text.
func parse(t testing.TB, text string) table {
	t.Helper()
	lines, err := fstab.Parse(text)
	must(t, err)
	return table{file: file, lines: lines}
}

// laptop is what a system for the layout btrfs-laptop mounts, by the label of the file
// systems.
const laptop = `/dev/disk/by-label/nixos / btrfs x-initrd.mount,subvol=@ 0 0
/dev/disk/by-label/ESP /boot vfat umask=0077 0 2
/dev/disk/by-label/nixos /home btrfs subvol=@home,compress=zstd 0 0
/dev/disk/by-label/nixos /nix btrfs x-initrd.mount,subvol=/@nix,noatime 0 0
/dev/disk/by-label/nixos /swap btrfs subvol=@swap 0 0
/dev/disk/by-label/nixos /var btrfs x-initrd.mount,subvol=@var 0 0
/swap/swapfile none swap defaults 0 0
`

// edited returns the laptop's table with some texts replaced by others.
func edited(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(laptop) }

// texts are the problems of an error, without the file.
func texts(t testing.TB, err error) []string {
	t.Helper()
	var all []string
	var problems strict.Problems
	if !errors.As(err, &problems) || fault.ClassOf(err) != fault.Config {
		t.Fatalf("error %v", err)
	}
	for _, p := range problems {
		all = append(all, strings.TrimPrefix(strings.TrimPrefix(p.String(), file+":"), " "))
	}
	return all
}
