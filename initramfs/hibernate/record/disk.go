package record

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Patterns of path.Match for names of devices in sysfs that say where a disk is.
// Numbers that the kernel gives in the order of discovery (host0, virtio1, usb2,
// ata1) are left out of a place: they are another boot's own. Package regexp
// would cost every boot more than the rest of this package.
const (
	pciFunction  = "*:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f].[0-7]"
	acpiDevice   = "[0-9A-Z][0-9A-Z][0-9A-Z]*:[0-9a-f][0-9a-f]" // _HID, and a number in the order of the firmware's tables
	usbBus       = "usb[0-9]*"
	usbInterface = "[0-9]*-[0-9]*:[0-9]*.[0-9]*" // bus, ports, configuration and interface
	scsiUnit     = "[0-9]*:[0-9]*:[0-9]*:[0-9]*" // host, channel, target, unit
	ataPort      = "ata[0-9]*"                   // its number on the controller is in a file
)

// DiskPath returns where the disk of a block device, MAJOR:MINOR, is attached,
// such as "pci-0000:00:14.0-usb3-1:1.0-scsi-0:0:0", like ID_PATH of udev's
// path_id. It is "" for a disk without hardware of its own, such as a loop
// device. sys is /sys.
//
// It is compared with what the mkimage of another version has noted: to put it
// in other words gives up the session of whoever updates and then hibernates.
func DiskPath(sys, number string) (string, error) {
	real, err := filepath.EvalSymlinks(filepath.Join(sys, "dev/block", number))
	if err != nil {
		return "", err
	}
	before, after, ok := strings.Cut(real, "/nvme-subsystem/")
	if !ok {
		return describe(real), nil
	}
	subsystem, _, _ := strings.Cut(after, "/")
	return leastController(filepath.Join(before, "nvme-subsystem", subsystem))
}

// leastController returns the place of a disk of NVMe that may have several
// controllers (nvme_core.multipath, the default of Linux), and is not below
// them: the least of theirs, since which comes first is another in each boot.
func leastController(subsystem string) (string, error) {
	names, err := filepath.Glob(filepath.Join(subsystem, "nvme*"))
	if err != nil {
		return "", err
	}
	var places []string
	for _, name := range names {
		if info, err := os.Lstat(name); err != nil || info.Mode()&os.ModeSymlink == 0 {
			continue
		}
		real, err := filepath.EvalSymlinks(name)
		if err != nil {
			return "", err
		}
		places = append(places, describe(real))
	}
	if len(places) == 0 {
		return "", fmt.Errorf("%s: no controller", subsystem)
	}
	return slices.Min(places), nil
}

// describe returns the parts of a device's folder in sysfs that are its place.
// Behind bridges a function on PCI is named as in device paths of UEFI, without
// the number of its bus: that changes with what else is plugged in, and a woken
// kernel restores the bridges.
func describe(real string) string {
	at, kind, usb, dir := "", "", "", ""
	for name := range strings.SplitSeq(real, "/") {
		dir = path.Join("/", dir, name)
		switch bus := strings.TrimRight(name, "0123456789"); {
		case is(pciFunction, name) && at == "":
			at = "pci-" + name
		case is(pciFunction, name):
			at, kind = at+"-"+name[strings.LastIndex(name, ":")+1:], ""
		case is(usbBus, name):
			usb = "-usb" + revision(dir)
		case is(usbInterface, name):
			kind += usb + "-" + name[strings.Index(name, "-")+1:]
		case is(scsiUnit, name):
			kind += "-scsi" + unit(real, name)
		case is(ataPort, name):
			kind += "-ata" + port(dir, name)
		case is(acpiDevice, name):
			at, kind = "acpi-"+name, ""
		case (bus == "virtio" || bus == "nvme" || bus == "mmc_host") && !strings.HasSuffix(kind, bus):
			kind += "-" + bus
		}
	}
	if at == "" {
		return ""
	}
	return at + kind
}

func is(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// revision returns 2 or 3, the revision of USB that a bus has. One controller
// has a bus of each, both of which count their ports from 1.
func revision(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "version"))
	if err != nil {
		return ""
	}
	major, _, _ := strings.Cut(strings.TrimSpace(string(text)), ".")
	return major
}

// unit returns channel, target and unit of a SCSI disk, after a dash. On SAS and
// Fibre Channel targets have numbers in the order of discovery.
func unit(real, name string) string {
	if strings.Contains(real, "/end_device-") || strings.Contains(real, "/rport-") {
		return ""
	}
	return "-" + name[strings.Index(name, ":")+1:]
}

// port returns the number of an ATA port on its controller, after a dash.
func port(dir, name string) string {
	text, err := os.ReadFile(filepath.Join(dir, "ata_port", name, "port_no"))
	if err != nil {
		return ""
	}
	return "-" + strings.TrimSpace(string(text))
}
