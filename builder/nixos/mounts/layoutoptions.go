package mounts

import (
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/layouts"
)

// options deals out the options of the mounts. Those of btrfs as a whole go to the root:
// of equal names the first mount decides, as it does in the kernel. That of a later one
// has no effect there: what would cost the whole file system its checksums is left out.
func (d *deriver) options() {
	root := &d.layout.Root
	for i, l := range d.btrfs {
		at := slices.IndexFunc(d.layout.Subvolumes, func(s layouts.Subvolume) bool { return s.Mount == l.Target })
		for _, o := range l.Options {
			name, _, _ := strings.Cut(o, "=")
			switch {
			case said(name) || strings.HasPrefix(o, "X-"):
			case !layouts.IsFileSystemOption(name):
				d.layout.Subvolumes[at].Options = append(d.layout.Subvolumes[at].Options, o)
			case (i > 0 || d.holdsSwap(l.Target)) && (name == "nodatacow" || name == "nodatasum"):
				// Of the swapfile's subvolume the layout says it by itself.
			case !slices.ContainsFunc(root.Options, func(have string) bool { h, _, _ := strings.Cut(have, "="); return h == name }):
				root.Options = append(root.Options, o)
			}
		}
	}
}

// said reports whether an option says nothing, or what a layout says in other words.
func said(name string) bool {
	return slices.Contains([]string{"defaults", "rw", "subvol", "subvolid", initrdOption}, name)
}

// swapLines returns the swap areas that the system needs.
func (d *deriver) swapLines() (needed []fstab.Line) {
	for _, l := range d.lines {
		if l.IsSwap() && !optional(l) && !strings.HasPrefix(l.What, "/dev/zram") {
			needed = append(needed, l)
		}
	}
	return needed
}

// holdsSwap reports whether a swap area is a file below a mount point.
func (d *deriver) holdsSwap(target string) bool {
	return slices.ContainsFunc(d.swapLines(), func(l fstab.Line) bool { return path.Dir(path.Clean(l.What)) == target })
}

// swap makes the swapfile. Its size no table says: it is that of the built-in layouts.
// A subvolume of a layout that holds one has no checksums, and nothing of the source. One
// beside other files is the system's affair where it makes that itself.
func (d *deriver) swap() {
	if d.device == "" {
		return // it is said already that there is no file system
	}
	for _, l := range d.swapLines() {
		if _, _, tagged := fstab.ParseDevice(l.What); tagged || isNode(l.What) || !path.IsAbs(l.What) {
			d.refuse(&l, "swapDevices", "swaps to "+l.What+"; a layout has a swapfile, and no other swap area")
			continue
		}
		file := path.Clean(l.What)
		holder := d.holder(file)
		apart := holder != nil && path.Dir(file) == holder.Mount && strings.Contains(path.Base(holder.Mount)+holder.Name, "swap")
		made := slices.Contains(d.makes, l.What) && holder != nil
		switch first := d.layout.Swapfile.Subvolume == ""; {
		case apart && first:
			holder.NoDataCow = true
			d.layout.Swapfile = layouts.Swapfile{Subvolume: holder.Name, Name: path.Base(file), Size: "ram", Image: 64 << 20}
		case made:
		case !first:
			d.refuse(&l, "swapDevices", "swaps to "+file+"; a layout has one swapfile")
		default:
			d.refuse(&l, "swapDevices", "swaps to "+file+"; a layout has its swapfile in a subvolume for nothing else, such as @swap at /swap")
			d.hint = `swapDevices = [ { device = "/swap/swapfile"; } ]; and fileSystems."/swap" with the option "subvol=@swap"; or let the system make it: ` +
				"swapDevices = [ { device = " + nix.Quote(file) + "; size = 4096; } ];"
		}
	}
}
