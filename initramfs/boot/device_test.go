package boot

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

const (
	testPartUUID = "3b1f0f0e-8f3a-4c4f-9d5e-0123456789ab"
	partStart    = 9 << 20
	diskSize     = 64 << 20
)

// makeDisk makes a disk of two partitions with sgdisk, the second of which
// holds a file system of our writer, and returns the file system's UUID as
// blkid sees it.
func makeDisk(t *testing.T, file, label string, sum ondisk.ChecksumType) string {
	t.Helper()
	imgtest.Need(t, "sgdisk", "blkid")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(diskSize); err != nil {
		t.Fatal(err)
	}
	run(t, "sgdisk", "-n1:1M:+8M", "-t1:ef00", "-c1:ESP", "-n2:0:0", "-t2:8304", "-c2:wurzel größe", "-u2:"+testPartUUID, file)
	tree := fstree.New()
	tree.Freeze()
	if _, err := btrfs.Write(t.Context(), &offsetWriter{f, partStart}, tree, btrfs.Params{Label: label, Checksum: sum}); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(run(t, "blkid", "-p", "-O", fmt.Sprint(partStart), "-s", "UUID", "-o", "value", file))
}

type offsetWriter struct {
	f  *os.File
	at int64
}

func (w *offsetWriter) WriteAt(b []byte, at int64) (int, error) { return w.f.WriteAt(b, at+w.at) }

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// fakeHost makes folders that look like /sys and /dev of a machine with one
// disk vda, whose content is file.
func fakeHost(t *testing.T, file string) host {
	t.Helper()
	h := host{t.TempDir(), t.TempDir()}
	disk := filepath.Join(h.sys, "devices/pci0/block/vda")
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(disk, "dev"), "254:0")
	write(filepath.Join(disk, "size"), fmt.Sprint(diskSize/512))
	write(filepath.Join(disk, "queue/logical_block_size"), "512")
	for i, p := range []struct{ start, size int64 }{{1 << 20, 8 << 20}, {partStart, diskSize - partStart - 1<<20}} {
		dir := filepath.Join(disk, fmt.Sprintf("vda%d", i+1))
		write(filepath.Join(dir, "dev"), fmt.Sprintf("254:%d", i+1))
		write(filepath.Join(dir, "partition"), fmt.Sprint(i+1))
		write(filepath.Join(dir, "start"), fmt.Sprint(p.start/512))
		write(filepath.Join(dir, "size"), fmt.Sprint(p.size/512))
	}
	class := filepath.Join(h.sys, "class/block")
	if err := os.MkdirAll(class, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"vda", "vda/vda1", "vda/vda2"} {
		if err := os.Symlink("../../devices/pci0/block/"+link, filepath.Join(class, filepath.Base(link))); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"vda": content, "vda1": content[1<<20 : partStart], "vda2": content[partStart:]} {
		if err := os.WriteFile(filepath.Join(h.dev, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestIdentify(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disk.img")
	uuid := makeDisk(t, file, "my root", 0)
	h := fakeHost(t, file)
	names, err := h.names()
	if diff := cmp.Diff([]string{"vda", "vda1", "vda2"}, names); diff != "" || err != nil {
		t.Fatalf("names (-want +got):\n%s%v", diff, err)
	}
	got, err := h.identify("vda2")
	if err != nil {
		t.Fatal(err)
	}
	want := Device{Name: "vda2", Number: "254:2", Size: diskSize - partStart - 1<<20, Disk: "vda", Part: 2, Start: partStart / 512,
		PartUUID: testPartUUID, PartLabel: "wurzel größe", UUID: uuid, Label: "my root"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identify(vda2) (-want +got):\n%s", diff)
	}
	if disk, err := h.identify("vda"); err != nil || disk.UUID != "" || disk.PartUUID != "" || disk.Problem != "" {
		t.Errorf("identify(vda) = %+v, %v; want a disk without identity", disk, err)
	}
	if _, err := h.identify("vdb"); err == nil {
		t.Error("identify(vdb): no error")
	}
}

func TestIdentifyOtherChecksum(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disk.img")
	uuid := makeDisk(t, file, "", ondisk.XXHash64)
	if got, err := fakeHost(t, file).identify("vda2"); err != nil || got.UUID != uuid || got.Problem != "" {
		t.Errorf("identify(vda2) = %+v, %v; want UUID %s", got, err, uuid)
	}
}

// Every byte that is read counts: a damaged table or superblock identifies
// nothing, and the problem is told.
func TestIdentifyDamaged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disk.img")
	makeDisk(t, file, "my root", 0)
	tests := []struct {
		name, dev string
		at        int64
		problem   string
	}{
		{"signature", "vda", 512, "no GUID partition table"},
		{"header size", "vda", 512 + 12, "GPT header: 93 bytes"},
		{"header", "vda", 512 + 40, "GPT header: checksum"},
		{"entry", "vda", 1024 + 128 + 16, "GPT entries: checksum"},
		{"label", "vda2", superOffset + superLabel, "btrfs superblock: checksum"},
		{"place", "vda2", superOffset + superBytenr, "btrfs superblock: says that it stands at"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := fakeHost(t, file)
			flip(t, filepath.Join(h.dev, tt.dev), tt.at)
			d, err := h.identify("vda2")
			if err != nil || !strings.Contains(d.Problem, tt.problem) && !(tt.name == "header size" && strings.Contains(d.Problem, "checksum")) {
				t.Errorf("problem %q, %v; want %q", d.Problem, err, tt.problem)
			}
			if tt.dev == "vda" && d.PartUUID != "" || tt.dev == "vda2" && d.UUID != "" {
				t.Errorf("identified all the same: %+v", d)
			}
		})
	}
}

func flip(t *testing.T, file string, at int64) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// A table that the kernel has read before it was changed on the disk must not
// lend its identities to other places.
func TestIdentifyMovedPartition(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disk.img")
	makeDisk(t, file, "", 0)
	h := fakeHost(t, file)
	start := filepath.Join(h.sys, "devices/pci0/block/vda/vda2/start")
	if err := os.WriteFile(start, []byte("4096\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if d, err := h.identify("vda2"); err != nil || d.PartUUID != "" || !strings.Contains(d.Problem, "not in the table") {
		t.Errorf("identify = %+v, %v; want the problem that it is not in the table", d, err)
	}
}

// header returns a valid GPT header of 512 bytes, changed and summed again.
func header(change func(b []byte)) []byte {
	b := make([]byte, 512)
	le := binary.LittleEndian
	copy(b, "EFI PART")
	le.PutUint32(b[12:], 92)
	le.PutUint64(b[72:], 2)
	le.PutUint32(b[80:], 4)
	le.PutUint32(b[84:], 128)
	change(b)
	le.PutUint32(b[16:], 0)
	if size := le.Uint32(b[12:]); size <= 512 {
		le.PutUint32(b[16:], crc32.ChecksumIEEE(b[:size]))
	}
	return b
}

func TestDecodeGPTHeaderLimits(t *testing.T) {
	le := binary.LittleEndian
	tests := []struct {
		name   string
		change func(b []byte)
		ok     bool
	}{
		{"plain", func([]byte) {}, true},
		{"size 91", func(b []byte) { le.PutUint32(b[12:], 91) }, false},
		{"size 512", func(b []byte) { le.PutUint32(b[12:], 512) }, true},
		{"size 513", func(b []byte) { le.PutUint32(b[12:], 513) }, false},
		{"LBA 1", func(b []byte) { le.PutUint64(b[72:], 1) }, false},
		{"LBA of 2^40", func(b []byte) { le.PutUint64(b[72:], 1<<40) }, true},
		{"LBA beyond", func(b []byte) { le.PutUint64(b[72:], 1<<40+1) }, false},
		{"1024 entries", func(b []byte) { le.PutUint32(b[80:], 1024) }, true},
		{"1025 entries", func(b []byte) { le.PutUint32(b[80:], 1025) }, false},
		{"entries of 127", func(b []byte) { le.PutUint32(b[84:], 127) }, false},
		{"entries of 192", func(b []byte) { le.PutUint32(b[84:], 192) }, false},
		{"entries of 4096", func(b []byte) { le.PutUint32(b[84:], 4096) }, true},
		{"entries of 8192", func(b []byte) { le.PutUint32(b[84:], 8192) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := decodeGPTHeader(header(tt.change)); (err == nil) != tt.ok {
				t.Errorf("decodeGPTHeader: %v; want ok %v", err, tt.ok)
			}
		})
	}
}

func FuzzReadGPT(f *testing.F) {
	whole := append(make([]byte, 512), header(func(b []byte) {
		binary.LittleEndian.PutUint32(b[88:], crc32.ChecksumIEEE(make([]byte, 512)))
	})...)
	f.Add(append(whole, make([]byte, 512)...), int64(512))
	f.Add([]byte("EFI PART"), int64(4096))
	f.Add([]byte{}, int64(0))
	f.Fuzz(func(t *testing.T, b []byte, sector int64) {
		_, _ = readGPT(strings.NewReader(string(b)), sector)
		if len(b) >= gptEntrySize {
			_, _ = decodeGPTEntry(b[:gptEntrySize])
		}
	})
}

func FuzzBtrfsIdentity(f *testing.F) {
	b := make([]byte, superSize)
	copy(b[superMagic:], btrfsMagic)
	binary.LittleEndian.PutUint64(b[superBytenr:], superOffset)
	f.Add(append([]byte{}, b...))
	binary.LittleEndian.PutUint16(b[superCsumType:], 1)
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, label, err := btrfsIdentity(b); err == nil && (len(b) != superSize || len(label) > 255) {
			t.Errorf("btrfsIdentity of %d bytes: label of %d", len(b), len(label))
		}
	})
}

func TestDeviceString(t *testing.T) {
	d := Device{Name: "vda2", Size: 3 << 29, PartLabel: "nixos", PartUUID: "p", UUID: "u", Problem: "x"}
	want := "/dev/vda2       1.5 GiB PARTLABEL=nixos PARTUUID=p UUID=u btrfs (x)"
	if got := d.String(); got != want {
		t.Errorf("String() = %q; want %q", got, want)
	}
}
