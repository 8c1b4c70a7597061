package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/keymedium"
)

// fakeDevice is a file in the place of a device.
func fakeDevice(t *testing.T, size, sector int64) *mediumDevice {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "disk"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return &mediumDevice{File: f, size: size, sector: sector}
}

// TestMediumDevice writes over a disk that was full of something.
func TestMediumDevice(t *testing.T) {
	m := &medium{file: config.KeyFile, data: []byte("a key"), now: time.Now()}
	for _, tt := range []struct {
		sector, more int64 // bytes; more than the least disk
	}{{512, -512}, {512, 0}, {512, 512}, {512, 4 << 20}, {4096, -4096}, {4096, 0}} {
		table, _, _, err := m.plan(0, tt.sector)
		if err != nil {
			t.Fatal(err)
		}
		p := table.Partitions[0]
		size := p.Start + p.Size + tt.sector + 128*128 + tt.more // the backup table: a header, 128 entries
		d := fakeDevice(t, size, tt.sector)
		for at := int64(0); at < size; at += 64 << 10 {
			if _, err := d.WriteAt(bytes.Repeat([]byte{0xaa}, int(min(64<<10, size-at))), at); err != nil {
				t.Fatal(err)
			}
		}
		n, err := d.write(t.Context(), m)
		if tt.more < 0 {
			if what, _ := d.content(); fault.ClassOf(err) != fault.Target || what != "there is data on it" {
				t.Errorf("%+v: %v, %s; want it refused and nothing written", tt, err, what)
			}
			continue
		}
		if err != nil || n != size {
			t.Errorf("%+v: %d, %v", tt, n, err)
		}
		if what, err := d.content(); err != nil || !strings.Contains(what, `it has 1 partitions "MKIMAGE-KEYS"`) {
			t.Errorf("%+v: %q, %v", tt, what, err)
		}
		name, data, err := keymedium.Read(io.NewSectionReader(d, p.Start, p.Size), p.Size)
		if err != nil || name != m.file || !bytes.Equal(data, m.data) {
			t.Errorf("%+v: the first boot reads %s, %q, %v", tt, name, data, err)
		}
		end := make([]byte, edge)
		if _, err := d.ReadAt(end, size-edge); err != nil || bytes.Contains(end, []byte{0xaa, 0xaa}) {
			t.Errorf("%+v: the end is not emptied, %v", tt, err)
		}
	}
}

// TestReadBack damages a medium where it matters.
func TestReadBack(t *testing.T) {
	m := &medium{file: config.KeyFile, data: []byte("a key that is long enough to be found"), now: time.Now()}
	table, _, _, err := m.plan(0, 512)
	if err != nil {
		t.Fatal(err)
	}
	d := fakeDevice(t, table.DiskSize, 512)
	if _, err := d.write(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(d.Name())
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(whole, m.data)
	for name, at := range map[string]int{"primary table": 512, "backup table": len(whole) - 512, "boot sector": 1<<20 + 11, "key": at + 3} {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0xff
		if err := m.readBack(bytes.NewReader(damaged), table.DiskSize); fault.ClassOf(err) != fault.Mismatch {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := m.readBack(bytes.NewReader(whole), table.DiskSize); err != nil {
		t.Error(err)
	}
	for _, other := range []*medium{{file: config.KeyFile, data: m.data[1:]}, {file: config.KeyFileEncrypted, data: m.data}, {file: config.KeyFile, data: append(bytes.Clone(m.data), 'x')}} {
		if err := other.readBack(bytes.NewReader(whole), table.DiskSize); fault.ClassOf(err) != fault.Mismatch {
			t.Errorf("%s of %d bytes: %v", other.file, len(other.data), err)
		}
	}
}

// TestContent is about what keeps a disk from being erased unasked.
func TestContent(t *testing.T) {
	for _, tt := range []struct {
		at   int64
		want string
	}{{-1, ""}, {0, "there is data on it"}, {edge - 1, "there is data on it"}, {edge, ""}, {8<<20 - edge - 1, ""}, {8<<20 - edge, "there is data on it"}, {8<<20 - 1, "there is data on it"}} {
		d := fakeDevice(t, 8<<20, 512)
		if tt.at >= 0 {
			if _, err := d.WriteAt([]byte{1}, tt.at); err != nil {
				t.Fatal(err)
			}
		}
		if what, err := d.content(); err != nil || what != tt.want {
			t.Errorf("a byte at %d: %q, %v; want %q", tt.at, what, err, tt.want)
		}
	}
}

func TestAllow(t *testing.T) {
	stick := diskAbout{name: "sdb", model: "Stick", serial: "4C53"}
	none := diskAbout{name: "loop3"}
	for _, tt := range []struct {
		name, erase, want string
		about             diskAbout
		full              bool
	}{
		{"empty", "", "", stick, false},
		{"empty and named", "4C53", "", stick, false},
		{"full", "", "is not empty: there is data on it; it is sdb, Stick, serial number 4C53", stick, true},
		{"full and named", "4C53", "", stick, true},
		{"full, another serial number", "4C54", `--erase says "4C54", but this disk is sdb, Stick`, stick, true},
		{"full, by its name", "sdb", `--erase says "sdb"`, stick, true},
		{"empty, another serial number", "4C54", `--erase says "4C54"`, stick, false},
		{"no serial number", "loop3", "", none, true},
		{"no serial number, another name", "loop4", `--erase says "loop4", but this disk is loop3, without a serial number`, none, true},
		{"partition", "4C53", "is a partition, expected a whole disk", diskAbout{name: "sdb1", serial: "4C53", part: true}, false},
	} {
		d := fakeDevice(t, 4<<20, 512)
		if tt.full {
			if _, err := d.WriteAt([]byte{1}, 0); err != nil {
				t.Fatal(err)
			}
		}
		err := d.allow(tt.about, "/dev/x", tt.erase)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
	d := fakeDevice(t, 4<<20, 512)
	if _, err := d.WriteAt([]byte{1}, 0); err != nil {
		t.Fatal(err)
	}
	if hint := fault.HintOf(d.allow(stick, "/dev/x", "")); hint != "--erase 4C53 erases all that is on it" {
		t.Errorf("hint %q", hint)
	}
}

// TestLookUp reads a sysfs and a database of udev that are made up.
func TestLookUp(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("sys/devices/usb1/block/sdb/device/model", "Stick  \n")
	write("sys/devices/usb1/block/sdb/sdb1/partition", "1\n")
	write("sys/devices/nvme/nvme0n1/device/serial", "S123 \n")
	write("sys/devices/virtual/vda/serial", "V9\n")
	write("udev/b8:16", "S:disk/by-id/usb-Stick\nE:ID_SERIAL=Stick_4C53\nE:ID_SERIAL_SHORT=4C53\n")
	for number, dir := range map[string]string{"8:16": "usb1/block/sdb", "8:17": "usb1/block/sdb/sdb1", "259:0": "nvme/nvme0n1", "254:0": "virtual/vda"} {
		link := filepath.Join(root, "sys/dev/block", number)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../../devices/"+dir, link); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		major, minor uint32
		want         diskAbout
	}{
		{8, 16, diskAbout{name: "sdb", model: "Stick", serial: "4C53"}},
		{8, 17, diskAbout{name: "sdb1", part: true}},
		{259, 0, diskAbout{name: "nvme0n1", serial: "S123"}},
		{254, 0, diskAbout{name: "vda", serial: "V9"}},
	} {
		got, err := lookUp(filepath.Join(root, "sys"), filepath.Join(root, "udev"), unix.Mkdev(tt.major, tt.minor))
		if err != nil || got != tt.want {
			t.Errorf("%d:%d: %+v, %v; want %+v", tt.major, tt.minor, got, err, tt.want)
		}
	}
	if _, err := lookUp(filepath.Join(root, "sys"), root, unix.Mkdev(1, 2)); err == nil {
		t.Error("a device that is not there")
	}
}

// TestKeysMediumLoop writes to a real block device.
func TestKeysMediumLoop(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "losetup", "blkid", "mkfs.btrfs", "mount")
	f := newKeysFixture(t)
	file := f.write("disk", nil)
	if err := os.Truncate(file, 128<<20); err != nil {
		t.Fatal(err)
	}
	command := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	device := command("losetup", "--find", "--show", file)
	defer command("losetup", "--detach", device)
	medium := func(more ...string) (int, string, string) {
		return f.run(append([]string{"keys", "medium", device, "--key", f.key, "--plain"}, more...)...)
	}
	if code, out, text := medium(); code != 0 || !strings.Contains(out, "128.0 MiB") {
		t.Fatalf("empty: %d, %s%s", code, out, text)
	}
	if out := command("blkid", "-p", "-o", "value", "-s", "PTTYPE", device); out != "gpt" {
		t.Errorf("blkid says %q", out)
	}
	if code, _, text := medium(); code != int(fault.Target) || !strings.Contains(text, `it has 1 partitions "MKIMAGE-KEYS"`) {
		t.Errorf("a second time: %d, %s", code, text)
	}
	name := filepath.Base(device)
	if code, _, text := medium("--erase", name); code != 0 {
		t.Errorf("erased by its name: %d, %s", code, text)
	}
	command("mkfs.btrfs", "-q", "-f", device)
	dir := t.TempDir()
	command("mount", device, dir)
	code, _, text := medium("--erase", name)
	command("umount", dir)
	if code != int(fault.Target) || !strings.Contains(text, device+": is in use") {
		t.Errorf("mounted: %d, %s", code, text)
	}
	if out := command("blkid", "-p", "-o", "value", "-s", "TYPE", device); out != "btrfs" {
		t.Errorf("what was refused was written: %q", out)
	}
	if code, _, text := medium("--erase", name); code != 0 {
		t.Errorf("not mounted any more: %d, %s", code, text)
	}
}
