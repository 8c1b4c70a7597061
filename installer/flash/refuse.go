package flash

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/6FaNcY9/mkimage/installer/disks"
)

// Consent is what the user named, each the serial number of the disk, or the
// kernel's name of a disk that has none.
type Consent struct {
	Serial string // a disk that is not removable may be written
	Erase  string // what is on the disk may be erased
}

// Finding is a reason not to write to a disk.
type Finding struct {
	What string `json:"what"`
	Flag string `json:"flag,omitempty"` // that would allow it, with the word of the disk
	Hint string `json:"hint,omitempty"` // what to do, where no flag helps
}

// Word returns what names a disk in Consent.
func Word(d disks.Disk) string {
	if d.Serial != "" {
		return d.Serial
	}
	return d.Name
}

// noConsent are buses whose disks need not be named by Serial: sticks, and what
// is a file in truth.
var noConsent = []string{"usb", "loop", "file"}

// Refuse returns all reasons not to write to a disk, none when it is free to be
// written. It is pure: a disk that was described elsewhere is judged the same.
func Refuse(d disks.Disk, c Consent) (found []Finding) {
	add := func(what, flag, hint string) { found = append(found, Finding{what, flag, hint}) }
	if d.Problem != "" {
		add("cannot be read: "+d.Problem, "", "")
	}
	if d.ReadOnly {
		add("is read-only", "", "look for a switch on it")
	}
	for _, u := range d.Uses {
		add(useText(d, u), "", useHint(u))
	}
	word := Word(d)
	for _, named := range []struct{ flag, value string }{{"--serial", c.Serial}, {"--erase", c.Erase}} {
		if named.value != "" && named.value != word {
			add(fmt.Sprintf("%s says %q, but this disk is %q", named.flag, named.value, word), "", "")
		}
	}
	if !d.Removable && !slices.Contains(noConsent, d.Bus) && c.Serial == "" {
		add("is not a removable disk", "--serial", "")
	}
	if !d.Empty() && c.Erase == "" {
		add("is not empty: "+d.Summary(), "--erase", "")
	}
	return found
}

func useText(d disks.Disk, u disks.Use) string {
	who := ""
	if u.Device != d.Name {
		who = strconv.Quote(u.Device) + " "
	}
	switch u.Kind {
	case "mount":
		text := who + "is mounted at " + u.By
		if u.By == "/" {
			text += ": the running system is on it"
		}
		return text
	case "swap":
		return who + "is swapped to"
	}
	return who + "is in use by " + u.By
}

func useHint(u disks.Use) string {
	switch {
	case u.Kind == "mount" && u.By == "/":
		return "name another disk"
	case u.Kind == "mount":
		return "umount " + u.By
	case u.Kind == "swap":
		return "swapoff /dev/" + u.Device
	}
	return "take " + u.By + " apart first; lsblk shows what it is"
}
