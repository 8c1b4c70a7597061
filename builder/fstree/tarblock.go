package fstree

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// blockSize is the unit of a tar archive: every header and, padded with zeros,
// every member's data is a multiple of it.
const blockSize = 512

// Type flags of tar headers. Source: POSIX.1-2017, pax, "ustar Interchange
// Format"; GNU tar's manual, "Basic Tar Format".
const (
	flagOld        = 0 // regular file of the formats before ustar
	flagRegular    = '0'
	flagLink       = '1'
	flagSymlink    = '2'
	flagChar       = '3'
	flagBlock      = '4'
	flagDir        = '5'
	flagFIFO       = '6'
	flagContiguous = '7' // a regular file to everyone
	flagGlobal     = 'g' // PAX records for all members that follow
	flagRecords    = 'x' // PAX records for the next member
	flagSparse     = 'S' // GNU: regular file with holes
	flagLongLink   = 'K' // GNU: link target of the next member
	flagLongName   = 'L' // GNU: name of the next member
	flagVolume     = 'V' // GNU: name of the archive
)

// tarBlock is one header block. Fields are read by offset and length.
type tarBlock [blockSize]byte

func (b *tarBlock) isZero() bool   { return *b == tarBlock{} }
func (b *tarBlock) typeflag() byte { return b[156] }
func (b *tarBlock) isUSTAR() bool  { return string(b[257:263]) == "ustar\x00" }
func (b *tarBlock) isGNU() bool    { return string(b[257:265]) == "ustar  \x00" }

// check compares the checksum: the sum of all bytes with the field itself
// taken as spaces. Some old programs summed signed bytes.
func (b *tarBlock) check() error {
	want, err := tarNumber(b[148:156])
	if err != nil {
		return fmt.Errorf("no tar header: checksum: %w", err)
	}
	var unsigned, signed int64
	for i, c := range b {
		if i >= 148 && i < 156 {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	if want != unsigned && want != signed {
		return fmt.Errorf("no tar header: its checksum is %d, expected %d", want, unsigned)
	}
	return nil
}

// text returns a string field, which a NUL ends unless it is full.
func (b *tarBlock) text(off, length int) string {
	field := b[off : off+length]
	if i := bytes.IndexByte(field, 0); i >= 0 {
		field = field[:i]
	}
	return string(field)
}

// name returns the name with ustar's prefix. In GNU's format the same bytes
// mean something else.
func (b *tarBlock) name() string {
	name := b.text(0, 100)
	if b.isUSTAR() {
		if prefix := b.text(345, 155); prefix != "" {
			return prefix + "/" + name
		}
	}
	return name
}

// number reads a numeric field that must lie between 0 and limit.
func (b *tarBlock) number(what string, off, length int, limit int64) (int64, error) {
	n, err := tarNumber(b[off : off+length])
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	return n, inRange(what, n, limit)
}

func inRange(what string, n, limit int64) error {
	if n < 0 || n > limit {
		return fmt.Errorf("%s %d, expected 0 to %d", what, n, limit)
	}
	return nil
}

// tarNumber reads octal digits with spaces or NULs around them, or, if the
// first bit is set, GNU's big-endian two's complement in the other bits.
func tarNumber(field []byte) (int64, error) {
	if len(field) > 0 && field[0]&0x80 != 0 {
		return base256(field)
	}
	digits := string(bytes.Trim(field, " \x00"))
	if digits == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(digits, 8, 63)
	if err != nil {
		return 0, fmt.Errorf("got %q, expected octal digits", digits)
	}
	return int64(n), nil
}

func base256(field []byte) (int64, error) {
	var flip byte
	if field[0]&0x40 != 0 {
		flip = 0xff
	}
	var n uint64
	for i, c := range field {
		c ^= flip
		if i == 0 {
			c &= 0x7f
		}
		if n > math.MaxInt64>>8 {
			return 0, errors.New("binary number of more than 64 bits")
		}
		n = n<<8 | uint64(c)
	}
	if flip != 0 {
		return int64(^n), nil
	}
	return int64(n), nil
}
