// Package smbiostest makes tables of SMBIOS for tests.
package smbiostest

import "encoding/binary"

// Structure is a structure of a type and length with fields set, and its strings.
func Structure(kind byte, length int, fields map[int]any, strings ...string) []byte {
	b := make([]byte, length)
	b[0], b[1] = kind, byte(length)
	for at, v := range fields {
		var raw []byte
		switch v := v.(type) {
		case uint8:
			raw = []byte{v}
		case uint16:
			raw = binary.LittleEndian.AppendUint16(nil, v)
		case uint32:
			raw = binary.LittleEndian.AppendUint32(nil, v)
		case uint64:
			raw = binary.LittleEndian.AppendUint64(nil, v)
		}
		copy(b[at:], raw)
	}
	for _, s := range strings {
		b = append(append(b, s...), 0)
	}
	if len(strings) == 0 {
		b = append(b, 0)
	}
	return append(b, 0)
}

// OEM is a structure of OEM strings.
func OEM(strings ...string) []byte {
	return Structure(11, 5, map[int]any{4: uint8(len(strings))}, strings...)
}

// The first structure of most tables, and the last one.
var (
	BIOS = Structure(0, 24, nil, "Vendor", "03.05", "04/01/2024")
	Last = Structure(127, 4, nil)
)
