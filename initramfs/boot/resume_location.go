package boot

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
)

// maxPage bounds the number of a page, so that its place in bytes is an int64.
const maxPage = 1<<51 - 1

// HibernateLocation is where systemd says that it hibernated to: the EFI
// variable of this name, written by systemd 255 and later. It is JSON in
// UTF-16, little-endian, with a zero at its end (src/shared/hibernate-util.c and
// efi_set_variable_string in src/basic/efivars.c of systemd).
type HibernateLocation struct {
	UUID   string // of the file system, as blkid prints it
	Offset int64  // of the swap header in pages of 4096 bytes
	Kernel string // release of the kernel that hibernated, "" when unknown
}

// ParseHibernateLocation reads the variable as efivarfs shows it: four bytes of
// attributes, then the value. Members that are not of interest may be there, as
// they may in systemd.
func ParseHibernateLocation(raw []byte) (HibernateLocation, error) {
	const attributes = 4
	if len(raw) < attributes || len(raw)%2 != 0 {
		return HibernateLocation{}, fmt.Errorf("HibernateLocation: %d bytes, expected attributes and text in UTF-16", len(raw))
	}
	units := make([]uint16, 0, len(raw)/2)
	for at := attributes; at < len(raw); at += 2 {
		units = append(units, binary.LittleEndian.Uint16(raw[at:]))
	}
	text := strings.TrimRight(string(utf16.Decode(units)), "\x00")
	var v struct {
		UUID   string  `json:"uuid"`
		Offset *uint64 `json:"offset"`
		Kernel string  `json:"kernelVersion"`
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return HibernateLocation{}, fmt.Errorf("HibernateLocation: %w", err)
	}
	if v.Offset == nil || *v.Offset > maxPage {
		return HibernateLocation{}, errors.New("HibernateLocation: no offset, or one beyond any disk")
	}
	id, err := hex.DecodeString(strings.ReplaceAll(v.UUID, "-", ""))
	if err != nil || len(id) != 16 {
		return HibernateLocation{}, fmt.Errorf("HibernateLocation: uuid %q, expected 32 hexadecimal digits", v.UUID)
	}
	return HibernateLocation{UUID: formatUUID([16]byte(id)), Offset: int64(*v.Offset), Kernel: v.Kernel}, nil
}
