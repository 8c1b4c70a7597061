package hardware

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// initrdOption marks what the initramfs mounts, see systemd.mount(5). NixOS
// puts it into its fstab itself, for what is neededForBoot.
const initrdOption = "x-initrd.mount"

// Nix returns a module of NixOS in the place of hardware-configuration.nix:
// fileSystems, swapDevices, boot.resumeDevice, resume_offset among
// boot.kernelParams where the offset is known, and
// boot.initrd.availableKernelModules. NixOS has one file system for each mount
// point; more are an error of class fault.Input.
func (h *Hardware) Nix() ([]byte, error) {
	n := &nixWriter{}
	n.line("# Made by mkimage layout, from %s. Do not edit it: make it again.", nixOrigins[h.From])
	n.line("{ ... }:")
	n.line("{")
	for i, m := range h.Mounts {
		if slices.ContainsFunc(h.Mounts[:i], func(o Mount) bool { return o.Target == m.Target }) {
			return nil, fault.New(fault.Input, "take --format fstab or json", "%s: two file systems are mounted there, and NixOS knows one", m.Target)
		}
		n.fileSystem(m)
	}
	n.swapDevices(h.Swaps)
	if h.Resume != nil {
		n.resume(h.Resume)
	}
	if len(h.Modules) > 0 {
		n.line("")
		n.line("  boot.initrd.availableKernelModules = %s;", nix.QuoteList(h.Modules))
	}
	n.line("}")
	return []byte(n.String()), nil
}

// nixOrigins say where a Hardware is from.
var nixOrigins = map[string]string{
	FromPlan:     "the plan of a profile",
	FromFstab:    "a disk and its /etc/fstab",
	FromManifest: "a disk and its manifest",
}

type nixWriter struct{ strings.Builder }

func (n *nixWriter) line(format string, args ...any) { fmt.Fprintf(n, format+"\n", args...) }

func (n *nixWriter) fileSystem(m Mount) {
	early := slices.Contains(m.Options, initrdOption)
	options := slices.DeleteFunc(slices.Clone(m.Options), func(o string) bool { return o == initrdOption || o == "defaults" })
	n.line("  fileSystems.%s = {", nix.Quote(m.Target))
	n.line("    device = %s;", nix.Quote(fstab.DevicePath(m.What)))
	n.line("    fsType = %s;", nix.Quote(m.Type))
	if len(options) > 0 {
		n.line("    options = %s;", nix.QuoteList(options))
	}
	if early {
		n.line("    neededForBoot = true;")
	}
	n.line("  };")
	n.line("")
}

func (n *nixWriter) swapDevices(swaps []Swap) {
	if len(swaps) == 0 {
		n.line("  swapDevices = [ ];")
		return
	}
	n.line("  swapDevices = [")
	for _, s := range swaps {
		options := ""
		if !slices.Equal(s.Options, []string{"defaults"}) && len(s.Options) > 0 {
			options = "options = " + nix.QuoteList(s.Options) + "; "
		}
		n.line("    { device = %s; %s}", nix.Quote(fstab.DevicePath(s.What)), options)
	}
	n.line("  ];")
}

func (n *nixWriter) resume(r *Resume) {
	n.line("")
	n.line("  boot.resumeDevice = %s;", nix.Quote(fstab.DevicePath(r.Device)))
	if r.Offset > 0 {
		n.line("  boot.kernelParams = [ \"resume_offset=%d\" ];", r.Offset)
		return
	}
	n.line("  # No resume_offset: %s.", commentText(r.Unknown))
	n.line("  # The initramfs of mkimage needs none, as it looks for the swapfile at every boot.")
	n.line("  # That of NixOS does: when the system has booted, make this again on it, from its")
	n.line("  # disk, as in: mkimage layout /dev/nvme0n1 > hardware-configuration.nix")
}

// commentText keeps a text on its line.
func commentText(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}
