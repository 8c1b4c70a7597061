package boot

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/gpt/grow"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/swapfile"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

var (
	espType  = ids.UUID{0xc1, 0x2a, 0x73, 0x28, 0xf8, 0x1f, 0x11, 0xd2, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}
	rootType = ids.UUID{0x4f, 0x68, 0xbc, 0xe3, 0xe8, 0xcd, 0x4d, 0xb1, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09}
)

// newDisk is a disk of a size that an image was written to: an ESP without a
// file system, and a root with a swapfile of 1 MiB in 200 MiB of free space,
// whose first boot is still to come. It returns a loop device of it whose
// second partition the kernel knows.
func newDisk(t *testing.T, size int64) *disk {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "losetup", "btrfs")
	f, err := os.Create(filepath.Join(t.TempDir(), "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const start = 2 * mib
	seed := ids.Seed{9}
	result, err := btrfs.Write(context.Background(), &offsetWriter{f, start}, fstree.New(), btrfs.Params{
		Seed: seed, Free: 200 * mib, Swapfiles: []btrfs.Swapfile{{Path: testSwapfile, Size: mib}}})
	if err != nil {
		t.Fatal(err)
	}
	table, err := gpt.Place(gpt.Table{GUID: seed.UUID("disk"), SectorSize: 512, Partitions: []gpt.Partition{
		{Type: espType, GUID: seed.UUID("esp"), Label: "ESP", Size: mib},
		{Type: rootType, GUID: seed.UUID("root"), Label: "nixos", Start: start, Size: result.Size, Attributes: 1 << grow.AttributeGrow},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := gpt.Write(f, table); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(max(size, table.DiskSize)); err != nil {
		t.Fatal(err)
	}
	d := &disk{t: t, image: f.Name(), table: table}
	d.attach()
	return d
}

// disk is a disk with the laptop's partitions.
type disk struct {
	t     *testing.T
	image string
	table gpt.Table // as the image has it
	name  string    // of its loop device
	lines []string  // on the console
}

// attach gives the image a loop device and tells the kernel of the root, as
// one that knows partition tables finds it by itself.
func (d *disk) attach() {
	d.t.Helper()
	out, err := exec.Command("losetup", "--find", "--show", "--partscan", d.image).Output()
	if err != nil {
		d.t.Fatalf("losetup: %v", err)
	}
	d.name = filepath.Base(strings.TrimSpace(string(out)))
	d.t.Cleanup(d.detach)
	if _, err := os.Stat("/sys/class/block/" + d.name + "p2"); err == nil {
		return
	}
	p := d.read().Partitions[1]
	part := unix.BlkpgPartition{Start: p.Start, Length: p.Size, Pno: 2}
	d.blkpg(unix.BLKPG_ADD_PARTITION, &part)
}

func (d *disk) blkpg(op int32, part *unix.BlkpgPartition) {
	d.t.Helper()
	f, err := os.OpenFile("/dev/"+d.name, os.O_RDWR, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	arg := unix.BlkpgIoctlArg{Op: op, Datalen: int32(unsafe.Sizeof(*part)), Data: (*byte)(unsafe.Pointer(part))}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKPG, uintptr(unsafe.Pointer(&arg))); errno != 0 {
		d.t.Fatalf("BLKPG %d: %v", op, errno)
	}
}

// detach takes the loop device away.
func (d *disk) detach() {
	if d.name == "" {
		return
	}
	if out, err := exec.Command("losetup", "--detach", "/dev/"+d.name).CombinedOutput(); err != nil {
		d.t.Errorf("losetup --detach: %v\n%s", err, out)
	}
	d.name = ""
}

// write writes the table anew.
func (d *disk) write() {
	d.t.Helper()
	f, err := os.OpenFile(d.image, os.O_RDWR, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if err := gpt.Write(f, d.table); err != nil {
		d.t.Fatal(err)
	}
}

// read returns the table, which must be usable.
func (d *disk) read() gpt.Table {
	d.t.Helper()
	f, err := os.Open(d.image)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		d.t.Fatal(err)
	}
	table, _, err := gpt.Read(f, st.Size())
	if err != nil {
		d.t.Fatal(err)
	}
	return *table
}

// boot does both steps, as a boot does them. size is that of config.Swapfile.
func (d *disk) boot(size string, ram int64, change func(*firstBoot)) {
	d.t.Helper()
	h := host{"/sys", "/dev"}
	root, err := h.identify(d.name + "p2")
	if err != nil || root.Problem != "" || root.PartLabel != "nixos" {
		d.t.Fatalf("identify: %v, %+v", err, root)
	}
	d.lines = nil
	f := &firstBoot{
		steps: []string{config.StepGrow, config.StepSwapfile}, swapfile: &config.Swapfile{Path: testSwapfile, Size: size},
		host: h, root: root, dir: filepath.Join(d.t.TempDir(), "run/first-boot"),
		ram:  func() (int64, string, error) { return ram, "memory modules", nil },
		open: func(flag int) (rawDevice, error) { return openRaw(root.Path(), flag) },
		log: func(level int, format string, args ...any) {
			d.lines = append(d.lines, strings.ReplaceAll(fmt.Sprintf("<%d>", level)+fmt.Sprintf(format, args...), d.name, "DISK"))
		},
	}
	if change != nil {
		change(f)
	}
	m := machine{}
	if f.start() {
		m.first = f
	}
	if err := m.firstBoot(); err != nil || m.first != nil {
		d.t.Errorf("firstBoot: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(f.dir)); !os.IsNotExist(err) {
		d.t.Errorf("%s is left behind", filepath.Dir(f.dir))
	}
}

// wantLines compares the console.
func (d *disk) wantLines(want ...string) {
	d.t.Helper()
	b := bench{t: d.t, lines: d.lines}
	b.wantLines(want...)
}

// swap returns the swapfile as the reader finds it, and proves with the tools
// of others that all is as it should be: file system, offset, use as swap.
func (d *disk) swap() *reader.Swapfile {
	d.t.Helper()
	node := "/dev/" + d.name + "p2"
	if out, err := exec.Command("btrfs", "check", "--readonly", node).CombinedOutput(); err != nil {
		d.t.Errorf("btrfs check: %v\n%s", err, out)
	}
	raw, err := openRaw(node, os.O_RDONLY)
	if err != nil {
		d.t.Fatal(err)
	}
	defer raw.Close()
	fs, err := reader.Open(raw, raw.Size())
	if err != nil {
		d.t.Fatal(err)
	}
	if got := int64(fs.Super().TotalBytes); got != raw.Size()/4096*4096 {
		d.t.Errorf("the file system has %d bytes of %d", got, raw.Size())
	}
	top, err := fs.Subvolume("")
	if err != nil {
		d.t.Fatal(err)
	}
	s, err := top.Swapfile(testSwapfile)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := top.Stat(testSwapfile + swapfile.Suffix); err == nil {
		d.t.Errorf("%s is left behind", swapfile.Suffix)
	}
	dir := d.t.TempDir()
	if err := unix.Mount(node, dir, "btrfs", 0, ""); err != nil {
		d.t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			d.t.Errorf("unmount: %v", err)
		}
	}()
	name := filepath.Join(dir, testSwapfile)
	if got := imgtest.SwapfileOffset(d.t, name); got != s.Offset {
		d.t.Errorf("btrfs inspect-internal map-swapfile: %d; the reader: %d", got, s.Offset)
	}
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
		d.t.Errorf("mode %v, %v; want 0600", st.Mode(), err)
	}
	imgtest.Swapon(d.t, name)
	imgtest.Swapoff(d.t, name)
	return s
}
