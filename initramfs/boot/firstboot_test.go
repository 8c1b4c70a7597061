package boot

import (
	"bytes"
	"context"
	"errors"
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
	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

const mib = 1 << 20

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
	if _, err := top.Stat(testSwapfile + newSuffix); err == nil {
		d.t.Errorf("%s is left behind", newSuffix)
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

// TestFirstBoot writes an image to a disk of 3 GiB and boots it: everything is
// grown, once.
func TestFirstBoot(t *testing.T) {
	d := newDisk(t, 3*gib)
	before := d.swap()
	d.boot("ram", 512*mib, nil)
	d.wantLines("<6>grow partition /dev/DISKp2 from * to 3.0 GiB",
		"<6>swapfile @swap/swapfile enlarged from 1.0 MiB to 512.0 MiB (RAM by memory modules), in *",
		"<6>first boot finished")
	s := d.swap()
	if s.Size != 512*mib || s.UUID != before.UUID {
		t.Errorf("swapfile of %d bytes, UUID %s; want %d, %s", s.Size, s.UUID, 512*mib, before.UUID)
	}
	table := d.read()
	if p := table.Partitions[1]; p.Start+p.Size != 3*gib-mib || p.Attributes != 0 {
		t.Errorf("the root ends at %d with attributes %#x; want %d, 0", p.Start+p.Size, p.Attributes, 3*gib-mib)
	}
	d.boot("ram", 512*mib, nil)
	d.wantLines()
	if again := d.swap(); again.Offset != s.Offset {
		t.Errorf("offset %d after another boot; want %d", again.Offset, s.Offset)
	}
}

// TestFirstBootSameDisk boots an image on a disk of its own size.
func TestFirstBootSameDisk(t *testing.T) {
	d := newDisk(t, 0)
	d.boot("2097152", 0, nil)
	d.wantLines("<6>grow partition /dev/DISKp2 has * already",
		"<6>swapfile @swap/swapfile enlarged from 1.0 MiB to 2.0 MiB (as the layout says), in one piece", "<6>first boot finished")
	if s := d.swap(); s.Size != 2*mib {
		t.Errorf("swapfile of %d bytes; want %d", s.Size, 2*mib)
	}
}

// TestFirstBootAgain repeats a first boot that was cut at different points.
func TestFirstBootAgain(t *testing.T) {
	d := newDisk(t, 2*gib)
	failing := func(f *firstBoot) { f.ram = func() (int64, string, error) { return 0, "", os.ErrPermission } }
	d.boot("ram", 0, failing)
	d.wantLines("<6>grow partition *", "<4>swapfile @swap/swapfile: permission denied", "<4>first boot not finished: the next boot tries again")

	// A file that was not finished, and a kernel that knows the new table from
	// its start.
	dir := t.TempDir()
	if err := unix.Mount("/dev/"+d.name+"p2", dir, "btrfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, testSwapfile+newSuffix), make([]byte, 100*mib), 0o644); err != nil {
		t.Error(err)
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	d.detach()
	d.attach()
	d.boot("ram", 256*mib, func(f *firstBoot) {
		f.host.dev = t.TempDir() // the table cannot be changed any more
		for _, name := range []string{d.name, d.name + "p2"} {
			if err := os.Symlink("/dev/"+name, filepath.Join(f.host.dev, name)); err != nil {
				t.Fatal(err)
			}
		}
		open := f.open
		f.open = func(flag int) (rawDevice, error) {
			if err := os.Remove(filepath.Join(f.host.dev, d.name)); err != nil {
				t.Error(err)
			}
			return open(flag)
		}
	})
	d.wantLines("<6>grow partition * already", "<6>swapfile @swap/swapfile enlarged from 1.0 MiB to 256.0 MiB (RAM by memory modules), in *",
		"<4>first boot: open *: no such file or directory", "<4>first boot not finished: the next boot tries again")
	s := d.swap()
	d.boot("ram", 256*mib, nil)
	d.wantLines("<6>grow partition * already", "<6>swapfile @swap/swapfile has 256.0 MiB already", "<6>first boot finished")
	if again := d.swap(); *again != *s {
		t.Errorf("swapfile %+v after another boot; want %+v", again, s)
	}
}

// TestFirstBootRefusals goes on with the small swapfile where the large one is
// not possible, and does not try again.
func TestFirstBootRefusals(t *testing.T) {
	tests := []struct {
		name   string
		size   string
		change func(*firstBoot)
		want   string
	}{
		{"no room", "ram", nil, "<4>swapfile @swap/swapfile: no room for 900.0 MiB (RAM by memory modules): *; it keeps its 1.0 MiB"},
		{"no size", "x", nil, `<4>swapfile @swap/swapfile: size "x": *`},
		{"panic", "ram", func(f *firstBoot) { f.ram = func() (int64, string, error) { panic("oh") } }, "<4>swapfile @swap/swapfile: panic: oh*"},
		{"not read back", "2097152", func(f *firstBoot) {
			f.open = func(int) (rawDevice, error) { return memory(make([]byte, mib)), nil }
		}, "<4>swapfile @swap/swapfile: *"},
		{"another read back", "2097152", func(f *firstBoot) {
			open := f.open
			f.open = func(flag int) (rawDevice, error) {
				d, err := open(flag)
				return otherUUID{d}, err
			}
		}, "<4>swapfile @swap/swapfile: header at offset *"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDisk(t, 600*mib)
			d.boot(test.size, 900*mib, test.change)
			b := bench{t: t, lines: d.lines[1:2]}
			b.wantLines(test.want)
			last := "<6>first boot finished"
			if test.name == "panic" || test.name == "another read back" {
				last = "<4>first boot not finished: the next boot tries again"
			}
			if len(d.lines) != 3 || d.lines[2] != last {
				t.Errorf("console:\n%s\nexpected three lines, the last %q", strings.Join(d.lines, "\n"), last)
			}
			if s := d.swap(); s.Size != mib {
				t.Errorf("swapfile of %d bytes; want %d as before", s.Size, mib)
			}
		})
	}
}

// otherUUID is a device on which every swapfile has another UUID.
type otherUUID struct{ rawDevice }

func (d otherUUID) ReadAt(p []byte, at int64) (int, error) {
	n, err := d.rawDevice.ReadAt(p, at)
	if bytes.HasSuffix(p, []byte(swaparea.Signature)) {
		copy(p, swaparea.New(2*mib, ids.UUID{1}, ""))
	}
	return n, err
}

// TestWriteSwapfile makes one in a directory whose files are copied on write.
func TestWriteSwapfile(t *testing.T) {
	d := newDisk(t, 0)
	dir := t.TempDir()
	if err := unix.Mount("/dev/"+d.name+"p2", dir, "btrfs", 0, "compress-force=zstd"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, 0)
	name := filepath.Join(dir, "plain")
	if err := writeSwapfile(name, 8*mib, ids.UUID{7}); err != nil {
		t.Fatal(err)
	}
	imgtest.Swapon(t, name)
	imgtest.Swapoff(t, name)
	if err := writeSwapfile(name, 8*mib, ids.UUID{7}); !os.IsExist(err) {
		t.Errorf("over one that is there: %v; want a refusal", err)
	}
	if err := writeSwapfile(filepath.Join(dir, "large"), gib, ids.UUID{7}); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("one that does not fit: %v; want %v", err, unix.ENOSPC)
	}
}

// TestFirstBootSteps does what is asked alone.
func TestFirstBootSteps(t *testing.T) {
	d := newDisk(t, 600*mib)
	d.boot("ram", 8*mib, func(f *firstBoot) { f.steps = nil })
	d.wantLines("<6>first boot finished")
	if s := d.swap(); s.Size != mib {
		t.Errorf("swapfile of %d bytes; want %d as before", s.Size, mib)
	}
}

// TestNoFirstBoot leaves a disk alone on which there is nothing to do.
func TestNoFirstBoot(t *testing.T) {
	part := Device{Name: "none2", Disk: "none", Part: 2}
	grows := config.Config{FirstBoot: []string{config.StepGrow}}
	for name, m := range map[string]*machine{
		"no steps":       {root: part},
		"factory":        {root: part, config: grows, cmd: Cmdline{Factory: true}},
		"no partition":   {root: Device{Name: "none"}, config: grows},
		"no such device": {root: part, config: grows},
	} {
		if err := m.growPartition(); err != nil || m.first != nil {
			t.Errorf("%s: growPartition: %v, first boot %v; want none", name, err, m.first)
		}
		if warned := len(m.log.kept) > 0; warned != (name == "no such device") {
			t.Errorf("%s: console %q", name, m.log.kept)
		}
	}
}

// TestFirstBootOddTable tells of a table that cannot be changed safely, and
// does the rest.
func TestFirstBootOddTable(t *testing.T) {
	d := newDisk(t, 600*mib)
	d.table.Partitions[0].Start, d.table.Partitions[0].Size = 34*512, mib
	d.write()
	d.boot("2097152", 0, nil)
	const why = "partition table: the first partition starts in LBA 34; 32 sectors before it are needed to change the table safely, from LBA 34 on"
	d.wantLines("<4>grow partition: "+why, "<6>swapfile @swap/swapfile enlarged from 1.0 MiB to 2.0 MiB (as the layout says), in one piece",
		"<4>first boot: "+why, "<4>first boot not finished: the next boot tries again")
}

func TestSwapSize(t *testing.T) {
	ram := func() (int64, string, error) { return 8*gib - 1, "memory modules", nil }
	tests := []struct {
		in     string
		want   int64
		source string
		err    string
	}{
		{"none", 0, "", ""},
		{"40960", 40960, "as the layout says", ""},
		{"40959", 40960, "as the layout says", ""},
		{"36864", 0, "", "36864 bytes, expected 40960 to 17592186044416"},
		{"17592186044416", 1 << 44, "as the layout says", ""},
		{"17592186044417", 0, "", "expected none, a number"},
		{"ram", 8 * gib, "RAM by memory modules", ""},
		{"ram+0", 8 * gib, "RAM by memory modules", ""},
		{"ram+4098", 8*gib + 8192, "RAM by memory modules", ""},
		{"ram+17592186044416", 0, "", "expected 40960 to"},
		{"ram+", 0, "", "expected none"}, {"", 0, "", "expected none"}, {"-40960", 0, "", "expected none"}, {"1GiB", 0, "", "expected none"}, {"ram+ram", 0, "", "expected none"},
	}
	for _, test := range tests {
		got, source, err := swapSize(test.in, ram)
		if got != test.want || source != test.source && err == nil || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("swapSize(%q) = %d, %q, %v; want %d, %q, %q", test.in, got, source, err, test.want, test.source, test.err)
		}
	}
	if _, _, err := swapSize("ram", func() (int64, string, error) { return 0, "", os.ErrPermission }); err == nil {
		t.Error("swapSize without knowing the RAM: no error")
	}
}
