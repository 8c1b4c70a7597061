package disks_test

import (
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/disks"
)

func one(t testing.TB, name string) disks.Disk {
	t.Helper()
	d, err := disks.Scanner{}.One(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	if d.Problem != "" {
		t.Fatalf("%s: %s", name, d.Problem)
	}
	return d
}

// file makes a sparse file with pieces of text in it.
func file(t testing.TB, size int64, pieces ...piece) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk.img")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces {
		at := p.at
		if at < 0 {
			at += size
		}
		if _, err := f.WriteAt([]byte(p.text), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

type piece struct {
	at   int64 // from the end where negative
	text string
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// blkid returns what blkid says of an image: of one that it does not know an
// empty type.
func blkid(t testing.TB, name string) disks.Content {
	t.Helper()
	out, _ := exec.Command("blkid", "-p", "-o", "export", name).Output()
	var c disks.Content
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.ReplaceAll(value, `\ `, " ")
		switch key {
		case "TYPE":
			c.Type = value
		case "UUID":
			c.UUID = value
		case "LABEL":
			c.Label = value
		}
	}
	return c
}

// TestContentOfMkfs compares with blkid what the programs make that make file
// systems.
func TestContentOfMkfs(t *testing.T) {
	tests := []struct {
		name string
		size int64
		cmd  []string
	}{
		{"btrfs", 128 << 20, []string{"mkfs.btrfs", "-q", "-L", "my data"}},
		{"ext2", 8 << 20, []string{"mke2fs", "-q", "-F", "-t", "ext2", "-L", "two"}},
		{"ext3", 8 << 20, []string{"mke2fs", "-q", "-F", "-t", "ext3", "-L", "sixteen letters!"}},
		{"ext4", 8 << 20, []string{"mke2fs", "-q", "-F", "-t", "ext4"}},
		{"journal", 8 << 20, []string{"mke2fs", "-q", "-F", "-O", "journal_dev"}},
		{"fat12", 1 << 20, []string{"mkfs.vfat", "-F", "12", "-n", "SMALL"}},
		{"fat16", 16 << 20, []string{"mkfs.vfat", "-F", "16", "-n", "MEDIUM"}},
		{"fat32", 64 << 20, []string{"mkfs.vfat", "-F", "32", "-n", "BIG STICK"}},
		{"fat32 without a label", 64 << 20, []string{"mkfs.vfat", "-F", "32"}},
		{"fat32 of 4096", 300 << 20, []string{"mkfs.vfat", "-F", "32", "-S", "4096", "-n", "FOURK"}},
		{"swap", 1 << 20, []string{"mkswap", "-q", "-L", "pages"}},
		{"swap of large pages", 1 << 20, []string{"mkswap", "-q", "-p", "65536"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			imgtest.Need(t, tt.cmd[0], "blkid")
			name := file(t, tt.size)
			run(t, tt.cmd[0], append(tt.cmd[1:], name)...)
			d := one(t, name)
			if len(d.Contents) != 1 || d.Table != "" || len(d.Partitions) != 0 {
				t.Fatalf("got %+v; want one content", d)
			}
			if d.Contents[0].Problem != "" {
				t.Error(d.Contents[0].Problem)
			}
			if diff := cmp.Diff(blkid(t, name), d.Contents[0], cmpopts.IgnoreFields(disks.Content{}, "Offset", "Subvolumes")); diff != "" {
				t.Errorf("(-blkid +got):\n%s", diff)
			}
		})
	}
}

const uuid = "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef"
const uuidText = "01234567-89ab-cdef-0123-456789abcdef"

func pad(n int, text string) string { return text + strings.Repeat("\x00", n-len(text)) }

func le(values ...any) string {
	var out []byte
	for _, v := range values {
		var err error
		if out, err = binary.Append(out, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return string(out)
}

// signed are images with the signature of a file system alone, and what stands
// in it. size is 16 MiB.
var signed = []struct {
	name   string
	pieces []piece
	want   disks.Content
}{
	{"xfs", []piece{{0, "XFSB"}, {32, uuid}, {108, "twelve chars"}}, disks.Content{Type: "xfs", UUID: uuidText, Label: "twelve chars"}},
	{"f2fs", []piece{{0x400, "\x10\x20\xf5\xf2"}, {0x46c, uuid}, {0x47c, "f\x002\x00"}}, disks.Content{Type: "f2fs", UUID: uuidText, Label: "f2", Offset: 0x400}},
	{"f2fs, second copy", []piece{{0x1400, "\x10\x20\xf5\xf2"}}, disks.Content{Type: "f2fs", Offset: 0x1400}},
	{"bcachefs", []piece{{4096 + 24, "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"}, {4096 + 56, uuid}, {4096 + 72, "cached"}}, disks.Content{Type: "bcachefs", UUID: uuidText, Label: "cached", Offset: 4096 + 24}},
	{"bcache", []piece{{4096 + 24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"}, {4096 + 40, uuid}}, disks.Content{Type: "bcache", UUID: uuidText, Offset: 4096 + 24}},
	{"zfs", []piece{{132 << 10, le(uint64(0x00bab10c))}}, disks.Content{Type: "zfs_member", Offset: 132 << 10}},
	{"zfs, big-endian at the end", []piece{{-1024, "\x00\x00\x00\x00\x00\xba\xb1\x0c"}}, disks.Content{Type: "zfs_member", Offset: 16<<20 - 1024}},
	{"erofs", []piece{{1024, "\xe2\xe1\xf5\xe0"}, {1024 + 48, uuid}, {1024 + 64, "ro"}}, disks.Content{Type: "erofs", UUID: uuidText, Label: "ro", Offset: 1024}},
	{"squashfs", []piece{{0, "hsqs"}, {28, le(uint16(4), uint16(0))}}, disks.Content{Type: "squashfs"}},
	{"apfs", []piece{{32, "NXSB"}, {72, uuid}}, disks.Content{Type: "apfs", UUID: uuidText, Offset: 32}},
	{"hfsplus", []piece{{1024, "H+\x00\x04"}}, disks.Content{Type: "hfsplus", Offset: 1024}},
	{"jfs", []piece{{32 << 10, "JFS1"}, {32<<10 + 136, uuid}, {32<<10 + 152, "j"}}, disks.Content{Type: "jfs", UUID: uuidText, Label: "j", Offset: 32 << 10}},
	{"reiserfs", []piece{{64<<10 + 52, "ReIsEr2Fs"}, {64<<10 + 84, uuid}, {64<<10 + 100, "killer"}}, disks.Content{Type: "reiserfs", UUID: uuidText, Label: "killer", Offset: 64<<10 + 52}},
	{"exfat", []piece{{3, "EXFAT   "}, {0x58, le(uint32(128))}, {0x60, le(uint32(5))}, {0x64, "\x78\x56\x34\x12"}, {0x6c, "\x09\x03"}, {510, "\x55\xaa"},
		{128*512 + 3*4096, "\x83\x02B\x00X\x00"}}, disks.Content{Type: "exfat", UUID: "1234-5678", Label: "BX"}},
	{"ntfs", []piece{{3, "NTFS    "}, {0x0b, "\x00\x02\x08"}, {0x30, le(uint64(4))}, {0x40, "\xf6"}, {0x48, le(uint64(0xabcdef0123456789))}, {510, "\x55\xaa"},
		{4*4096 + 3*1024, "FILE"}, {4*4096 + 3*1024 + 20, le(uint16(56))}, {4*4096 + 3*1024 + 56, le(uint32(0x30), uint32(24))},
		{4*4096 + 3*1024 + 80, le(uint32(0x60), uint32(32), uint64(0), uint32(4), uint16(24)) + "\x00\x00W\x00D\x00"}}, disks.Content{Type: "ntfs", UUID: "ABCDEF0123456789", Label: "WD"}},
	{"BitLocker", []piece{{3, "-FVE-FS-"}, {510, "\x55\xaa"}}, disks.Content{Type: "BitLocker", Offset: 3}},
	{"iso9660", []piece{{32 << 10, "\x01CD001\x01"}, {32<<10 + 40, pad(32, "DEBIAN 13")}, {32<<10 + 830, "2024122507080900"}}, disks.Content{Type: "iso9660", Label: "DEBIAN 13", UUID: "2024-12-25-07-08-09-00", Offset: 32<<10 + 1}},
	{"udf", []piece{{32<<10 + 2049, "NSR03"}}, disks.Content{Type: "udf", Offset: 32<<10 + 2049}},
	{"hibernated swap", []piece{{4086, "S1SUSPEND\x00"}, {1024, le(uint32(1))}, {1036, uuid}, {1052, "sw"}}, disks.Content{Type: "swsuspend", UUID: uuidText, Label: "sw", Offset: 4086, Hibernated: true}},
	{"LUKS1", []piece{{0, "LUKS\xba\xbe\x00\x01"}, {168, uuidText}}, disks.Content{Type: "crypto_LUKS", UUID: uuidText}},
	{"LUKS2", []piece{{0, "LUKS\xba\xbe\x00\x02"}, {168, uuidText}, {24, "secret"}}, disks.Content{Type: "crypto_LUKS", UUID: uuidText, Label: "secret"}},
	{"LUKS2, second header", []piece{{32 << 10, "SKUL\xba\xbe\x00\x02"}, {32<<10 + 168, uuidText}}, disks.Content{Type: "crypto_LUKS", UUID: uuidText, Offset: 32 << 10}},
	{"LUKS of the future", []piece{{0, "LUKS\xba\xbe\x00\x03"}}, disks.Content{Type: "crypto_LUKS"}},
	{"LVM2", []piece{{512, "LABELONE"}, {512 + 20, le(uint32(32)) + "LVM2 001"}, {544, "abcdefghijklmnopqrstuvwxyzABCDEF"}}, disks.Content{Type: "LVM2_member", UUID: "abcdef-ghij-klmn-opqr-stuv-wxyz-ABCDEF", Offset: 512}},
	{"md 0.90", []piece{{-64 << 10, le(uint32(0xa92b4efc), uint32(0), uint32(90), uint32(0), uint32(0), uint32(0x01234567)) + strings.Repeat("\x00", 28) + le(uint32(0x89abcdef), uint32(0x01234567), uint32(0x89abcdef))}}, disks.Content{Type: "linux_raid_member", UUID: uuidText, Offset: 16<<20 - 64<<10}},
	{"md 1.0", []piece{{-8192, le(uint32(0xa92b4efc), uint32(1))}, {-8192 + 16, uuid + "host:0"}, {-8192 + 144, le(uint64((16<<20 - 8192) / 512))}}, disks.Content{Type: "linux_raid_member", UUID: uuidText, Label: "host:0", Offset: 16<<20 - 8192}},
	{"md 1.1", []piece{{0, le(uint32(0xa92b4efc), uint32(1))}, {16, uuid}}, disks.Content{Type: "linux_raid_member", UUID: uuidText}},
	{"md 1.2", []piece{{4096, le(uint32(0xa92b4efc), uint32(1))}, {4096 + 16, uuid}, {4096 + 144, le(uint64(8))}}, disks.Content{Type: "linux_raid_member", UUID: uuidText, Offset: 4096}},
	{"Intel RAID", []piece{{-1024, "Intel Raid ISM Cfg Sig. 1.3.00"}}, disks.Content{Type: "isw_raid_member", Offset: 16<<20 - 1024}},
	{"DDF", []piece{{-512, "\xde\x11\xde\x11"}}, disks.Content{Type: "ddf_raid_member", Offset: 16<<20 - 512}},
	{"unknown data", []piece{{1000, "x"}}, disks.Content{Type: "data", Offset: 1000}},
	{"unknown data at the end", []piece{{-1, "x"}}, disks.Content{Type: "data", Offset: 16<<20 - 1}},
	// What resembles a signature.
	{"ext magic in data", []piece{{0x438, "\x53\xef"}}, disks.Content{Type: "data", Offset: 0x438}},
	{"md 1.2 of an image inside", []piece{{4096, le(uint32(0xa92b4efc), uint32(1))}, {4096 + 144, le(uint64(16))}}, disks.Content{Type: "data", Offset: 4096}},
	{"LABELONE of others", []piece{{512, "LABELONE"}}, disks.Content{Type: "data", Offset: 512}},
	{"mark of a boot sector", []piece{{510, "\x55\xaa"}}, disks.Content{Type: "data", Offset: 510}},
}

func TestSignatures(t *testing.T) {
	known := 0 // to blkid
	defer func() { t.Logf("blkid knows %d of %d", known, len(signed)) }()
	for _, tt := range signed {
		t.Run(tt.name, func(t *testing.T) {
			name := file(t, 16<<20, tt.pieces...)
			d := one(t, name)
			if diff := cmp.Diff([]disks.Content{tt.want}, d.Contents); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			// blkid wants more of some: checksums, other fields. What it does know it
			// must call the same.
			imgtest.Need(t, "blkid")
			b := blkid(t, name)
			if b.Type == "" || tt.want.Type == disks.TypeData { // it takes two bytes for ext2
				return
			}
			known++
			if diff := cmp.Diff(b, d.Contents[0], cmpopts.IgnoreFields(disks.Content{}, "Offset", "Hibernated")); diff != "" {
				t.Errorf("(-blkid +got):\n%s", diff)
			}
		})
	}
}
