package qemutests

import "encoding/binary"

// probeExit is what QEMU exits with when the probe's guest ended as it should:
// isa-debug-exit makes value<<1|1 of what is written to it.
const (
	probeValue = 0x10
	probeExit  = probeValue<<1 | 1
)

// probeLoops is how long the probe's guest computes: two instructions a loop.
// KVM and TCG take 0.15 s at most; an accelerator that interprets, at 3 million
// instructions a second, takes 7 s or more and so gives itself away. Real mode,
// or short loops, do not tell them apart.
const probeLoops = 10_000_000

// Places of the probe's guest. The ROM's top 64 KiB are mapped below 1 MiB and
// below 4 GiB.
const (
	romSize    = 64 << 10
	romBase    = 0xf0000 // linear address of its first byte
	romReset   = 0xfff0  // where the CPU starts
	romPointer = 0x80    // operand of lgdt
	romGDT     = 0x88    // null and code descriptor
	codeSel    = 0x08    // selector of the latter
)

// probeROM makes a firmware that enters long mode, counts to probeLoops and
// leaves QEMU with probeExit. (Intel SDM volume 3A, 10.8.5: initialising IA-32e
// mode.)
func probeROM() []byte {
	rom := make([]byte, romSize)
	code := realModeCode()
	// The far jump's operand is the address of what follows it.
	long := romBase + len(code) + 8
	code = append(code, 0x66, 0xea) // jmp far codeSel:long
	code = binary.LittleEndian.AppendUint32(code, uint32(long))
	code = binary.LittleEndian.AppendUint16(code, codeSel)
	code = append(code, longModeCode()...)
	copy(rom, code)

	binary.LittleEndian.PutUint16(rom[romPointer:], 15) // limit
	binary.LittleEndian.PutUint32(rom[romPointer+2:], romBase+romGDT)
	// Base 0, limit 4 GiB; present, code, 64 bits, and accessed already, since
	// the CPU cannot write that into a ROM.
	binary.LittleEndian.PutUint64(rom[romGDT+8:], 0x00af9b000000ffff)

	// The CPU starts at 0xfffffff0. A far jump takes it to where the pages map.
	copy(rom[romReset:], []byte{0xea, 0x00, 0x00, 0x00, 0xf0}) // jmp far f000:0000
	return rom
}

// realModeCode maps the first 2 MiB onto themselves and switches paging and
// long mode on. The memory of a new guest is zero, so that only what is not
// zero in the three tables is written.
func realModeCode() []byte {
	var code []byte
	for _, instruction := range [][]byte{
		{0xfa},       // cli
		{0x31, 0xc0}, // xor ax, ax
		{0x8e, 0xd8}, // mov ds, ax
		{0x66, 0xc7, 0x06, 0x00, 0x10, 0x03, 0x20, 0x00, 0x00}, // mov dword [0x1000], 0x2003: PML4, present, writable
		{0x66, 0xc7, 0x06, 0x00, 0x20, 0x03, 0x30, 0x00, 0x00}, // mov dword [0x2000], 0x3003: directory pointers
		{0x66, 0xc7, 0x06, 0x00, 0x30, 0x83, 0x00, 0x00, 0x00}, // mov dword [0x3000], 0x83: a page of 2 MiB
		{0x2e, 0x0f, 0x01, 0x16, romPointer, 0x00},             // lgdt cs:[romPointer]
		{0x0f, 0x20, 0xe0},                   // mov eax, cr4
		{0x66, 0x83, 0xc8, 0x20},             // or eax, PAE
		{0x0f, 0x22, 0xe0},                   // mov cr4, eax
		{0x66, 0xb8, 0x00, 0x10, 0x00, 0x00}, // mov eax, 0x1000
		{0x0f, 0x22, 0xd8},                   // mov cr3, eax
		{0x66, 0xb9, 0x80, 0x00, 0x00, 0xc0}, // mov ecx, EFER
		{0x0f, 0x32},                         // rdmsr
		{0x80, 0xcc, 0x01},                   // or ah, LME >> 8
		{0x0f, 0x30},                         // wrmsr
		{0x0f, 0x20, 0xc0},                   // mov eax, cr0
		{0x66, 0x0d, 0x01, 0x00, 0x00, 0x80}, // or eax, PG | PE
		{0x0f, 0x22, 0xc0},                   // mov cr0, eax
	} {
		code = append(code, instruction...)
	}
	return code
}

// longModeCode counts and leaves.
func longModeCode() []byte {
	code := []byte{0xb9} // mov ecx, probeLoops
	code = binary.LittleEndian.AppendUint32(code, probeLoops)
	return append(code,
		0xff, 0xc9, // dec ecx
		0x75, 0xfc, // jnz to the line above
		0xb0, probeValue, // mov al, probeValue
		0xe6, probePort, // out probePort, al
		0xf4,       // hlt, where there is no such device
		0xeb, 0xfd, // jmp to the line above
	)
}

// probePort is the I/O port of isa-debug-exit.
const probePort = 0xf4
