package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/initramfs/smbios"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Facts are what Check judges.
type Facts struct {
	Memory    int64     `json:"memory"`    // bytes that the kernel has
	RAM       int64     `json:"ram"`       // bytes, as the first boot sizes a swapfile by
	UEFI      int       `json:"uefi"`      // bits of the firmware's UEFI, 64 or 32; 0 without
	Batteries []Battery `json:"batteries"` // of the machine, sorted by name
	Mains     bool      `json:"mains"`     // power comes from outside

	// Elsewhere says that the target is for another machine than this one, which
	// is not judged then but for its memory.
	Elsewhere bool `json:"elsewhere"`

	// What ReadFacts does not know. A TargetSize of 0 leaves the size out.
	TargetSize       int64     `json:"target_size"`        // bytes
	SectorSize       int64     `json:"sector_size"`        // bytes, logical, of the target
	MediumSectorSize int64     `json:"medium_sector_size"` // bytes, of the medium; 0 is not judged
	PayloadSize      int64     `json:"payload_size"`       // bytes of the payload's partition
	PayloadUsed      int64     `json:"payload_used"`       // bytes of it that its file system has given away
	Clock            time.Time `json:"clock"`              // what time the machine takes it for
}

// Battery is a battery of the machine.
type Battery struct {
	Name        string `json:"name"`
	Percent     int    `json:"percent"` // of what it holds; -1 when it does not say
	Discharging bool   `json:"discharging"`
}

// ReadFacts reads what the kernel says of a machine in sysfs and procfs, which
// are mounted at sys and proc.
func ReadFacts(sys, proc string) (f Facts, err error) {
	text, err := os.ReadFile(filepath.Join(proc, "meminfo"))
	if err != nil {
		return f, err
	}
	if f.Memory, err = firstboot.MemTotal(string(text)); err != nil {
		return f, err
	}
	if f.RAM, _, err = smbios.RAM(sys, proc); err != nil {
		return f, err
	}
	if f.UEFI, err = readUEFI(sys); err != nil {
		return f, err
	}
	return f, f.readPower(filepath.Join(sys, "class/power_supply"))
}

// readUEFI reads fw_platform_size (Documentation/ABI/testing/sysfs-firmware-efi
// of Linux).
func readUEFI(sys string) (int, error) {
	text, err := word(filepath.Join(sys, "firmware/efi/fw_platform_size"))
	if err != nil || text == "" {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n != 32 && n != 64 {
		return 0, fmt.Errorf("fw_platform_size: got %q, expected 32 or 64", text)
	}
	return n, nil
}

// readPower reads the power supplies (Documentation/ABI/testing/sysfs-class-power
// of Linux). A battery of the scope Device is that of a mouse or the like. What
// one of them does not say is no error: drivers differ.
func (f *Facts) readPower(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		at := func(name string) string {
			text, _ := word(filepath.Join(dir, e.Name(), name)) // see above
			return text
		}
		switch {
		case at("scope") == "Device":
		case at("type") == "Battery":
			if at("present") == "0" {
				continue
			}
			b := Battery{Name: e.Name(), Percent: -1, Discharging: at("status") == "Discharging"}
			if n, err := strconv.Atoi(at("capacity")); err == nil && n >= 0 && n <= 100 {
				b.Percent = n
			}
			f.Batteries = append(f.Batteries, b)
		case at("online") == "1": // a mains adapter or a charger on USB
			f.Mains = true
		}
	}
	return nil
}

// word is what a file of sysfs says, "" when there is none.
func word(name string) (string, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}
