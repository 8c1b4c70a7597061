// Package smbios reads what the firmware's tables of SMBIOS say of a machine
// (DSP0134 3.7): its memory, and the texts that the host of a virtual machine
// has put there.
//
// What is not whole is left out; nothing of a table is trusted further than that.
package smbios

import "bytes"

// Table is where the kernel has the structures, below /sys; MaxTable bounds what
// is read of it, in bytes.
const (
	Table    = "firmware/dmi/tables/DMI"
	MaxTable = 1 << 20
)

// Types of structures (DSP0134, chapter 7).
const (
	header  = 4 // type, length, handle: bytes
	kindOEM = 11
	kindEnd = 127
)

// each calls f with the type, the fields and the strings, which zeros separate,
// of every structure up to the first that is not whole.
func each(b []byte, f func(kind byte, fields, texts []byte)) {
	for len(b) >= header && b[0] != kindEnd {
		length := int(b[1])
		if length < header || length > len(b) {
			return
		}
		end := bytes.Index(b[length:], []byte{0, 0}) // of the strings, without the last one's end
		f(b[0], b[:length], b[length:length+max(0, end)])
		if end < 0 {
			return
		}
		b = b[length+end+2:]
	}
}

// OEMStrings returns the strings of all structures of type 11, "OEM Strings", up
// to the first that is not whole. They lie in the table's memory.
func OEMStrings(table []byte) (found [][]byte) {
	each(table, func(kind byte, fields, texts []byte) {
		if kind == kindOEM && len(fields) > header && len(texts) > 0 {
			list := bytes.Split(texts, []byte{0})
			found = append(found, list[:min(len(list), int(fields[header]))]...)
		}
	})
	return found
}
