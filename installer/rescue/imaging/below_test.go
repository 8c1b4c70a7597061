package imaging

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/mountinfo"
)

// fakeKernel is a sysfs in a directory, and mounts.
type fakeKernel struct {
	t       *testing.T
	dir     string
	numbers map[string]string // by kernel name
	ways    map[string]string // below sys/devices
	mounts  map[string]mount  // by path
}

func newFakeKernel(t *testing.T) *fakeKernel {
	return &fakeKernel{t, t.TempDir(), map[string]string{}, map[string]string{}, map[string]mount{}}
}

// add adds a device that is made of others; below is the disk of a partition.
func (k *fakeKernel) add(number, way string, slaves ...string) {
	k.t.Helper()
	name := filepath.Base(way)
	dir := filepath.Join(k.dir, "devices", way)
	k.numbers[name], k.ways[name] = number, dir
	check(k.t, os.MkdirAll(filepath.Join(k.dir, "dev/block"), 0o755), os.MkdirAll(filepath.Join(dir, "slaves"), 0o755), os.Symlink(dir, filepath.Join(k.dir, "dev/block", number)))
	for _, s := range slaves {
		check(k.t, os.Symlink(k.ways[s], filepath.Join(dir, "slaves", s)))
	}
}

func (k *fakeKernel) write(name, text string) {
	k.t.Helper()
	check(k.t, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o600))
}

func (k *fakeKernel) kernel() kernel {
	return kernel{
		sys: k.dir,
		mountOf: func(path string) (mount, error) {
			m, ok := k.mounts[path]
			if !ok {
				return m, fs.ErrNotExist
			}
			return m, nil
		},
		number: func(path string) (string, bool) {
			n, ok := k.numbers[strings.TrimPrefix(path, "/dev/")]
			return n, ok
		},
	}
}

// towers is a machine with three disks: sda has a partition with LUKS and LVM in it,
// and halves of an array and of a btrfs, whose others are on sdb; sdc is alone.
func towers(t *testing.T) *fakeKernel {
	k := newFakeKernel(t)
	for i, disk := range []string{"sda", "sdb", "sdc"} {
		minor := string(rune('1' + i))
		k.add("8:"+minor+"0", "pci/"+disk)
		for p := range 3 {
			part := string(rune('1' + p))
			k.add("8:"+minor+part, "pci/"+disk+"/"+disk+part)
			k.write(filepath.Join(k.ways[disk+part], "partition"), part+"\n")
		}
	}
	k.add("253:0", "virtual/dm-0", "sda1")         // LUKS
	k.add("253:1", "virtual/dm-1", "dm-0")         // a volume of LVM in it
	k.add("9:0", "virtual/md0", "sda2", "sdb2")    // an array
	k.add("9:1", "virtual/md0/md0p1")              // and a partition of that
	k.add("7:0", "virtual/loop0")                  // a file on sda
	k.add("7:1", "virtual/loop1")                  // a partition of sda
	k.add("7:2", "virtual/loop2")                  // a file that is nowhere
	k.add("253:2", "virtual/dm-2", "sdc1", "dm-2") // no kernel has that
	k.write(filepath.Join(k.ways["md0p1"], "partition"), "1\n")
	k.write(filepath.Join(k.ways["loop0"], "loop/backing_file"), "/home/image\n")
	k.write(filepath.Join(k.ways["loop1"], "loop/backing_file"), "/dev/sda3\n")
	k.write(filepath.Join(k.ways["loop2"], "loop/backing_file"), "/tmp/image (deleted)\n")
	k.numbers["sdz"] = "65:144" // was pulled out
	devices := filepath.Join(k.dir, "fs/btrfs/8f7c/devices")
	check(t, os.MkdirAll(devices, 0o755), os.Symlink(k.ways["sda3"], filepath.Join(devices, "sda3")), os.Symlink(k.ways["sdb3"], filepath.Join(devices, "sdb3")))
	k.mounts["/home/image"] = mount{"253:1", "/dev/mapper/vg-home", "ext4"}
	return k
}

func TestElsewhere(t *testing.T) {
	for _, tt := range []struct {
		name   string
		read   string // what is saved
		number string // of the mount of the target
		source string
		on     bool
		kind   string // of the file system; "" is ext4
		untold string // part of the error where it cannot be told
	}{
		{"another disk", "sda", "8:31", "/dev/sdc1", false, "", ""},
		{"the disk itself", "sda", "8:10", "/dev/sda", true, "", ""},
		{"a partition of it", "sda", "8:11", "/dev/sda1", true, "", ""},
		{"another partition of its disk", "sda1", "8:12", "/dev/sda2", true, "", ""},
		{"LUKS on it", "sda", "253:0", "/dev/dm-0", true, "", ""},
		{"LVM in LUKS on it", "sda", "253:1", "/dev/mapper/vg-home", true, "", ""},
		{"LVM in LUKS on another disk", "sdb", "253:1", "/dev/mapper/vg-home", false, "", ""},
		{"an array with it", "sdb", "9:0", "/dev/md0", true, "", ""},
		{"a partition of an array with it", "sdb", "9:1", "/dev/md0p1", true, "", ""},
		{"an array without it", "sdc", "9:0", "/dev/md0", false, "", ""},
		{"a btrfs of two disks, by the other", "sdb", "0:40", "/dev/sda3", true, "", ""},
		{"a btrfs of two disks, neither it", "sdc", "0:40", "/dev/sda3", false, "", ""},
		{"a btrfs in memory", "sda", "0:41", "none", false, "tmpfs", ""},
		{"a list of devices", "sdc", "0:42", "/dev/sdb1:/dev/sdc1", true, "", ""},
		{"a node that is not there", "sda", "8:11", "/dev/root", true, "", ""},
		{"a loop device of a file on it", "sda", "7:0", "/dev/loop0", true, "", ""},
		{"a loop device of a partition of it", "sda", "7:1", "/dev/loop1", true, "", ""},
		{"a loop device of a file on another", "sdc", "7:0", "/dev/loop0", false, "", ""},
		{"LUKS is read, its disk is written", "dm-1", "8:13", "/dev/sda3", true, "", ""},
		{"LUKS is read, another disk is written", "dm-1", "8:33", "/dev/sdc3", false, "", ""},
		{"an image is read, its disk is written", "loop0", "8:13", "/dev/sda3", false, "", ""},
		{"a device that is made of itself", "sdc", "253:2", "/dev/dm-2", true, "", ""},
		{"an image in a file is read", "", "8:11", "/dev/sda1", false, "", ""},
		{"the network", "sda", "0:43", "server:/export", false, "nfs4", ""},
		{"a type that names no device", "sda", "0:44", "pool/home", false, "zfs", `is on "pool/home" of type "zfs"`},
		{"a file system of a program", "sda", "0:45", "1:2", false, "fuse.mergerfs", `of type "fuse.mergerfs"`},
		{"a btrfs whose node is gone", "sda", "0:46", "/dev/gone", false, "btrfs", `is on "/dev/gone"`},
		{"neither number nor source", "sda", "", "", false, "", `is on "" of type "ext4"`},
		{"a mount that cannot be found", "sda", "", "", false, "-", "file does not exist"},
		{"a loop device whose file cannot be found", "sda", "7:2", "/dev/loop2", false, "", "file does not exist"},
		{"a disk that is gone", "sdz", "8:31", "/dev/sdc1", false, "", "the kernel knows no device 65:144 any more"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := towers(t)
			dir := t.TempDir()
			if tt.kind != "-" {
				k.mounts[dir] = mount{tt.number, tt.source, cmp.Or(tt.kind, "ext4")}
			}
			d := &Disk{kernel: k.kernel(), device: k.rdev(tt.read)}
			err := d.elsewhere(dir)
			if tt.untold != "" {
				if fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "it cannot be told which disk this is on: ") || !strings.Contains(err.Error(), tt.untold) || fault.HintOf(err) == "" {
					t.Errorf("%v; want %s", err, tt.untold)
				}
				return
			}
			if got := err != nil; got != tt.on || got && (fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "is on the disk that is to be saved")) {
				t.Errorf("%v; want one: %v", err, tt.on)
			}
		})
	}
}

// rdev returns the number of a device as the kernel has it.
func (k *fakeKernel) rdev(name string) uint64 {
	major, minor, _ := strings.Cut(k.numbers[name], ":")
	parse := func(text string) (n uint32) {
		for _, c := range text {
			n = 10*n + uint32(c-'0')
		}
		return n
	}
	return unix.Mkdev(parse(major), parse(minor))
}

// TestOn has a disk as the target that is a part of what is read, or made of it.
func TestOn(t *testing.T) {
	k := towers(t)
	for _, tt := range []struct {
		read, target string
		on           bool
	}{{"sda", "sda", true}, {"sda1", "sda", true}, {"sda", "sdb", false}, {"dm-1", "sda", true}, {"dm-1", "sdb", false}, {"md0", "sdb", true}, {"sdb", "md0", true}, {"sdc", "md0", false}} {
		d := &Disk{kernel: k.kernel(), device: k.rdev(tt.read)}
		if got, err := d.on(k.numbers[tt.target]); got != tt.on || err != nil {
			t.Errorf("%s is on %s: %v, %v; want %v", tt.read, tt.target, got, err, tt.on)
		}
	}
}

// TestOnUntold: a disk of which it cannot be told what it is made of is no target.
func TestOnUntold(t *testing.T) {
	k := towers(t)
	d := &Disk{kernel: k.kernel(), device: k.rdev("sda")}
	if on, err := d.on(k.numbers["loop2"]); on || fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "it cannot be told") {
		t.Errorf("%v, %v", on, err)
	}
	if dir := d.kernel.directory(""); dir != "" {
		t.Errorf("a device without a number is %q", dir)
	}
}

// TestMountIn finds a mount by its number, or where the kernel does not tell that, by the
// device.
func TestMountIn(t *testing.T) {
	list := []mountinfo.Mount{{ID: "20", Number: "8:1", Type: "ext4", Source: "/dev/sda1"}, {ID: "21", Number: "8:2", Type: "xfs", Source: "/dev/sda2"}}
	for _, tt := range []struct {
		name string
		st   unix.Statx_t
		want mount
	}{
		{"by number", unix.Statx_t{Mask: unix.STATX_MNT_ID, Mnt_id: 21, Dev_major: 8, Dev_minor: 1}, mount{"8:2", "/dev/sda2", "xfs"}},
		{"no number is told", unix.Statx_t{Mnt_id: 21, Dev_major: 8, Dev_minor: 1}, mount{"8:1", "/dev/sda1", "ext4"}},
		{"a mount that is not seen", unix.Statx_t{Mask: unix.STATX_MNT_ID, Mnt_id: 22, Dev_major: 8, Dev_minor: 1}, mount{number: "8:1"}},
		{"a device that is not seen", unix.Statx_t{Dev_major: 8, Dev_minor: 3}, mount{number: "8:3"}},
	} {
		if got := mountIn(list, tt.st); got != tt.want {
			t.Errorf("%s: %+v; want %+v", tt.name, got, tt.want)
		}
	}
}
