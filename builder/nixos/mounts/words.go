package mounts

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// role returns the role of the partition of the plan that a name stands for on every disk
// that has the system, or "".
func (c *checker) role(what string) string {
	tag, value, ok := fstab.ParseDevice(what)
	if !ok {
		return ""
	}
	for _, part := range c.plan.Disk.Partitions {
		name, known := c.value(&part, tag)
		if known && (name == value || tag != fstab.Label && tag != fstab.PARTLABEL && strings.EqualFold(name, value)) {
			return part.Role
		}
	}
	return ""
}

// value returns the value of a tag of a partition. Those that a medium installs get their
// UUIDs on the machine, and labels by the layout of the system.
func (c *checker) value(part *plan.Partition, tag fstab.Tag) (value string, known bool) {
	switch tag {
	case fstab.UUID:
		return part.FSID, c.plan.Medium == nil
	case fstab.PARTUUID:
		return part.PARTUUID.String(), c.plan.Medium == nil
	}
	layout := &c.plan.Layout
	if c.plan.Medium != nil {
		layout = &c.plan.Medium.Layout
	}
	if part.Role == plan.RoleESP {
		return layout.ESP.Label, true
	}
	return layout.Root.Label, true
}

// device names the partition of a mount of the plan by a tag, or by its label where that
// tag is not known.
func (c *checker) device(m plan.Mount, tag fstab.Tag) string {
	part := c.plan.Partition(map[string]string{btrfs: plan.RoleRoot, vfat: plan.RoleESP}[m.Type])
	if part == nil {
		return m.What // of no device
	}
	if value, known := c.value(part, tag); known && tag != "" {
		return fstab.DevicePath(string(tag) + "=" + value)
	}
	value, _ := c.value(part, fstab.PARTLABEL)
	return fstab.DevicePath(string(fstab.PARTLABEL) + "=" + value)
}

// show says what the plan has at a place, by a tag.
func (c *checker) show(m plan.Mount, tag fstab.Tag) string {
	switch m.Type {
	case tmpfs:
		return "a file system in memory (tmpfs)"
	case btrfs:
		return "subvolume " + m.Subvol + " of " + c.device(m, tag) + " (btrfs)"
	case vfat:
		return c.device(m, tag) + " (vfat)"
	}
	return m.What + " (bound)"
}

// why says what is wrong with a name by its form alone, after a semicolon.
func (c *checker) why(l fstab.Line) string {
	tag, _, tagged := fstab.ParseDevice(l.What)
	switch {
	case c.plan.Medium != nil && (tag == fstab.UUID || tag == fstab.PARTUUID):
		return "; every disk that the medium is installed on gets UUIDs of its own"
	case !tagged && isNode(l.What):
		return "; " + onOneMachine(l.What)
	}
	return ""
}

// onOneMachine says what is wrong with the name of a device.
func onOneMachine(what string) string {
	if strings.HasPrefix(what, "/dev/mapper/") {
		return "a layout has no encrypted or logical volumes"
	}
	return what + " is a name on one machine"
}

// attribute is how a configuration of NixOS names a mount.
func attribute(target string) string { return "fileSystems." + nix.Quote(target) }

// neededForBoot are the mounts that NixOS itself marks for its initramfs: nixpkgs,
// nixos/lib/utils.nix, pathsNeededForBoot.
var neededForBoot = []string{"/", "/nix", "/nix/store", "/var", "/var/log", "/var/lib", "/var/lib/nixos", "/etc", "/usr"}

// fixMount writes a mount of the plan for a configuration.
func (c *checker) fixMount(m plan.Mount) string {
	options := slices.DeleteFunc(slices.Clone(m.Options), func(o string) bool { return o == initrdOption })
	rest := ""
	if len(options) > 0 {
		rest = " options = " + nix.QuoteList(options) + ";"
	}
	if m.Early && !slices.Contains(neededForBoot, m.Target) {
		rest += " neededForBoot = true;"
	}
	return fmt.Sprintf("%s = { device = %s; fsType = %s;%s };", attribute(m.Target), nix.Quote(c.device(m, "")), nix.Quote(m.Type), rest)
}

// fixOptional lets a system start without a mount.
func fixOptional(target string) string {
	return attribute(target) + `.options = [ "nofail" ];`
}

// fixSwap writes the swap area of the plan for a configuration, or a swapfile that the
// system makes itself.
func (c *checker) fixSwap(l fstab.Line) string {
	switch {
	case c.plan.Swapfile != nil:
		return "swapDevices = [ { device = " + nix.Quote(c.plan.Swapfile.File) + "; } ];"
	case path.IsAbs(l.What) && !isNode(l.What) && c.onDisk(l.What):
		return "swapDevices = [ { device = " + nix.Quote(l.What) + "; size = 4096; } ];"
	}
	return "swapDevices = [ ];"
}
