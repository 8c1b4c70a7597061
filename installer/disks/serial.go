package disks

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// vpdSerial returns the serial number in page 0x80 of a SCSI device's vital
// product data (SPC-4 7.8.13, Unit Serial Number), "" when it has none: a byte
// that is not used here, the number of the page, and a length of two bytes,
// big-endian, before the text.
func vpdSerial(page []byte) string {
	if len(page) < 4 || page[1] != 0x80 {
		return ""
	}
	text := page[4:]
	if n := int(binary.BigEndian.Uint16(page[2:])); n < len(text) {
		text = text[:n]
	}
	return strings.Trim(string(text), " \x00")
}

// udevSerial returns the serial number in a device's file of udev's database,
// whose lines of properties are E:KEY=VALUE.
func udevSerial(data []byte) string {
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "E:ID_SERIAL_SHORT="); ok {
			return strings.TrimSpace(unescapeHex(value))
		}
	}
	return ""
}

// unescapeHex replaces \xNN by the byte, as udev writes what is not plain.
func unescapeHex(text string) string {
	const mark, digits = `\x`, 2
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, mark)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		if text = rest; len(rest) >= digits {
			if n, err := strconv.ParseUint(rest[:digits], 16, 8); err == nil {
				b.WriteByte(byte(n))
				text = rest[digits:]
				continue
			}
		}
		b.WriteString(mark)
	}
}
