package gpt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

const testDisk = 100 * mib

func put(t testing.TB, d *imgtest.MemDisk, at int64, b ...byte) {
	t.Helper()
	if _, err := d.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// le returns a number of 8 bytes.
func le(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

// copyAt says where a copy of the test table stands.
type copyAt struct {
	part          Part
	header, array int64
}

var copies = []copyAt{{PartPrimary, 512, 1024}, {PartBackup, testDisk - 512, testDisk - 33*512}}

// seal makes both checksums of a copy right.
func (c copyAt) seal(t testing.TB, d *imgtest.MemDisk) {
	t.Helper()
	array, header := make([]byte, arraySize), make([]byte, minHeaderSize)
	if err := errors.Join(readFull(d, array, c.array), readFull(d, header, c.header)); err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(header[88:], crc32.ChecksumIEEE(array))
	clear(header[16:20])
	binary.LittleEndian.PutUint32(header[16:], crc32.ChecksumIEEE(header))
	put(t, d, c.header, header...)
}

// TestReadDamage breaks each copy in each way: the other one is used and the
// broken one named.
func TestReadDamage(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, d *imgtest.MemDisk, c copyAt)
		seal bool
		want string
	}{
		{"signature", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.header, 'X') }, false, `signature "XFI PART"`},
		{"header", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.header+60, 0xaa, 0xbb) }, false, "checksum 0x"},
		{"array", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.array+arraySize-1, 1) }, false, "checksum of the entries"},
		{"revision", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.header+8, 1) }, true, "revision 0x00010001"},
		{"size 91", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.header+12, 91) }, true, "size of the header 91, expected 92 to 512"},
		{"size 513", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.header+12, 1, 2) }, true, "size of the header 513"},
		{"reserved", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.header+20, 1) }, true, "reserved field 0x1"},
		{"self", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.header+24, le(5)...) }, true, "says that it is in LBA 5"},
		{"other", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.header+32, le(5)...) }, true, "has the other copy in LBA 5"},
		{"first", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.header+40, le(33)...) }, true, "gives LBA 33 to"},
		{"last", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.header+48, le(testDisk/512-33)...) }, true, "to 204767 to partitions"},
		{"first behind last", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.header+48, le(33)...) }, true, "gives LBA 34 to 33"},
		{"partition outside", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.header+40, le(4096)...) }, true, "partition 1: LBA 2048 to 133119, expected 4096"},
		{"disk GUID", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.header+56, make([]byte, 16)...) }, true, "GUID of the disk is zero"},
		{"array elsewhere", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.header+72, le(40)...) }, true, "has its entries in LBA 40"},
		{"entries", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.header+80, 0xff, 0xff, 0xff, 0xff) }, true, "4294967295 entries of 128"},
		{"entry size", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.header+84, 0, 1) }, true, "128 entries of 256"},
		{"ends first", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.array+40, le(2047)...) }, true, "LBA 2048 to 2047"},
		{"huge", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.array+40, le(1<<64-1)...) }, true, "LBA 2048 to 18446744073709551615"},
		{"overlap", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.array+40, le(133120)...) }, true, "partitions 1 and 2 overlap"},
		{"half a pair", func(t *testing.T, d *imgtest.MemDisk, c copyAt) { put(t, d, c.array+56, 0, 0xd8) }, true, "the label is not UTF-16"},
	}
	table := example(t, 512, testDisk)
	whole := write(t, table)
	for i, c := range copies {
		for _, test := range tests {
			t.Run(fmt.Sprintf("%s %s", c.part, test.name), func(t *testing.T) {
				d := whole.Clone()
				test.do(t, d, c)
				if test.seal {
					c.seal(t, d)
				}
				got, problems, err := Read(d, testDisk)
				if err != nil || len(problems) != 1 || problems[0].Part != c.part || !strings.Contains(problems[0].String(), test.want) {
					t.Fatalf("problems %q, %v; want one of the %s with %q", problems, err, c.part, test.want)
				}
				if diff := cmp.Diff(table, *got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				other := copies[1-i]
				put(t, d, other.header+57, 0x55)
				if _, _, err := Read(d, testDisk); fault.ClassOf(err) != fault.Input || errors.Is(err, ErrNone) && test.name != "signature" || !strings.Contains(err.Error(), test.want) {
					t.Errorf("both copies broken: %v; want %q", err, test.want)
				}
			})
		}
	}
}

// TestReadMBR breaks the protective MBR.
func TestReadMBR(t *testing.T) {
	tests := []struct {
		name string
		at   int64
		to   []byte
		want string
	}{
		{"signature", 510, []byte{0}, "signature 00aa"},
		{"type", 446 + 4, []byte{0x83}, "type 0x83"},
		{"start", 446 + 8, []byte{2}, "from sector 2 on"},
		{"size", 446 + 12, []byte{0, 0}, "protects 196608 sectors"},
		{"status", 446, []byte{0x80}, "status 0x80"},
		{"hybrid", 446 + 16 + 4, []byte{0x0c}, "type 0x0c"},
		{"none", 446, make([]byte, 64), "0 protective partitions"},
	}
	whole := write(t, example(t, 512, testDisk))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := whole.Clone()
			put(t, d, test.at, test.to...)
			_, problems, err := Read(d, testDisk)
			if err != nil || len(problems) != 1 || problems[0].Part != PartMBR || !strings.Contains(problems[0].Text, test.want) {
				t.Errorf("problems %q, %v; want %q", problems, err, test.want)
			}
		})
	}
}

func TestReadNone(t *testing.T) {
	for _, size := range []int64{0, 1, 511, 512, 67 * 512, 100 * mib, 100*mib + 1, 1<<63 - 1} {
		if _, _, err := Read(imgtest.NewMemDisk(size), size); !errors.Is(err, ErrNone) || fault.ClassOf(err) != fault.Input {
			t.Errorf("Read of an empty disk of %d bytes: %v; want ErrNone", size, err)
		}
	}
	// A table for another size of the disk is no table for this one.
	table := example(t, 512, testDisk)
	d := write(t, table)
	_, _, err := Read(d, testDisk-512)
	if err == nil || !strings.Contains(err.Error(), "has the other copy in LBA 204799, expected 204798, for a disk of 104857088 bytes") {
		t.Errorf("Read of a disk that was cut: %v", err)
	}
	if _, _, err := Read(io.NewSectionReader(d, 0, 4096), testDisk); err == nil || !strings.Contains(err.Error(), "the disk ends at byte 4096") {
		t.Errorf("Read of a disk that ends early: %v", err)
	}
}

// TestReadDiffering reads a disk with two whole copies of different tables.
func TestReadDiffering(t *testing.T) {
	table := example(t, 512, testDisk)
	d := write(t, table)
	put(t, d, copies[1].array+48, 4)
	copies[1].seal(t, d)
	got, problems, err := Read(d, testDisk)
	if err != nil || len(problems) != 1 || problems[0].Part != PartBackup || !strings.Contains(problems[0].Text, "not the same") || !cmp.Equal(table, *got) {
		t.Errorf("Read = %v, %v, %v; want the primary table and one problem", got, problems, err)
	}
}

// TestReadGrown reads a table on a disk that is larger than the one that it was
// made for, with the backup copy whole and broken.
func TestReadGrown(t *testing.T) {
	table := example(t, 512, testDisk)
	d := imgtest.NewMemDisk(2 * testDisk)
	if err := Write(d, table); err != nil {
		t.Fatal(err)
	}
	table.DiskSize = 2 * testDisk
	const grown = "is at the end of 104857600 bytes, expected it at the end of the disk of 209715200"
	for _, want := range [][]string{{grown}, {"signature", grown}} {
		got, problems, err := Read(d, 2*testDisk)
		if err != nil || len(problems) != len(want) {
			t.Fatalf("problems %v, %v; want %q", problems, err, want)
		}
		for i, p := range problems {
			if p.Part != PartBackup || !strings.Contains(p.Text, want[i]) {
				t.Errorf("problem %v; want %q", p, want[i])
			}
		}
		if diff := cmp.Diff(table, *got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		put(t, d, testDisk-512, 'X')
	}
	if err := Write(d, table); err != nil {
		t.Fatal(err)
	}
	if _, problems, err := Read(d, 2*testDisk); err != nil || len(problems) > 0 {
		t.Errorf("after writing the table: %v, %v", problems, err)
	}
}

// TestVerifyAgrees breaks tables and compares with what sgdisk says.
func TestVerifyAgrees(t *testing.T) {
	imgtest.Need(t, "sgdisk")
	for _, c := range copies {
		d := write(t, example(t, 512, testDisk))
		put(t, d, c.array+130, 0x77)
		image := filepath.Join(t.TempDir(), "image")
		if err := os.Rename(d.File(t), image); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("sgdisk", "-v", image).CombinedOutput()
		if !strings.Contains(string(out), "CRC") {
			t.Errorf("sgdisk sees nothing in the %s: %v\n%s", c.part, err, out)
		}
		if _, problems, err := Read(d, testDisk); err != nil || len(problems) != 1 {
			t.Errorf("problems %v, %v; want one", problems, err)
		}
	}
}

// FuzzRead changes the bytes of both copies, with and without their checksums
// made right. Each four bytes of the input are a place and a value. What has no
// problem must be read by go-diskfs alike.
func FuzzRead(f *testing.F) {
	whole := write(f, example(f, 512, testDisk))
	f.Add([]byte{}, false)
	for i := range 1024 {
		f.Add([]byte{byte(i), byte(i >> 8), byte(i), 0xff}, i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, edits []byte, seal bool) {
		d := whole.Clone()
		for ; len(edits) >= 4; edits = edits[4:] {
			at := int64(edits[0]) | int64(edits[1])<<8
			switch {
			case edits[2]&1 == 0:
				put(t, d, at%(34*512), edits[3])
			default:
				put(t, d, testDisk-33*512+at%(33*512), edits[3])
			}
		}
		if seal {
			copies[0].seal(t, d)
			copies[1].seal(t, d)
		}
		table, problems, err := Read(d, testDisk)
		if err != nil {
			return
		}
		if err := table.check(); err != nil {
			t.Errorf("a table was read that cannot be written: %v", err)
		}
		if len(problems) == 0 {
			sameAsLibrary(t, table, d.File(t))
		}
	})
}
