package record

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// What the names of devices in sysfs say of the place of a disk. Numbers that
// the kernel gives in the order of discovery (host0, virtio1, usb2, ata1) are
// left out: they are another boot's own.
var (
	pciFunction  = regexp.MustCompile(`^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`)
	usbInterface = regexp.MustCompile(`^\d+-([\d.]+:\d+\.\d+)$`)     // bus, ports, configuration and interface
	scsiTarget   = regexp.MustCompile(`^\d+:(\d+:\d+:\d+)$`)         // host, channel, target, unit
	ataPort      = regexp.MustCompile(`^ata\d+$`)                    // its number on the controller is in a file
	numbered     = regexp.MustCompile(`^(virtio|nvme|mmc_host)\d*$`) // kinds of a bus
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
// Of several functions on PCI the last counts: those before are bridges.
func describe(real string) string {
	pci, kind := "", ""
	for dir, name := "", ""; ; {
		name, real, _ = strings.Cut(strings.TrimPrefix(real, "/"), "/")
		if name == "" {
			break
		}
		dir += "/" + name
		if m := usbInterface.FindStringSubmatch(name); m != nil {
			kind += "-usb-" + m[1]
		} else if m := scsiTarget.FindStringSubmatch(name); m != nil {
			kind += "-scsi-" + m[1]
		} else if m := numbered.FindStringSubmatch(name); m != nil && !strings.Contains(kind, m[1]) {
			kind += "-" + m[1]
		} else if ataPort.MatchString(name) {
			kind += "-ata" + port(dir, name)
		} else if pciFunction.MatchString(name) {
			pci, kind = "pci-"+name, ""
		}
	}
	if pci == "" {
		return ""
	}
	return pci + kind
}

// port returns the number of an ATA port on its controller, after a dash.
func port(dir, name string) string {
	text, err := os.ReadFile(filepath.Join(dir, "ata_port", name, "port_no"))
	if err != nil {
		return ""
	}
	return "-" + strings.TrimSpace(string(text))
}
