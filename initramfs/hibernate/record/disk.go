package record

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Patterns of path.Match for names of devices in sysfs that say where a disk is.
// Numbers that the kernel gives in the order of discovery (host0, virtio1, usb2,
// ata1) are left out of a place: they are another boot's own. Package regexp
// would cost every boot more than the rest of this package.
const (
	pciFunction  = "*:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f].[0-7]"
	usbInterface = "[0-9]*-[0-9]*:[0-9]*.[0-9]*" // bus, ports, configuration and interface
	scsiUnit     = "[0-9]*:[0-9]*:[0-9]*:[0-9]*" // host, channel, target, unit
	ataPort      = "ata[0-9]*"                   // its number on the controller is in a file
)

// DiskPath returns where the disk of a block device, MAJOR:MINOR, is attached,
// such as "pci-0000:00:14.0-usb-1:1.0-scsi-0:0:0", like ID_PATH of udev's
// path_id. It is "" for a disk without hardware of its own, such as a loop
// device. sys is /sys.
func DiskPath(sys, number string) (string, error) {
	real, err := filepath.EvalSymlinks(filepath.Join(sys, "dev/block", number))
	if err != nil {
		return "", err
	}
	if real, err = multipath(real); err != nil {
		return "", err
	}
	return describe(real), nil
}

// multipath follows the name of an NVMe disk that may have several controllers
// to the first of them (nvme_core.multipath, the default of Linux), which
// elsewhere is part of the name.
func multipath(real string) (string, error) {
	before, rest, ok := strings.Cut(real, "/nvme-subsystem/")
	if !ok {
		return real, nil
	}
	subsystem, _, _ := strings.Cut(rest, "/")
	controllers, err := filepath.Glob(filepath.Join(before, "nvme-subsystem", subsystem, "nvme*"))
	if err != nil {
		return "", err
	}
	for _, name := range controllers {
		if info, err := os.Lstat(name); err == nil && info.Mode()&os.ModeSymlink != 0 {
			return filepath.EvalSymlinks(name)
		}
	}
	return "", fmt.Errorf("%s: no controller", real)
}

// describe returns the parts of a device's folder in sysfs that are its place.
// Behind bridges a function on PCI is named as in device paths of UEFI, without
// the number of its bus: that changes with what else is plugged in, and a woken
// kernel restores the bridges.
func describe(real string) string {
	pci, kind, dir := "", "", ""
	for name := range strings.SplitSeq(real, "/") {
		dir = path.Join("/", dir, name)
		switch bus := strings.TrimRight(name, "0123456789"); {
		case is(pciFunction, name) && pci == "":
			pci = "pci-" + name
		case is(pciFunction, name):
			pci, kind = pci+"-"+name[strings.LastIndex(name, ":")+1:], ""
		case is(usbInterface, name):
			kind += "-usb-" + name[strings.Index(name, "-")+1:]
		case is(scsiUnit, name):
			kind += "-scsi-" + name[strings.Index(name, ":")+1:]
		case is(ataPort, name):
			kind += "-ata" + port(dir, name)
		case (bus == "virtio" || bus == "nvme" || bus == "mmc_host") && !strings.HasSuffix(kind, bus):
			kind += "-" + bus
		}
	}
	if pci == "" {
		return ""
	}
	return pci + kind
}

func is(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// port returns the number of an ATA port on its controller, after a dash.
func port(dir, name string) string {
	text, err := os.ReadFile(filepath.Join(dir, "ata_port", name, "port_no"))
	if err != nil {
		return ""
	}
	return "-" + strings.TrimSpace(string(text))
}
