package disks

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"

	"github.com/6FaNcY9/mkimage/builder/ids"
)

// fields are where an identifier of 16 bytes and a label stand, in bytes from
// the signature. A uuid of 0 is none, and so is a labelSize of 0.
type fields struct{ uuid, label, labelSize int64 }

// read takes both into c.
func (f fields) read(p *probe, at int64, c *Content) bool {
	if f.uuid != 0 {
		c.UUID = uuidText(p.at(at+f.uuid, 16))
	}
	if f.labelSize != 0 {
		c.Label = text(p.at(at+f.label, f.labelSize))
	}
	return true
}

// uuidText returns an identifier as blkid prints it, "" for one of zeros.
func uuidText(b []byte) string {
	if len(b) != 16 || ids.UUID(b).IsZero() {
		return ""
	}
	return ids.UUID(b).String()
}

// text returns the text before the first zero byte, without spaces at its end.
func text(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return strings.TrimRight(s, " ")
}

// utf16Text returns little-endian UTF-16 before the first zero.
func utf16Text(b []byte) string {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return strings.TrimRight(string(utf16.Decode(units)), " ")
}

// le16, le32 and le64 return the little-endian number at an offset, 0 where
// there is none.
func le16(p *probe, at int64) int64 {
	b := p.at(at, 2)
	if b == nil {
		return 0
	}
	return int64(binary.LittleEndian.Uint16(b))
}

func le32(p *probe, at int64) int64 {
	b := p.at(at, 4)
	if b == nil {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(b))
}

func le64(p *probe, at int64) uint64 {
	b := p.at(at, 8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// byteAt returns the byte at an offset, 0 where there is none.
func byteAt(p *probe, at int64) byte {
	b := p.at(at, 1)
	if b == nil {
		return 0
	}
	return b[0]
}
