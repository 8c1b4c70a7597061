package uki

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Offsets and values of the PE format. Those of the optional header are of
// its 64-bit form.
const (
	offNewHeader = 0x3c // in the DOS header: where "PE\0\0" is
	sizeDOS      = 0x40

	sizeCOFF           = 20
	offMachine         = 0
	offSectionCount    = 2
	offSymbolTable     = 8
	offSymbolCount     = 12
	offSizeOfOptional  = 16
	machineAMD64       = 0x8664
	magicPE32Plus      = 0x20b
	offInitializedData = 8
	offSectionAlign    = 32
	offFileAlign       = 36
	offSizeOfImage     = 56
	offSizeOfHeaders   = 60
	offCheckSum        = 64
	offDirectoryCount  = 108
	offDirectories     = 112

	sizeDirectory        = 8
	directoryCertificate = 4
	directoryDebug       = 6
	sizeDebugEntry       = 28
	offDebugRaw          = 24

	sizeSection     = 40
	offVirtualSize  = 8
	offVirtualAddr  = 12
	offRawSize      = 16
	offRawPointer   = 20
	offSectionFlags = 36

	flagCode            = 0x00000020
	flagInitializedData = 0x00000040
	flagExecute         = 0x20000000
	flagRead            = 0x40000000
)

// maxSections bounds the section table, as Windows does.
const maxSections = 96

// program is an EFI program in memory.
type program struct {
	data     []byte
	coff     int // offset of the COFF header
	optional int // offset of the optional header
	table    int // offset of the section table
	count    int // of sections
}

func (p *program) u16(at int) uint16     { return binary.LittleEndian.Uint16(p.data[at:]) }
func (p *program) u32(at int) uint32     { return binary.LittleEndian.Uint32(p.data[at:]) }
func (p *program) set16(at int, v int)   { binary.LittleEndian.PutUint16(p.data[at:], uint16(v)) }
func (p *program) set32(at int, v int64) { binary.LittleEndian.PutUint32(p.data[at:], uint32(v)) }

// section returns the offset of a header in the section table.
func (p *program) section(i int) int { return p.table + i*sizeSection }

// sectionName returns a section's name without its padding.
func (p *program) sectionName(i int) string {
	name := p.data[p.section(i):][:8]
	for n, c := range name {
		if c == 0 {
			return string(name[:n])
		}
	}
	return string(name)
}

// parse finds the headers of a 64-bit EFI program for x86 and checks that all
// of them are there, and all sections inside the file.
func parse(data []byte) (*program, error) {
	if len(data) < sizeDOS || string(data[:2]) != "MZ" {
		return nil, errors.New("not an EFI program: no MZ at its start")
	}
	at := int64(binary.LittleEndian.Uint32(data[offNewHeader:]))
	if at+4+sizeCOFF+offDirectories > int64(len(data)) || string(data[at:at+4]) != "PE\x00\x00" {
		return nil, fmt.Errorf("not an EFI program: no PE header at %d of %d bytes", at, len(data))
	}
	p := &program{data: data, coff: int(at) + 4}
	p.optional = p.coff + sizeCOFF
	p.table = p.optional + int(p.u16(p.coff+offSizeOfOptional))
	p.count = int(p.u16(p.coff + offSectionCount))
	if m := p.u16(p.coff + offMachine); m != machineAMD64 {
		return nil, fmt.Errorf("program for machine %#x, expected %#x (x86-64)", m, machineAMD64)
	}
	if m := p.u16(p.optional); m != magicPE32Plus {
		return nil, fmt.Errorf("optional header of kind %#x, expected %#x (PE32+)", m, magicPE32Plus)
	}
	if p.count == 0 || p.count > maxSections {
		return nil, fmt.Errorf("%d sections, expected 1 to %d", p.count, maxSections)
	}
	directories := int64(p.u32(p.optional + offDirectoryCount))
	if int64(p.optional)+offDirectories+directories*sizeDirectory > int64(p.table) || p.section(p.count) > len(data) {
		return nil, fmt.Errorf("headers of %d directories and %d sections do not fit the %d bytes", directories, p.count, len(data))
	}
	return p, p.checkSections()
}

// checkSections checks what extend relies on.
func (p *program) checkSections() error {
	for _, off := range []int{offSectionAlign, offFileAlign} {
		if a := p.u32(p.optional + off); a == 0 || a&(a-1) != 0 || a > 1<<16 {
			return fmt.Errorf("alignment of %d bytes, expected a power of two up to 65536", a)
		}
	}
	if h := int64(p.u32(p.optional + offSizeOfHeaders)); h < int64(p.section(p.count)) || h > int64(len(p.data)) {
		return fmt.Errorf("size of headers %d, expected %d to %d", h, p.section(p.count), len(p.data))
	}
	for i := range p.count {
		from, size := int64(p.u32(p.section(i)+offRawPointer)), int64(p.u32(p.section(i)+offRawSize))
		if size > 0 && (from < int64(p.u32(p.optional+offSizeOfHeaders)) || from+size > int64(len(p.data))) {
			return fmt.Errorf("section %q: bytes %d to %d, expected them behind the headers and inside the %d bytes", p.sectionName(i), from, from+size, len(p.data))
		}
	}
	return nil
}

// directory returns the offset of an entry of the data directory, or false
// when the program has no such entry.
func (p *program) directory(i int) (int, bool) {
	return p.optional + offDirectories + i*sizeDirectory, uint32(i) < p.u32(p.optional+offDirectoryCount)
}
