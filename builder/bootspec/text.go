package bootspec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
)

// Text returns the entry as the builder of its layout writes it, to the byte.
// One of ByContent has no newline at its end.
func (e Entry) Text() []byte {
	lines := []string{"title " + e.Title}
	if e.Layout == ByGeneration {
		lines = append(lines, "sort-key "+e.SortKey)
	}
	lines = append(lines, "version "+e.Version, "linux /"+e.Kernel, "initrd /"+e.Initrd)
	for _, p := range e.ExtraInitrds {
		lines = append(lines, "initrd /"+p)
	}
	lines = append(lines, "options "+e.Options)
	if e.MachineID != "" {
		lines = append(lines, "machine-id "+e.MachineID)
	}
	if e.DeviceTree != "" {
		lines = append(lines, "devicetree /"+e.DeviceTree)
	}
	if e.Layout == ByContent {
		lines = append(lines, "sort-key "+e.SortKey)
	} else {
		lines = append(lines, "")
	}
	return []byte(strings.Join(lines, "\n"))
}

// AnyEntry is the default of a loader.conf that takes the newest of NixOS's
// entries.
const AnyEntry = "nixos-*"

// consoleModes are what boot.loader.systemd-boot.consoleMode may be.
var consoleModes = []string{"0", "1", "2", "5", "auto", "max", "keep"}

// LoaderOptions are the options of boot.loader that loader.conf shows.
type LoaderOptions struct {
	Timeout            int    // seconds, or bls.MenuForce where boot.loader.timeout is null; NixOS has 5
	Default            string // the file name of an entry; "" is AnyEntry
	Editor             bool   // NixOS has true
	RebootForBitlocker bool
	ConsoleMode        string // "" is "keep", as NixOS has
}

// LoaderConf returns loader.conf as NixOS's builder writes it, to the byte.
// Errors are of class fault.Input.
func LoaderConf(o LoaderOptions) ([]byte, error) {
	if o.Default == "" {
		o.Default = AnyEntry
	}
	if o.ConsoleMode == "" {
		o.ConsoleMode = "keep"
	}
	if _, ok := bls.ParseName(o.Default); !ok && o.Default != AnyEntry {
		return nil, fault.New(fault.Input, "", "loader.conf: default %.100q: expected the file name of an entry or %s", o.Default, AnyEntry)
	}
	if !slices.Contains(consoleModes, o.ConsoleMode) {
		return nil, fault.New(fault.Input, "", "loader.conf: console-mode %.100q: expected one of %s", o.ConsoleMode, strings.Join(consoleModes, ", "))
	}
	if o.Timeout < bls.MenuForce {
		return nil, fault.New(fault.Input, "", "loader.conf: timeout %d: expected seconds or %d", o.Timeout, bls.MenuForce)
	}
	timeout := fmt.Sprint(o.Timeout)
	if o.Timeout == bls.MenuForce {
		timeout = "menu-force"
	}
	text := "timeout " + timeout + "\ndefault " + o.Default + "\n"
	if !o.Editor {
		text += "editor 0\n"
	}
	if o.RebootForBitlocker {
		text += "reboot-for-bitlocker yes\n"
	}
	return []byte(text + "console-mode " + o.ConsoleMode + "\n"), nil
}
