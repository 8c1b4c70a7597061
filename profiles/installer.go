package profiles

import (
	"cmp"
	"reflect"
)

// Installer says which disk an installer medium may erase, who must agree, and
// what happens afterwards. It belongs to a profile of kind "installer", whose
// payload is another profile: the system that is installed.
type Installer struct {
	Disk    DiskRules `toml:"disk" json:"disk"`       // which disk is the target
	Backup  []string  `toml:"backup" json:"backup"`   // labels of file systems that are never erased, besides those that the payload restores from and backs up to
	Machine Machine   `toml:"machine" json:"machine"` // which machine the medium is for
	Mode    string    `toml:"mode" json:"mode"`       // "auto" (keep-home where the target has the payload's layout), "fresh" or "keep-home"
	Keep    []string  `toml:"keep" json:"keep"`       // absolute paths that survive keep-home besides /home and the key of the secrets
	// Unattended goes on without a person although the medium is not made for
	// one machine.
	Unattended bool `toml:"unattended" json:"unattended"`
	Countdown  int  `toml:"countdown" json:"countdown"` // seconds in which any key stops an unattended installation; 0 is 15 once resolved
	// Hibernated says what to do with a target that holds a hibernated session:
	// "refuse" or "drop".
	Hibernated string   `toml:"hibernated" json:"hibernated"`
	Erase      bool     `toml:"erase" json:"erase"`     // a target with other data may be erased
	Missing    []string `toml:"missing" json:"missing"` // proofs that may fail: "key", "backup"
	After      string   `toml:"after" json:"after"`     // "reboot" or "poweroff"
}

// The values of what an installer profile does not say.
const (
	defaultCountdown  = 15
	defaultMode       = "auto"
	defaultHibernated = "refuse"
	defaultAfter      = "reboot"
)

// IsZero reports whether nothing is said, be the lists nil or empty: JSON then
// leaves the table out.
func (i Installer) IsZero() bool {
	for _, list := range []*[]string{&i.Backup, &i.Keep, &i.Missing, &i.Disk.Bus, &i.Disk.Model, &i.Disk.Serial, &i.Disk.WWID} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	return reflect.DeepEqual(i, Installer{})
}

// complete sets what the profile does not say.
func (i *Installer) complete() {
	i.Countdown = cmp.Or(i.Countdown, defaultCountdown)
	i.Mode = cmp.Or(i.Mode, defaultMode)
	i.Hibernated = cmp.Or(i.Hibernated, defaultHibernated)
	i.After = cmp.Or(i.After, defaultAfter)
}

// DiskRules choose the target. A disk must match every rule that is given; the
// zero value gives none. Words are glob patterns of path.Match, compared
// without regard to case.
type DiskRules struct {
	MinSize string   `toml:"min_size" json:"min_size"` // such as "200GiB"; "" is no limit
	MaxSize string   `toml:"max_size" json:"max_size"`
	Bus     []string `toml:"bus" json:"bus"`       // any of "nvme", "sata", "usb", "scsi", "virtio", "mmc"
	Model   []string `toml:"model" json:"model"`   // any of these
	Serial  []string `toml:"serial" json:"serial"` // any of these; the only rule that admits a disk on USB or a removable one
	WWID    []string `toml:"wwid" json:"wwid"`     // any of these
	Layout  bool     `toml:"layout" json:"layout"` // the payload's layout is on it already
}

// Machine names a machine by what its firmware says of it (SMBIOS type 1).
// Words are glob patterns; all that are given must match.
type Machine struct {
	Product string `toml:"product" json:"product"` // product_name of /sys/class/dmi/id
	Serial  string `toml:"serial" json:"serial"`   // product_serial
}
