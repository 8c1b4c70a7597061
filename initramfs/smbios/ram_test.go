package smbios

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/initramfs/smbios/smbiostest"
)

const gib = 1 << 30

// device is a memory device as SMBIOS 3.2 and later have it.
func device(size uint16, kind uint8, long uint32) []byte {
	return smbiostest.Structure(kindDevice, 0x54, map[int]any{deviceSize: size, deviceType: kind, deviceLong: long}, "DIMM 0", "P0 CHANNEL A", "A-DATA")
}

func mapped(from, to uint32, longFrom, longTo uint64) []byte {
	return smbiostest.Structure(kindMapped, 0x1f, map[int]any{mappedFrom: from, mappedTo: to, mappedLong: longFrom, mappedLong + 8: longTo})
}

// ddr5 is the type of a module that is none of the permanent ones.
const ddr5 = 0x22

func TestInstalledRAM(t *testing.T) {
	const laptop = 27 * gib // of 32 GiB, with 4 for the graphics
	tests := []struct {
		name   string
		tables [][]byte
		usable int64
		want   int64
		source string
	}{
		{"no SMBIOS", nil, 470 << 20, 512 << 20, "MemTotal rounded up"},
		{"laptop", [][]byte{smbiostest.BIOS, device(16384, ddr5, 0), device(16384, ddr5, 0), smbiostest.Last}, laptop, 32 * gib, "memory modules"},
		{"empty sockets", [][]byte{device(0, 2, 0), device(0x7ffe, ddr5, 0), device(0, 2, 0)}, laptop, 0x7ffe << 20, "memory modules"},
		{"extended size", [][]byte{device(sizeInLong, ddr5, 1<<31|65536), smbiostest.Last}, laptop, 64 * gib, "memory modules"},
		{"KiB", [][]byte{device(0x8000|16384, ddr5, 0)}, 15 << 20, 16 << 20, "memory modules"},
		{"flash and ROM are no RAM", [][]byte{device(16, 0x08, 0), device(16, 0x09, 0), device(16, 0x0c, 0), device(64, 0x1f, 0), device(512, ddr5, 0)}, 470 << 20, 512 << 20, "memory modules"},
		{"neighbours of the permanent types", [][]byte{device(256, 0x07, 0), device(256, 0x0d, 0), device(256, 0x1e, 0), device(256, 0x20, 0)}, 1000 << 20, 1024 << 20, "memory modules"},
		{"unknown size, ranges", [][]byte{device(sizeUnknown, ddr5, 0), mapped(0, 2<<20-1, 0, 0), mapped(4<<20, 6<<20-1, 0, 0), smbiostest.Last}, 4*gib - 1<<20, 4 * gib, "memory ranges"},
		{"extended range", [][]byte{mapped(math.MaxUint32, math.MaxUint32, 4*gib, 4*gib+8<<40-1)}, gib, 8 << 40, "memory ranges"},
		{"less than is used", [][]byte{device(1024, ddr5, 0), mapped(0, 1<<20-1, 0, 0)}, 2*gib - 100<<20, 2 * gib, "MemTotal rounded up"},
		{"exactly what is used", [][]byte{device(1024, ddr5, 0)}, gib, gib, "memory modules"},
		{"behind the end", [][]byte{smbiostest.Last, device(16384, ddr5, 0)}, gib, gib, "MemTotal rounded up"},
		{"short device", [][]byte{smbiostest.Structure(kindDevice, deviceType, map[int]any{deviceSize: uint16(4096)}), smbiostest.Last}, gib, gib, "MemTotal rounded up"},
		{"shortest device", [][]byte{smbiostest.Structure(kindDevice, deviceType+1, map[int]any{deviceSize: uint16(4096)}), smbiostest.Last}, gib, 4 * gib, "memory modules"},
		{"extended size of an old device", [][]byte{smbiostest.Structure(kindDevice, 0x1b, map[int]any{deviceSize: uint16(sizeInLong)}), smbiostest.Last}, gib, sizeInLong << 20, "memory modules"},
		{"short range", [][]byte{smbiostest.Structure(kindMapped, mappedTo+3, map[int]any{mappedTo: uint16(0xffff)}), smbiostest.Last}, gib, gib, "MemTotal rounded up"},
		{"short extended range", [][]byte{smbiostest.Structure(kindMapped, mappedLong+15, map[int]any{mappedFrom: uint32(math.MaxUint32), mappedLong: uint64(0), mappedLong + 8: uint32(math.MaxUint32)}), smbiostest.Last}, gib, gib, "MemTotal rounded up"},
		{"range that ends before it starts", [][]byte{mapped(8<<20, 4<<20, 0, 0), mapped(math.MaxUint32, 0, 9, math.MaxUint64)}, gib, gib, "MemTotal rounded up"},
		{"more than there is", slices.Repeat([][]byte{device(sizeInLong, ddr5, math.MaxInt32)}, 3), gib, gib, "MemTotal rounded up"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, source := installedRAM(slices.Concat(test.tables...), test.usable); got != test.want || source != test.source {
				t.Errorf("installedRAM = %d by %s; want %d by %s", got, source, test.want, test.source)
			}
		})
	}
}

// TestCutDMI reads a table that ends anywhere.
func TestCutDMI(t *testing.T) {
	whole := slices.Concat(smbiostest.BIOS, device(16384, ddr5, 0), device(16384, ddr5, 0))
	second := len(whole) - len(device(0, 0, 0))
	for n := range whole {
		want := int64(gib)
		switch {
		case n >= second+0x54: // its fields are there
			want = 32 * gib
		case n >= len(smbiostest.BIOS)+0x54:
			want = 16 * gib
		}
		if got, _ := installedRAM(whole[:n:n], gib); got != want {
			t.Errorf("%d bytes of the table: %d; want %d", n, got, want)
		}
	}
	if got, _ := installedRAM([]byte{kindDevice, 3, 0, 0, 0, 0}, gib); got != gib {
		t.Errorf("a structure shorter than its header: %d", got)
	}
}

func TestRoundRAM(t *testing.T) {
	for in, want := range map[int64]int64{
		0: 0, 7: 7, 8: 8, 470 << 20: 512 << 20, 512 << 20: 512 << 20, 512<<20 + 1: 640 << 20, 1900 << 20: 2 * gib, 5800 << 20: 6 * gib,
		11600 << 20: 12 * gib, 15200 << 20: 16 * gib, 23300 << 20: 24 * gib, 28 * gib: 28 * gib, 28*gib + 1: 32 * gib, 47 * gib: 48 * gib, 93 * gib: 96 * gib,
		maxRAM: maxRAM, maxRAM + 1: maxRAM + 1,
	} {
		if got := roundRAM(in); got != want {
			t.Errorf("roundRAM(%d) = %d; want %d", in, got, want)
		}
	}
}

func TestReadRAM(t *testing.T) {
	tests := []struct {
		name    string
		meminfo string
		table   []byte
		want    int64
		err     string
	}{
		{"modules", "MemTotal:        8000000 kB\nMemFree: 1 kB\n", device(16384, ddr5, 0), 16 * gib, ""},
		{"no table", "MemFree: 1 kB\nMemTotal:        8000000 kB\n", nil, 8 * gib, ""},
		{"table without end", "MemTotal: 1000 kB\n", slices.Concat(device(64, ddr5, 0), make([]byte, 2*MaxTable)), 64 << 20, ""},
		{"largest", "MemTotal: 1099511627776 kB\n", nil, maxRAM, ""},
		{"too large", "MemTotal: 1099511627777 kB\n", nil, 0, "MemTotal"},
		{"nothing", "MemTotal: 0 kB\n", nil, 0, "MemTotal"},
		{"no number", "MemTotal: x kB\n", nil, 0, `got "x"`},
		{"no line", "MemTotal: 7\n", nil, 0, "no line MemTotal"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name string, data []byte) {
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			write(filepath.Join(dir, "meminfo"), []byte(test.meminfo))
			if test.table != nil {
				write(filepath.Join(dir, Table), test.table)
			}
			got, _, err := RAM(dir, dir)
			if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("RAM = %d, %v; want %d, %q", got, err, test.want, test.err)
			}
		})
	}
	if _, _, err := RAM(t.TempDir(), t.TempDir()); err == nil {
		t.Errorf("RAM without meminfo: no error")
	}
}

func FuzzInstalledRAM(f *testing.F) {
	f.Add(slices.Concat(smbiostest.BIOS, device(16384, ddr5, 0), device(sizeInLong, ddr5, 65536), smbiostest.Last), int64(gib))
	f.Add(slices.Concat(mapped(0, 2<<20-1, 0, 0), mapped(math.MaxUint32, 0, 4*gib, 8*gib), smbiostest.Last), int64(gib))
	f.Add([]byte(nil), int64(0))
	f.Fuzz(func(t *testing.T, table []byte, usable int64) {
		if usable < 0 || usable > maxRAM {
			return
		}
		got, source := installedRAM(table, usable)
		if got < usable || got > maxRAM || source == "" {
			t.Errorf("installedRAM(%x, %d) = %d by %q", table, usable, got, source)
		}
	})
}
