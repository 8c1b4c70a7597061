package smbios

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Structures of memory and the fields of them that are read here.
const (
	kindDevice = 17      // Memory Device: a module, or a socket without one
	kindMapped = 19      // Memory Array Mapped Address: a range of addresses
	maxRAM     = 1 << 50 // bytes; more is no answer
	deviceSize = 0x0c    // 16 bits: MiB, or KiB when the highest bit is set
	deviceType = 0x12    // 8 bits
	deviceLong = 0x1c    // 32 bits: MiB, when deviceSize is sizeInLong
	mappedFrom = 0x04    // 32 bits: KiB
	mappedTo   = 0x08    // 32 bits: KiB, the last one
	mappedLong = 0x0f    // two of 64 bits: bytes, when mappedFrom is all ones

	sizeUnknown = 0xffff
	sizeInLong  = 0x7fff
)

// permanent are the types of memory devices that hold no RAM: ROM to EPROM,
// and non-volatile ones (DSP0134 table 76).
func permanent(kind byte) bool { return kind >= 0x08 && kind <= 0x0c || kind == 0x1f }

// installedRAM returns the bytes of RAM that are built in, and where the number
// comes from. dmi are the structures of SMBIOS, memTotal the bytes that the
// kernel can use: that is less, since the firmware and the graphics take their
// part first. A table that says less than the kernel uses is not believed.
func installedRAM(dmi []byte, memTotal int64) (ram int64, source string) {
	var devices, mapped int64
	each(dmi, func(kind byte, b, _ []byte) {
		switch kind {
		case kindDevice:
			devices = min(devices+deviceRAM(b), maxRAM)
		case kindMapped:
			mapped = min(mapped+mappedRAM(b), maxRAM)
		}
	})
	switch {
	case devices >= memTotal && devices > 0 && devices < maxRAM:
		return devices, "memory modules"
	case mapped >= memTotal && mapped > 0 && mapped < maxRAM:
		return mapped, "memory ranges"
	}
	return roundRAM(memTotal), "MemTotal rounded up"
}

// deviceRAM returns the bytes of a memory device, 0 when there is none or
// nobody knows.
func deviceRAM(b []byte) int64 {
	if len(b) <= deviceType || permanent(b[deviceType]) {
		return 0
	}
	switch size := binary.LittleEndian.Uint16(b[deviceSize:]); {
	case size == sizeUnknown:
		return 0
	case size == sizeInLong && len(b) >= deviceLong+4:
		return int64(binary.LittleEndian.Uint32(b[deviceLong:])&^(1<<31)) << 20
	case size&0x8000 != 0:
		return int64(size&0x7fff) << 10
	default:
		return int64(size) << 20
	}
}

// mappedRAM returns the bytes of a range of addresses.
func mappedRAM(b []byte) int64 {
	le := binary.LittleEndian
	if len(b) < mappedTo+4 {
		return 0
	}
	from, to := uint64(le.Uint32(b[mappedFrom:]))<<10, (uint64(le.Uint32(b[mappedTo:]))+1)<<10
	if le.Uint32(b[mappedFrom:]) == 1<<32-1 {
		if len(b) < mappedLong+16 {
			return 0
		}
		from, to = le.Uint64(b[mappedLong:]), le.Uint64(b[mappedLong+8:])+1
	}
	if to-from > maxRAM { // or it ends before it starts
		return 0
	}
	return int64(to - from)
}

// roundRAM rounds up to a multiple of an eighth of the next power of two: to
// the sizes in which memory is sold, such as 12, 16, 24 and 32 GiB.
func roundRAM(n int64) int64 {
	if n < 8 || n > maxRAM {
		return n
	}
	unit := int64(1) << bits.Len64(uint64(n-1)) / 8
	return (n + unit - 1) / unit * unit
}

// RAM asks the machine, of which sysfs and procfs are mounted at sys and proc, for
// the bytes of RAM that are built in, and says where the number comes from. Where
// there is no SMBIOS the kernel's own figure has to do, rounded up.
func RAM(sys, proc string) (ram int64, source string, err error) {
	meminfo, err := os.ReadFile(filepath.Join(proc, "meminfo"))
	if err != nil {
		return 0, "", err
	}
	memTotal, err := firstboot.MemTotal(string(meminfo))
	if err != nil {
		return 0, "", err
	}
	if memTotal < 1 || memTotal > maxRAM {
		return 0, "", fmt.Errorf("/proc/meminfo: MemTotal: got %d bytes, expected 1 to %d", memTotal, int64(maxRAM))
	}
	var dmi []byte
	if f, err := os.Open(filepath.Join(sys, Table)); err == nil {
		dmi, _ = io.ReadAll(io.LimitReader(f, MaxTable))
		f.Close()
	}
	ram, source = installedRAM(dmi, memTotal)
	clear(dmi) // the host of a virtual machine may have put a key there
	return ram, source, nil
}
