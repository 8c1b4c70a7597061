package disks_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/installer/disks"
)

// machine is a recorded machine in a temporary folder: a sysfs, a procfs, nodes
// that are sparse files, and a database of udev.
type machine struct {
	t     testing.TB
	dir   string
	minor int
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir()}
	m.write("proc/self/mountinfo", "21 26 0:20 / /proc rw - proc proc rw\n")
	m.write("proc/swaps", "Filename Type Size Used Priority\n")
	for _, dir := range []string{"sys/block", "sys/dev/block", "dev", "udev"} {
		m.check(os.MkdirAll(filepath.Join(m.dir, dir), 0o755))
	}
	return m
}

func (m *machine) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) scanner() disks.Scanner {
	in := func(name string) string { return filepath.Join(m.dir, name) }
	return disks.Scanner{Sys: in("sys"), Proc: in("proc"), Dev: in("dev"), Udev: in("udev")}
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	m.check(os.MkdirAll(filepath.Dir(filepath.Join(m.dir, name)), 0o755))
	m.check(os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o644))
}

// block adds a device by its way below /sys/devices, whose last part is its
// name, with attributes as NAME=TEXT, and a node of the size. It returns the way.
func (m *machine) block(way string, size int64, attributes ...string) string {
	m.t.Helper()
	name := filepath.Base(way)
	number := fmt.Sprintf("259:%d", m.minor)
	m.minor++
	dir := "sys/devices/" + way
	m.attributes(dir, append([]string{"dev=" + number, fmt.Sprintf("size=%d", size/512), "ro=0", "removable=0"}, attributes...)...)
	target, err := filepath.Rel(filepath.Join(m.dir, "sys/block"), filepath.Join(m.dir, dir))
	m.check(err)
	m.check(os.Symlink(target, filepath.Join(m.dir, "sys/block", name)))
	m.check(os.Symlink("../"+target, filepath.Join(m.dir, "sys/dev/block", number)))
	m.node(name, size)
	return dir
}

func (m *machine) node(name string, size int64) {
	m.t.Helper()
	f, err := os.Create(filepath.Join(m.dir, "dev", name))
	m.check(err)
	m.check(f.Truncate(size))
	m.check(f.Close())
}

func (m *machine) attributes(dir string, list ...string) {
	m.t.Helper()
	for _, a := range list {
		name, text, _ := strings.Cut(a, "=")
		m.write(filepath.Join(dir, name), text+"\n")
	}
}

// partition adds a partition of a device.
func (m *machine) partition(dir, name string, number int, start, size int64) string {
	m.t.Helper()
	sub := filepath.Join(dir, name)
	m.attributes(sub, fmt.Sprintf("partition=%d", number), fmt.Sprintf("start=%d", start/512), fmt.Sprintf("size=%d", size/512), fmt.Sprintf("dev=259:%d", m.minor))
	m.minor++
	m.node(name, size)
	return sub
}

// put writes bytes onto a node.
func (m *machine) put(name string, at int64, text string) {
	m.t.Helper()
	f, err := os.OpenFile(filepath.Join(m.dir, "dev", name), os.O_WRONLY, 0)
	m.check(err)
	_, err = f.WriteAt([]byte(text), at)
	m.check(err)
	m.check(f.Close())
}

// Ways of real machines.
const (
	wayNVMe   = "pci0000:00/0000:00:02.4/0000:02:00.0/nvme/nvme0/nvme0n1"
	wayNVMe2  = "pci0000:00/0000:00:02.5/0000:03:00.0/nvme/nvme1/nvme1n1"
	waySATA   = "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda"
	wayUSB    = "pci0000:00/0000:00:14.0/usb2/2-3/2-3:1.0/host2/target2:0:0/2:0:0:0/block/sdb"
	wayVirtio = "pci0000:00/0000:00:05.0/virtio2/block/vda"
	wayReader = "pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.0/host3/target3:0:0/3:0:0:0/block/sdc"
)

// laptop is a machine with one disk of each kind.
func laptop(t testing.TB) *machine {
	t.Helper()
	m := newMachine(t)
	const gb = 1000 * 1000 * 1000
	m.block(wayNVMe, 1000*gb, "wwid=eui.0025385b21404321", "diskseq=9", "device/model=WD_BLACK SN770 1TB                      ", "device/serial=22414Q800123        ")
	m.block(waySATA, 500*gb, "diskseq=2", "device/vendor=ATA     ", "device/model=Samsung SSD 860 ", "device/wwid=naa.5002538e40000001", "queue/logical_block_size=4096")
	m.write("sys/devices/"+waySATA+"/device/vpd_pg80", "\x00\x80\x00\x14      S3Z8NB0K123456")
	m.block(wayUSB, 1000*gb, "diskseq=11", "device/vendor=Samsung ", "device/model=Portable SSD T5 ")
	m.attributes("sys/devices/pci0000:00/0000:00:14.0/usb2/2-3", "idVendor=04e8", "serial=1234567D82A1", "removable=removable")
	m.write("sys/devices/"+wayUSB+"/device/vpd_pg80", "\x00\x80\x00\x04brid")
	m.block(wayVirtio, 20*gb, "serial=target", "diskseq=1")
	m.block(wayReader, 0, "removable=1", "device/vendor=Generic ", "device/model=SD/MMC ")
	return m
}
