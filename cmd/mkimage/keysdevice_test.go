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

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/flash"
	"github.com/6FaNcY9/mkimage/installer/keymedium"
	"github.com/6FaNcY9/mkimage/installer/keymedium/writer"
)

// edge is how much of the beginning and the end of a disk is emptied, in bytes.
const edge = 1 << 20

// fakeDevice is a file in the place of a device.
func fakeDevice(t *testing.T, size, sector int64) mediumDevice {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
	d := mediumDevice{&writeTarget{name: name}}
	var err error
	if d.disk, d.file, err = flash.OpenFile(name, os.O_RDWR); err != nil {
		t.Fatal(err)
	}
	d.disk.SectorSize = sector
	t.Cleanup(d.close)
	return d
}

// TestMediumDevice writes over a disk that was full of something.
func TestMediumDevice(t *testing.T) {
	m := &writer.Medium{File: config.KeyFile, Data: []byte("a key"), Now: time.Now()}
	for _, tt := range []struct {
		sector, more int64 // bytes; more than the least disk
	}{{512, -512}, {512, 0}, {512, 512}, {512, 4 << 20}, {4096, -4096}, {4096, 0}} {
		table, _, _, err := m.Plan(0, tt.sector)
		if err != nil {
			t.Fatal(err)
		}
		p := table.Partitions[0]
		size := p.Start + p.Size + tt.sector + 128*128 + tt.more // the backup table: a header, 128 entries
		d := fakeDevice(t, size, tt.sector)
		for at := int64(0); at < size; at += 64 << 10 {
			if _, err := d.disk.WriteAt(bytes.Repeat([]byte{0xaa}, int(min(64<<10, size-at))), at); err != nil {
				t.Fatal(err)
			}
		}
		n, err := d.write(t.Context(), m)
		if tt.more < 0 {
			first := make([]byte, edge)
			if _, e := d.disk.ReadAt(first, 0); fault.ClassOf(err) != fault.Target || e != nil || len(bytes.Trim(first, "\xaa")) > 0 {
				t.Errorf("%+v: %v, %v; want it refused and nothing written", tt, err, e)
			}
			continue
		}
		if err != nil || n != size {
			t.Errorf("%+v: %d, %v", tt, n, err)
		}
		name, data, err := keymedium.Read(io.NewSectionReader(d.disk, p.Start, p.Size), p.Size)
		if err != nil || name != m.File || !bytes.Equal(data, m.Data) {
			t.Errorf("%+v: the first boot reads %s, %q, %v", tt, name, data, err)
		}
		end := make([]byte, edge)
		if _, err := d.disk.ReadAt(end, size-edge); err != nil || bytes.Contains(end, []byte{0xaa, 0xaa}) {
			t.Errorf("%+v: the end is not emptied, %v", tt, err)
		}
	}
}

// TestReadBack damages a medium where it matters.
func TestReadBack(t *testing.T) {
	m := &writer.Medium{File: config.KeyFile, Data: []byte("a key that is long enough to be found"), Now: time.Now()}
	table, _, _, err := m.Plan(0, 512)
	if err != nil {
		t.Fatal(err)
	}
	d := fakeDevice(t, table.DiskSize, 512)
	if _, err := d.write(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(d.name)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(whole, m.Data)
	for name, at := range map[string]int{"primary table": 512, "backup table": len(whole) - 512, "boot sector": 1<<20 + 11, "key": at + 3} {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0xff
		if err := m.ReadBack(bytes.NewReader(damaged), table.DiskSize); fault.ClassOf(err) != fault.Mismatch {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := m.ReadBack(bytes.NewReader(whole), table.DiskSize); err != nil {
		t.Error(err)
	}
	for _, other := range []*writer.Medium{{File: config.KeyFile, Data: m.Data[1:]}, {File: config.KeyFileEncrypted, Data: m.Data}, {File: config.KeyFile, Data: append(bytes.Clone(m.Data), 'x')}} {
		if err := other.ReadBack(bytes.NewReader(whole), table.DiskSize); fault.ClassOf(err) != fault.Mismatch {
			t.Errorf("%s of %d bytes: %v", other.File, len(other.Data), err)
		}
	}
}

// TestRefuseMedium names the disk with one word.
func TestRefuseMedium(t *testing.T) {
	stick := disks.Disk{Name: "sdb", Path: "/dev/sdb", Serial: "4C53", Bus: "usb", Removable: true}
	full := stick
	full.Contents = []disks.Content{{Type: "btrfs"}}
	inner := full
	inner.Bus, inner.Removable = "nvme", false
	for _, tt := range []struct {
		name, erase, want, hint string
		about                   disks.Disk
	}{
		{"empty", "", "", "", stick},
		{"empty and named", "4C53", "", "", stick},
		{"full", "", "is not empty: btrfs", "if it is the disk you mean: --erase 4C53", full},
		{"full and named", "4C53", "", "", full},
		{"full, another serial number", "4C54", `--erase says "4C54", but this disk is "4C53"`, "", full},
		{"full, by its name", "sdb", `--erase says "sdb"`, "", full},
		{"built in", "", "is not a removable disk; is not empty: btrfs", "if it is the disk you mean: --erase 4C53", inner},
		{"built in and named", "4C53", "", "", inner},
		{"built in, another serial number", "4C54", `--erase says "4C54", but this disk is "4C53"`, "", inner},
	} {
		found := refuseMedium(tt.about, tt.erase)
		if tt.want == "" {
			if len(found) > 0 {
				t.Errorf("%s: %+v", tt.name, found)
			}
			continue
		}
		err := refusal(tt.about, found)
		if fault.ClassOf(err) != fault.Target || !strings.HasSuffix(err.Error(), "refused: "+tt.want) && tt.name != "full, by its name" || !strings.Contains(err.Error(), tt.want) || fault.HintOf(err) != tt.hint {
			t.Errorf("%s: %v, hint %q; want %q, %q", tt.name, err, fault.HintOf(err), tt.want, tt.hint)
		}
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
	if code, _, text := medium(); code != int(fault.Target) || !strings.Contains(text, "is not empty") {
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
	if code != int(fault.Target) || !strings.Contains(text, "is mounted at "+dir) {
		t.Errorf("mounted: %d, %s", code, text)
	}
	if out := command("blkid", "-p", "-o", "value", "-s", "TYPE", device); out != "btrfs" {
		t.Errorf("what was refused was written: %q", out)
	}
	if code, _, text := medium("--erase", name); code != 0 {
		t.Errorf("not mounted any more: %d, %s", code, text)
	}
}
