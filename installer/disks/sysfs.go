package disks

import (
	"cmp"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// sysfsSector is the unit of sizes in sysfs, whatever the disk's sector is
// (Documentation/ABI/stable/sysfs-block of Linux).
const sysfsSector = 512

// device is a block device in sysfs.
type device struct {
	name       string
	dir        string // below which its attributes are, with no symlink
	size       int64  // bytes
	hidden     bool
	partitions []kernelPartition // sorted by number
}

// kernelPartition is a partition as the kernel has it.
type kernelPartition struct {
	name        string
	number      int
	start, size int64 // bytes
}

// device finds a whole device in sysfs.
func (s *Scanner) device(name string) (*device, error) {
	dir, err := filepath.EvalSymlinks(filepath.Join(s.Sys, "block", name))
	if err != nil {
		return nil, err
	}
	b := &device{name: name, dir: dir, hidden: attribute(dir, "hidden") == "1"}
	if b.size, err = sectors(dir, "size"); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		sub := filepath.Join(dir, e.Name())
		n, err := strconv.Atoi(attribute(sub, "partition"))
		if !e.IsDir() || err != nil {
			continue
		}
		p := kernelPartition{name: e.Name(), number: n}
		if p.start, err = sectors(sub, "start"); err != nil {
			return nil, err
		}
		if p.size, err = sectors(sub, "size"); err != nil {
			return nil, err
		}
		b.partitions = append(b.partitions, p)
	}
	slices.SortFunc(b.partitions, func(a, b kernelPartition) int { return cmp.Compare(a.number, b.number) })
	return b, nil
}

// disk returns what sysfs and udev's database say of a device.
func (b *device) disk(s *Scanner) Disk {
	d := Disk{
		Name: b.name, Path: filepath.Join(s.Dev, nodeName(b.name)), Number: attribute(b.dir, "dev"), Size: b.size,
		Bus: b.bus(s), Model: b.model(), WWID: cmp.Or(attribute(b.dir, "wwid"), attribute(b.dir, "device/wwid")),
		Removable: b.removable(s), ReadOnly: attribute(b.dir, "ro") == "1",
	}
	d.Serial = b.serial(s, d.Number)
	d.Diskseq, _ = strconv.ParseUint(attribute(b.dir, "diskseq"), 10, 64)
	d.SectorSize = sysfsSector
	if n, err := strconv.ParseInt(attribute(b.dir, "queue/logical_block_size"), 10, 64); err == nil && n > 0 {
		d.SectorSize = n
	}
	return d
}

// nodeName returns the name of a node below /dev: sysfs has ! where the name
// has a slash, as in cciss!c0d0.
func nodeName(name string) string { return strings.ReplaceAll(name, "!", "/") }

// virtioBlock is the last part of the way to a disk of virtio-blk; those of
// virtio-scsi have a SCSI host behind it.
var virtioBlock = regexp.MustCompile(`/virtio[0-9]+(/block)?$`)

// bus names the bus by the device's ancestors. USB comes first: a bridge to
// SATA or NVMe has both.
func (b *device) bus(s *Scanner) string {
	parent := strings.TrimPrefix(filepath.Dir(b.dir), s.Sys)
	has := func(word string) bool { return strings.Contains(parent+"/", word) }
	switch {
	case usbAncestor.MatchString(parent):
		return "usb"
	case has("/nvme-fabrics/"):
		return "fabrics"
	case strings.HasPrefix(b.name, "nvme"):
		return "nvme"
	case has("/mmc_host/"):
		return "mmc"
	case ataAncestor.MatchString(parent):
		return "sata"
	case virtioBlock.MatchString(parent):
		return "virtio"
	case sessionAncestor.MatchString(parent):
		return "iscsi"
	case hostAncestor.MatchString(parent):
		return "scsi"
	case loopName.MatchString(b.name):
		return "loop"
	}
	return ""
}

// Names of ancestors in sysfs that tell a bus.
var (
	usbAncestor     = regexp.MustCompile(`/usb[0-9]+(/|$)`)
	ataAncestor     = regexp.MustCompile(`/ata[0-9]+(/|$)`)
	sessionAncestor = regexp.MustCompile(`/session[0-9]+(/|$)`)
	hostAncestor    = regexp.MustCompile(`/host[0-9]+(/|$)`)
)

// model returns what the disk calls itself.
func (b *device) model() string {
	// The vendor of a disk on SATA is the word ATA.
	vendor := attribute(b.dir, "device/vendor")
	if vendor == "ATA" || strings.HasPrefix(vendor, "0x") {
		vendor = ""
	}
	name := cmp.Or(attribute(b.dir, "device/model"), attribute(b.dir, "device/name")) // of SCSI and NVMe; of MMC
	if name == "" && virtioBlock.MatchString(filepath.Dir(b.dir)) {
		return "virtio"
	}
	return strings.TrimSpace(vendor + " " + name)
}

// serial returns the serial number: that of udev, which people see in lsblk,
// or what stands in sysfs.
func (b *device) serial(s *Scanner, number string) string {
	if data, err := os.ReadFile(filepath.Join(s.Udev, "b"+number)); err == nil {
		if serial := udevSerial(data); serial != "" {
			return serial
		}
	}
	for _, name := range []string{"device/serial", "serial"} { // NVMe and MMC, virtio
		if serial := attribute(b.dir, name); serial != "" {
			return serial
		}
	}
	if dir := b.ancestor(s, "idVendor"); dir != "" { // a device of USB
		if serial := attribute(dir, "serial"); serial != "" {
			return serial
		}
	}
	page, err := os.ReadFile(filepath.Join(b.dir, "device/vpd_pg80"))
	if err != nil {
		return ""
	}
	return vpdSerial(page)
}

// removable reports whether the disk can be taken out while the machine runs:
// the kernel says so of its medium, it is on a port that leads outside such as
// Thunderbolt (Documentation/ABI/testing/sysfs-devices-removable), or it is an SD
// card, which the kernel does not call removable.
func (b *device) removable(s *Scanner) bool {
	if attribute(b.dir, "removable") == "1" || attribute(b.dir, "device/type") == "SD" {
		return true
	}
	for dir := filepath.Dir(b.dir); s.inSys(dir); dir = filepath.Dir(dir) {
		if attribute(dir, "removable") == "removable" {
			return true
		}
	}
	return false
}

// ancestor returns the nearest directory above the device that has an
// attribute, or "".
func (b *device) ancestor(s *Scanner, name string) string {
	for dir := filepath.Dir(b.dir); s.inSys(dir); dir = filepath.Dir(dir) {
		if exists(filepath.Join(dir, name)) {
			return dir
		}
	}
	return ""
}

// inSys reports whether a directory is below that of sysfs.
func (s *Scanner) inSys(dir string) bool { return strings.HasPrefix(dir, s.Sys+"/") }

// maxAttribute is the size of the largest attribute of sysfs that is read as
// text, a page.
const maxAttribute = 4096

// attribute returns the text of an attribute, "" when there is none.
func attribute(dir, name string) string {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	buf := make([]byte, maxAttribute)
	n, err := f.Read(buf)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(buf[:n]), "\n")
	return strings.Trim(line, " \t\x00")
}

// sectors returns the bytes that an attribute gives in sectors.
func sectors(dir, name string) (int64, error) {
	text := attribute(dir, name)
	if text == "" {
		return 0, &fs.PathError{Op: "read", Path: filepath.Join(dir, name), Err: fs.ErrNotExist}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/sysfsSector {
		return 0, fmt.Errorf("%s: expected a number of sectors, found %q", filepath.Join(dir, name), text)
	}
	return n * sysfsSector, nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
