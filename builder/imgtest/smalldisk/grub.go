package smalldisk

import (
	"bytes"
	"encoding/binary"
)

// grubPath is where a small disk's source has GRUB.
const grubPath = "usr/lib/grub/x86_64-efi/monolithic/grubx64.efi"

// GRUBModules are modules that an image of GRUB needs to read a menu of ours.
var GRUBModules = []string{"boot", "configfile", "fat", "linux", "loadenv", "normal", "part_gpt", "regexp", "test"}

// Types of the objects of an image of GRUB.
const (
	grubModule = 0
	grubPrefix = 3
)

// GRUBProgram returns the least that passes for an image of GRUB: an EFI program with
// a section of the names of modules, and the prefix.
func GRUBProgram(prefix string, modules ...string) []byte {
	le := binary.LittleEndian
	var objects []byte
	object := func(kind uint32, data []byte) {
		data = append(data, make([]byte, -len(data)&7)...)
		objects = le.AppendUint32(objects, kind)
		objects = le.AppendUint32(objects, uint32(8+len(data)))
		objects = append(objects, data...)
	}
	for _, m := range modules {
		object(grubModule, grubELF(m))
	}
	object(grubPrefix, append([]byte(prefix), 0))
	section := le.AppendUint64([]byte("mimg\x00\x00\x00\x00"), 24)
	section = le.AppendUint64(section, uint64(24+len(objects)))
	section = append(section, objects...)
	b := EFIProgram("grub")
	at := b[0x58+240:]
	copy(at, "mods\x00\x00")
	size := (len(section) + 0x1ff) &^ 0x1ff
	le.PutUint32(at[8:], uint32(size))
	le.PutUint32(at[16:], uint32(size))
	le.PutUint32(b[0x58+56:], uint32(0x1000+(size+0xfff)&^0xfff))
	return append(append(b[:0x400:0x400], section...), make([]byte, size-len(section))...)
}

// grubELF returns an ELF file with a section .modname, and the names of sections.
func grubELF(name string) []byte {
	const header, entry = 64, 64
	names := []byte("\x00.modname\x00.shstrtab\x00")
	text := append([]byte(name), 0)
	table := header + len(names) + len(text)
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01" + string(make([]byte, 9)))
	write := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) } // into memory
	write([]uint16{1, 62})                                                // relocatable, x86-64
	write(uint32(1))
	write([]uint64{0, 0, uint64(table)})
	write(uint32(0))
	write([]uint16{header, 0, 0, entry, 3, 2}) // three sections, the last has their names
	b.Write(names)
	b.Write(text)
	section := func(name, kind uint32, offset, size int) {
		write([]uint32{name, kind})
		write([]uint64{0, 0, uint64(offset), uint64(size)})
		write([]uint32{0, 0})
		write([]uint64{1, 0})
	}
	section(0, 0, 0, 0)
	section(1, 1, header+len(names), len(text))
	section(10, 3, header, len(names))
	return b.Bytes()
}
