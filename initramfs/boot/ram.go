package boot

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Structures of SMBIOS (DSP0134 3.7, chapter 7) and the fields of them that
// are read here.
const (
	dmiHeader  = 4 // type, length, handle
	dmiEnd     = 127
	dmiDevice  = 17 // Memory Device: a module, or a socket without one
	dmiMapped  = 19 // Memory Array Mapped Address: a range of addresses
	maxDMI     = 1 << 20
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
	eachDMI(dmi, func(kind byte, b []byte) {
		switch kind {
		case dmiDevice:
			devices = min(devices+deviceRAM(b), maxRAM)
		case dmiMapped:
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

// eachDMI calls f with the type and the fields of every structure up to the
// first that is not whole. Its strings, which two zeros end, are skipped.
func eachDMI(b []byte, f func(kind byte, fields []byte)) {
	for len(b) >= dmiHeader && b[0] != dmiEnd {
		length := int(b[1])
		if length < dmiHeader || length > len(b) {
			return
		}
		f(b[0], b[:length])
		end := bytes.Index(b[length:], []byte{0, 0})
		if end < 0 {
			return
		}
		b = b[length+end+2:]
	}
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

// readRAM asks the machine for its installed RAM. Where there is no SMBIOS the
// kernel's own figure has to do.
func readRAM(sys, proc string) (ram int64, source string, err error) {
	meminfo, err := os.ReadFile(filepath.Join(proc, "meminfo"))
	if err != nil {
		return 0, "", err
	}
	memTotal, err := parseMemTotal(string(meminfo))
	if err != nil {
		return 0, "", err
	}
	var dmi []byte
	if f, err := os.Open(filepath.Join(sys, "firmware/dmi/tables/DMI")); err == nil {
		dmi, _ = io.ReadAll(io.LimitReader(f, maxDMI))
		f.Close()
	}
	ram, source = installedRAM(dmi, memTotal)
	return ram, source, nil
}

// parseMemTotal returns the bytes in the line MemTotal of /proc/meminfo.
func parseMemTotal(meminfo string) (int64, error) {
	for line := range strings.Lines(meminfo) {
		words := strings.Fields(line)
		if len(words) != 3 || words[0] != "MemTotal:" || words[2] != "kB" {
			continue
		}
		n, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil || n < 1 || n > maxRAM>>10 {
			return 0, fmt.Errorf("meminfo: MemTotal %q, expected 1 to %d kB", words[1], int64(maxRAM)>>10)
		}
		return n << 10, nil
	}
	return 0, fmt.Errorf("meminfo: no line MemTotal")
}
