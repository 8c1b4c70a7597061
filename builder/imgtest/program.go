package imgtest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// Program returns a program in the form ELF that needs no library, and ends in text: enough
// for who looks for it, and nothing that runs.
func Program(text string) []byte {
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1}
	copy(h.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	var b bytes.Buffer
	for _, v := range []any{h, elf.Prog64{Type: uint32(elf.PT_LOAD)}} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic("imgtest: " + err.Error()) // the structures have a size
		}
	}
	return append(b.Bytes(), text...)
}
