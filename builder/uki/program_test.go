package uki_test

import (
	"cmp"
	"encoding/binary"
	"strings"
	"testing"
)

// programShape says what a made-up EFI program looks like. Zero values stand
// for a small valid stub.
type programShape struct {
	headers   int // size of headers
	first     int // address of the first section
	alignment int // of sections
	symbols   int // bytes of a symbol table behind everything
	debug     bool
	signed    bool
}

// Offsets in makeProgram's result.
const (
	testCOFF     = 0x80 + 4
	testOptional = testCOFF + 20
	testTable    = testOptional + 112 + 16*8
)

// makeProgram returns an EFI program with sections .text and .sbat.
func makeProgram(s programShape) []byte {
	le := binary.LittleEndian
	headers, first, align := cmp.Or(s.headers, 0x400), cmp.Or(s.first, 0x1000), cmp.Or(s.alignment, 0x200)
	b := make([]byte, headers)
	copy(b, "MZ")
	le.PutUint32(b[0x3c:], 0x80)
	copy(b[0x80:], "PE\x00\x00")
	le.PutUint16(b[testCOFF:], 0x8664)
	le.PutUint16(b[testCOFF+2:], 2)
	le.PutUint16(b[testCOFF+16:], 112+16*8)
	opt := b[testOptional:]
	le.PutUint16(opt, 0x20b)
	le.PutUint32(opt[32:], uint32(align))
	le.PutUint32(opt[36:], 0x200)
	le.PutUint32(opt[56:], uint32(first+0x2000))
	le.PutUint32(opt[60:], uint32(headers))
	le.PutUint32(opt[108:], 16)
	for i, name := range []string{".text", ".sbat"} {
		at := b[testTable+40*i:]
		copy(at, name)
		le.PutUint32(at[8:], 0x180)
		le.PutUint32(at[12:], uint32(first+0x1000*i))
		le.PutUint32(at[16:], 0x200)
		le.PutUint32(at[20:], uint32(len(b)))
		body := make([]byte, 0x200)
		copy(body, strings.Repeat(name, 0x180/len(name)))
		if s.debug && i == 0 { // one debug entry that points at its own section
			clear(body[:28])
			le.PutUint32(body[24:], uint32(len(b)+0x40))
			le.PutUint32(opt[112+6*8:], uint32(first))
			le.PutUint32(opt[112+6*8+4:], 28)
		}
		b = append(b, body...)
		opt = b[testOptional:]
	}
	if s.symbols > 0 {
		le.PutUint32(b[testCOFF+8:], uint32(len(b)))
		le.PutUint32(b[testCOFF+12:], 1)
		b = append(b, make([]byte, s.symbols)...)
	}
	if s.signed {
		le.PutUint32(b[testOptional+112+4*8:], uint32(len(b)))
		le.PutUint32(b[testOptional+112+4*8+4:], 16)
		b = append(b, make([]byte, 16)...)
	}
	return b
}

// patched returns a program with a little-endian value at an offset.
func patched(b []byte, at int, v uint32) []byte {
	b = append([]byte(nil), b...)
	binary.LittleEndian.PutUint32(b[at:], v)
	return b
}

// wantError wants an error that holds a text, or none when that is "".
func wantError(t testing.TB, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("error %v; want none", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error %v; want %q in it", err, want)
	}
}
