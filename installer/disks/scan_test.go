package disks_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/disks"
)

func scan(t testing.TB, s disks.Scanner) []disks.Disk {
	t.Helper()
	list, err := s.Scan(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func names(list []disks.Disk) []string {
	out := []string{}
	for _, d := range list {
		out = append(out, d.Name)
	}
	return out
}

func TestScan(t *testing.T) {
	m := laptop(t)
	m.write("udev/b259:2", "S:disk/by-id/x\nE:ID_SERIAL_SHORT=T5\\x2d82A1\nE:ID_BUS=usb\n")
	dev := func(name string) string { return filepath.Join(m.dir, "dev", name) }
	want := []disks.Disk{
		{Name: "nvme0n1", Path: dev("nvme0n1"), Number: "259:0", Diskseq: 9, Size: 1e12, SectorSize: 512, Bus: "nvme", Model: "WD_BLACK SN770 1TB", Serial: "22414Q800123", WWID: "eui.0025385b21404321"},
		{Name: "sda", Path: dev("sda"), Number: "259:1", Diskseq: 2, Size: 5e11, SectorSize: 4096, Bus: "sata", Model: "Samsung SSD 860", Serial: "S3Z8NB0K123456", WWID: "naa.5002538e40000001"},
		{Name: "sdb", Path: dev("sdb"), Number: "259:2", Diskseq: 11, Size: 1e12, SectorSize: 512, Bus: "usb", Model: "Samsung Portable SSD T5", Serial: "T5-82A1", Removable: true},
		{Name: "vda", Path: dev("vda"), Number: "259:3", Diskseq: 1, Size: 2e10, SectorSize: 512, Bus: "virtio", Model: "virtio", Serial: "target"},
	}
	if diff := cmp.Diff(want, scan(t, m.scanner())); diff != "" {
		t.Errorf("Scan (-want +got):\n%s", diff)
	}
	// Without a database of udev the serial number is that of the USB device, not
	// what its bridge to SCSI says.
	m.check(os.Remove(filepath.Join(m.dir, "udev/b259:2")))
	if got := scan(t, m.scanner())[2].Serial; got != "1234567D82A1" {
		t.Errorf("serial without udev: %q; want that of the USB device", got)
	}
}

func TestScanLeavesOut(t *testing.T) {
	tests := []struct {
		way        string
		attributes []string
		want       bool
	}{
		{"virtual/block/loop3", nil, false},
		{"virtual/block/ram0", nil, false},
		{"virtual/block/zram0", nil, false},
		{"virtual/block/dm-0", nil, false},
		{"virtual/block/md127", nil, false},
		{"virtual/block/md_d0", nil, false},
		{"platform/floppy.0/block/fd0", nil, false},
		{"pci0/mmc_host/mmc0/mmc0:0001/block/mmcblk0", nil, true},
		{"pci0/mmc_host/mmc0/mmc0:0001/block/mmcblk0boot1", nil, false},
		{"pci0/nvme/nvme0/nvme0c0n1", []string{"hidden=1"}, false},
		{"virtual/nvme-subsystem/nvme-subsys0/nvme0n1", []string{"hidden=0"}, true},
	}
	for _, tt := range tests {
		m := newMachine(t)
		m.block(tt.way, 1<<20, tt.attributes...)
		if got := len(scan(t, m.scanner())) == 1; got != tt.want {
			t.Errorf("%s: listed %v; want %v", tt.way, got, tt.want)
		}
	}
	m := newMachine(t)
	m.block("virtual/block/loop3", 1<<20)
	m.block("virtual/block/loop4", 0)
	s := m.scanner()
	s.Loop = true
	if got := names(scan(t, s)); !cmp.Equal(got, []string{"loop3"}) {
		t.Errorf("loop devices asked for: %q; want loop3", got)
	}
}

func TestScanOrder(t *testing.T) {
	m := newMachine(t)
	for _, name := range []string{"nvme10n1", "sdaa", "nvme2n1", "sdb"} {
		m.block("pci/"+name, 1<<20)
	}
	if diff := cmp.Diff([]string{"nvme2n1", "nvme10n1", "sdaa", "sdb"}, names(scan(t, m.scanner()))); diff != "" {
		t.Error(diff)
	}
}

func TestBusAndRemovable(t *testing.T) {
	tests := []struct {
		way        string
		attributes []string
		bus        string
		removable  bool
	}{
		{wayNVMe, nil, "nvme", false},
		{waySATA, nil, "sata", false},
		{wayUSB, nil, "usb", false},
		{wayVirtio, nil, "virtio", false},
		{"pci0/0000:00:14.0/usb2/2-1/2-1:1.0/0000:01:00.0/nvme/nvme0/nvme0n1", nil, "usb", false},
		{"pci0/virtio3/host6/target6:0:0/6:0:0:0/block/sda", nil, "scsi", false},
		{"platform/host7/session1/target7:0:0/7:0:0:0/block/sda", nil, "iscsi", false},
		{"virtual/nvme-fabrics/ctl/nvme0/nvme0n1", nil, "fabrics", false},
		{"pci0/mmc_host/mmc0/mmc0:0001/block/mmcblk0", []string{"device/type=MMC"}, "mmc", false},
		{"pci0/mmc_host/mmc0/mmc0:0001/block/mmcblk0", []string{"device/type=SD"}, "mmc", true},
		{waySATA, []string{"removable=1"}, "sata", true},
		{wayNVMe, []string{"../../../removable=removable"}, "nvme", true}, // behind Thunderbolt
		{wayNVMe, []string{"../../../removable=fixed"}, "nvme", false},
		{"virtual/block/nbd0", nil, "", false},
	}
	for _, tt := range tests {
		m := newMachine(t)
		m.block(tt.way, 1<<20, tt.attributes...)
		d := scan(t, m.scanner())[0]
		if d.Bus != tt.bus || d.Removable != tt.removable {
			t.Errorf("%s %q: bus %q, removable %v; want %q, %v", tt.way, tt.attributes, d.Bus, d.Removable, tt.bus, tt.removable)
		}
	}
}

// TestScanUnreadable wants a disk that cannot be opened in the list, with the
// partitions that the kernel knows of.
func TestScanUnreadable(t *testing.T) {
	m := newMachine(t)
	dir := m.block(waySATA, 1<<30)
	m.partition(dir, "sda1", 1, 1<<20, 1<<20)
	m.check(os.Remove(filepath.Join(m.dir, "dev/sda")))
	list := scan(t, m.scanner())
	if len(list) != 1 || list[0].Problem == "" || len(list[0].Partitions) != 1 {
		t.Errorf("got %+v; want sda with a problem and one partition", list)
	}
}

func TestUses(t *testing.T) {
	m := newMachine(t)
	dir := m.block(waySATA, 1<<30)
	m.partition(dir, "sda1", 1, 1<<20, 1<<20)
	root := m.partition(dir, "sda2", 2, 2<<20, 1<<20)
	m.partition(dir, "sda3", 3, 3<<20, 1<<20)
	m.partition(dir, "sda4", 4, 4<<20, 1<<20)
	m.partition(dir, "sda5", 5, 5<<20, 1<<20)
	m.partition(dir, "sda6", 6, 6<<20, 1<<20)
	md := m.block("virtual/block/md0", 1<<20)
	m.block("virtual/block/dm-0", 1<<20)
	m.attributes(root+"/holders/md0", "x=")
	m.attributes(md+"/holders/dm-0", "x=")
	m.block("virtual/block/loop7", 1<<20, "loop/backing_file=/dev/sda5")
	m.attributes("sys/fs/btrfs/8f7c/devices/sda6", "x=")
	m.attributes("sys/fs/btrfs/8f7c/devices/sda4", "x=")
	m.check(os.MkdirAll(filepath.Join(m.dir, "dev/disk/by-uuid"), 0o755))
	m.check(os.Symlink("../../sda4", filepath.Join(m.dir, "dev/disk/by-uuid/x")))
	m.write("proc/self/mountinfo", `26 1 0:30 /@ / rw shared:1 - btrfs /dev/disk/by-uuid/x rw
27 26 0:30 /@home /my\040home rw - btrfs /dev/sda4 rw
28 26 259:1 / /boot rw - vfat /dev/sda1 rw
29 26 259:1 / /boot rw - vfat /dev/sda1 rw
30 26 259:8 / /data rw - ext4 /dev/mapper/data rw
31 26 0:5 / /dev rw - devtmpfs udev rw
`)
	m.write("proc/swaps", "Filename\tType\n/dev/sda3 partition 1 0 -2\n/swap/file file 1 0 -3\n")
	want := []disks.Use{
		{Device: "sda1", Kind: "mount", By: "/boot"},
		{Device: "sda2", Kind: "holder", By: "md0"},
		{Device: "sda2", Kind: "holder", By: "dm-0"},
		{Device: "sda2", Kind: "mount", By: "/data"},
		{Device: "sda3", Kind: "swap", By: "swap"},
		{Device: "sda4", Kind: "mount", By: "/"},
		{Device: "sda4", Kind: "mount", By: "/my home"},
		{Device: "sda5", Kind: "holder", By: "loop7"},
		{Device: "sda6", Kind: "mount", By: "btrfs 8f7c"},
	}
	if diff := cmp.Diff(want, scan(t, m.scanner())[0].Uses); diff != "" {
		t.Errorf("Uses (-want +got):\n%s", diff)
	}
}

func TestOneImage(t *testing.T) {
	m := newMachine(t)
	m.node("x.img", 1<<20)
	name := filepath.Join(m.dir, "dev/x.img")
	m.block("virtual/block/loop0", 1<<20, "loop/backing_file="+name)
	d, err := m.scanner().One(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	want := disks.Disk{Name: "x.img", Path: name, Size: 1 << 20, SectorSize: 512, Bus: "file", Uses: []disks.Use{{Device: "x.img", Kind: "holder", By: "loop0"}}}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("One (-want +got):\n%s", diff)
	}
	for _, name := range []string{m.dir, "/dev/null", filepath.Join(m.dir, "none")} {
		if _, err := m.scanner().One(context.Background(), name); fault.ClassOf(err) != fault.Target {
			t.Errorf("One(%s): %v; want class target", name, err)
		}
	}
}
