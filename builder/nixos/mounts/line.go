package mounts

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstab"
)

// initrdOption marks what the initramfs of NixOS mounts, see systemd.mount(5).
const initrdOption = "x-initrd.mount"

// The types that are told apart here.
const (
	btrfs = "btrfs"
	vfat  = "vfat"
	tmpfs = "tmpfs"
)

// optional reports whether the system starts without what the line mounts.
func optional(l fstab.Line) bool { return l.Has("nofail", "noauto") && !l.Has(initrdOption) }

// isNeededForBoot reports whether NixOS mounts a line in its initramfs.
func isNeededForBoot(l fstab.Line) bool {
	return l.Has(initrdOption) || slices.Contains(neededForBoot, l.Target)
}

// isBind reports whether the line shows a part of another file system.
func isBind(l fstab.Line) bool {
	return path.IsAbs(l.What) && (l.Has("bind", "rbind") || l.Type == "none")
}

// isDisk reports whether the line needs a disk: a device, or a type that lies on one
// although its name does not say so. What comes by network, from memory or out of a file
// is not on the plan's disk, and its absence keeps no system from starting.
func isDisk(l fstab.Line) bool {
	if isBind(l) {
		return false
	}
	_, _, tagged := fstab.ParseDevice(l.What)
	return tagged || isNode(l.What) || strings.HasPrefix(l.What, "ID=") || slices.Contains([]string{btrfs, vfat, "zfs", "bcachefs"}, l.Type)
}

// isNode reports whether a name is that of a device of the machine. Compressed memory is
// there on every machine.
func isNode(what string) bool {
	return strings.HasPrefix(what, "/dev/") && !strings.HasPrefix(what, "/dev/zram") && what != "/dev/fuse"
}

// topLevel is the number of the subvolume that holds all others; 0 stands for it too.
const topLevel = 5

// subvolume returns which subvolume a line of btrfs mounts, "" being the top level, which
// is the default one of an image. It is not known of a number: numbers are given when the
// image is written.
func subvolume(l fstab.Line) (name string, known bool) {
	name, named := l.Option("subvol")
	name = strings.Trim(name, "/")
	text, numbered := l.Option("subvolid")
	if !numbered {
		return name, true
	}
	id, err := strconv.ParseUint(text, 0, 64)
	if err != nil || id != 0 && id != topLevel || named && name != "" {
		return name, false
	}
	return "", true
}

// show says what a line mounts.
func show(l fstab.Line) string {
	if l.Type == tmpfs {
		return "a file system in memory (tmpfs)"
	}
	what := l.What + " (" + l.Type + ")"
	if isBind(l) {
		return l.What + " (bound)"
	}
	if l.Type != btrfs {
		return what
	}
	name, known := subvolume(l)
	switch {
	case !known:
		id, _ := l.Option("subvolid")
		return "subvolume number " + id + " of " + what
	case name == "":
		return "the top level of " + what
	}
	return "subvolume " + name + " of " + what
}
