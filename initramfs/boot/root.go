package boot

import (
	"fmt"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Root says which block device holds the root file system.
type Root struct {
	Kind  string // "PARTUUID", "PARTLABEL", "UUID", "LABEL" or "" for a device node
	Value string // for a device node its name below /dev
}

const rootHint = "the options in /loader/entries/*.conf on the ESP must have root=PARTUUID=..."

// ParseRoot reads the value of root=.
func ParseRoot(text string) (Root, error) {
	if text == "" {
		return Root{}, fault.New(fault.Input, rootHint, "root=: missing on the command line")
	}
	kind, value, _ := strings.Cut(text, "=")
	value = strings.Trim(value, `"`)
	switch kind {
	case "PARTUUID", "UUID":
		value = strings.ToLower(value)
		fallthrough
	case "PARTLABEL", "LABEL":
		if value == "" {
			return Root{}, fault.New(fault.Input, rootHint, "root=%s: nothing behind %s=", text, kind)
		}
		return Root{kind, value}, nil
	}
	name, isNode := strings.CutPrefix(text, "/dev/")
	switch {
	case !isNode || name == "":
		return Root{}, fault.New(fault.Input, rootHint, "root=%s: expected PARTUUID=, UUID=, PARTLABEL=, LABEL= or /dev/NAME", text)
	case strings.HasPrefix(name, "disk/"):
		return Root{}, fault.New(fault.Input, rootHint, "root=%s: links below /dev/disk are made by udev, which the initramfs has not", text)
	}
	return Root{"", name}, nil
}

// String returns the root as it is written on the command line.
func (r Root) String() string {
	if r.Kind == "" {
		return "/dev/" + r.Value
	}
	return r.Kind + "=" + r.Value
}

// Matches reports whether d is meant.
func (r Root) Matches(d Device) bool {
	switch r.Kind {
	case "PARTUUID":
		return d.PartUUID == r.Value
	case "PARTLABEL":
		return d.PartLabel == r.Value
	case "UUID":
		return d.UUID == r.Value
	case "LABEL":
		return d.Label == r.Value
	}
	return d.Name == r.Value
}

// Select returns the device that is meant among those that are there. ok is
// false when none is. Two that match are refused: mounting the wrong one of a
// disk and its clone destroys data.
func (r Root) Select(devices []Device) (d Device, ok bool, err error) {
	for _, candidate := range devices {
		if !r.Matches(candidate) || ok && candidate.Number == d.Number {
			continue
		}
		if ok {
			return Device{}, false, fault.New(fault.Input,
				"unplug one of the two disks, or give one another identity: sgdisk -G, btrfstune -u",
				"%s: on two devices, %s and %s; refused, one is a copy of the other", r, d.Path(), candidate.Path())
		}
		d, ok = candidate, true
	}
	return d, ok, nil
}

// describe returns how the root was found, for the log.
func (r Root) describe(d Device) string { return fmt.Sprintf("%s %s", r, d.Path()) }
