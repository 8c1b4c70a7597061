package disks_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/disks"
)

func TestWhole(t *testing.T) {
	m := newMachine(t)
	dir := m.block(wayNVMe, 1<<30, "wwid=eui.01", "device/serial=A1")
	m.block("virtual/block/dm-0", 1<<20, "dm/uuid=CRYPT-LUKS2-x")
	m.block("virtual/block/md0", 1<<20, "md/uuid=a:b")
	part := m.partition(dir, "nvme0n1p2", 2, 3<<20, 1<<20)
	m.check(os.Symlink("../../"+strings.TrimPrefix(part, "sys/"), filepath.Join(m.dir, "sys/dev/block/259:3")))
	dev := func(name string) string { return filepath.Join(m.dir, "dev", name) }
	disk := disks.Disk{Name: "nvme0n1", Path: dev("nvme0n1"), Number: "259:0", Size: 1 << 30, SectorSize: 512, Bus: "nvme", Serial: "A1", WWID: "eui.01"}
	for _, tt := range []struct {
		name  string
		minor uint32
		want  disks.Disk
		start int64
	}{
		{"disk", 0, disk, 0},
		{"LUKS", 1, disks.Disk{Name: "dm-0", Path: dev("dm-0"), Number: "259:1", Size: 1 << 20, SectorSize: 512, WWID: "CRYPT-LUKS2-x"}, 0},
		{"array", 2, disks.Disk{Name: "md0", Path: dev("md0"), Number: "259:2", Size: 1 << 20, SectorSize: 512, WWID: "a:b"}, 0},
		{"partition", 3, disk, 3 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, start, err := m.scanner().Whole(unix.Mkdev(259, tt.minor))
			m.check(err)
			if diff := cmp.Diff(tt.want, got); diff != "" || start != tt.start {
				t.Errorf("start %d; want %d (-want +got):\n%s", start, tt.start, diff)
			}
		})
	}
	if _, _, err := m.scanner().Whole(unix.Mkdev(259, 4)); err == nil || !strings.Contains(err.Error(), "no block device 259:4") {
		t.Errorf("a device that is not there: %v", err)
	}
}
