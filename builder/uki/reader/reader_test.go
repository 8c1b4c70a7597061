package reader_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
	"github.com/6FaNcY9/mkimage/builder/uki/reader"
)

// bootDir is where systemd's EFI programs are.
const bootDir = "/usr/lib/systemd/boot/efi"

// TestForeign reads programs that others made.
func TestForeign(t *testing.T) {
	root := userland.Reference(t).Dir
	kernels, err := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*"))
	if err != nil || len(kernels) != 1 {
		t.Fatalf("kernels %q, %v; want one", kernels, err)
	}
	for _, file := range []string{kernels[0], filepath.Join(root, bootDir, "systemd-bootx64.efi"), filepath.Join(root, bootDir, "linuxx64.efi.stub")} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p, err := reader.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if p.Machine != 0x8664 || p.MemorySize < int64(len(b))/2 || p.IsUKI() {
			t.Errorf("%s: machine %#x, %d bytes in memory, UKI %v", file, p.Machine, p.MemorySize, p.IsUKI())
		}
		for _, bad := range p.Check() {
			t.Errorf("%s: %v", file, bad)
		}
	}
}

// small returns a program of one section ".text" and a second one called name,
// of 0x200 bytes each, half of which is padding, with a right checksum.
func small(name string) []byte {
	le := binary.LittleEndian
	b := append(smalldisk.EFIProgram("content of .text"), make([]byte, 0x200)...)
	le.PutUint16(b[0x46:], 2)
	le.PutUint32(b[0x58+56:], 0x3000)
	le.PutUint32(b[0x58+240+8:], 0x100)
	at := b[0x58+240+40:]
	copy(at, name)
	le.PutUint32(at[8:], 0x100)
	le.PutUint32(at[12:], 0x2000)
	le.PutUint32(at[16:], 0x200)
	le.PutUint32(at[20:], 0x600)
	copy(b[0x600:], "content of "+name)
	return seal(b)
}

// seal puts the checksum in, by the plainest reading of its definition.
func seal(b []byte) []byte {
	le := binary.LittleEndian
	le.PutUint32(b[0x58+64:], 0)
	sum := 0
	for i := 0; i < len(b); i += 2 {
		sum += int(b[i])
		if i+1 < len(b) {
			sum += int(b[i+1]) << 8
		}
		sum = sum>>16 + sum&0xffff
	}
	le.PutUint32(b[0x58+64:], uint32(sum+len(b)))
	return b
}

func TestCheck(t *testing.T) {
	set := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint32(b[at:], v); return seal(b) }
	}
	const second = 0x58 + 240 + 40
	for _, tt := range []struct {
		name string
		do   func([]byte) []byte
		want string // in the first finding; "" means none
	}{
		{"clean", func(b []byte) []byte { return b }, ""},
		{"odd length", func(b []byte) []byte { return seal(append(b, 7)) }, ""},
		{"no checksum", func(b []byte) []byte { clear(b[0x58+64:][:4]); return b }, ""},
		{"flipped byte", func(b []byte) []byte { b[0x410] ^= 1; return b }, "checksum of the program is"},
		{"sections end with the program", set(0x58+56, 0x2100), ""},
		{"program ends before its sections", set(0x58+56, 0x20ff), "section .linux: ends at 8448 in memory, the program at 8447"},
		{"sections touch in memory", set(second+12, 0x1100), ""},
		{"sections overlap in memory", set(second+12, 0x10ff), "section .linux: begins at 4351 in memory, section .text ends at 4352"},
		{"sections overlap in the file", set(second+20, 0x5ff), "section .linux: begins at 1535 in the file, section .text ends at 1536"},
		{"section in the headers", set(second+20, 0x3ff), "section .linux: bytes 1023 to 1535"},
		{"section beyond the end", set(second+20, 0x601), "section .linux: bytes 1537 to 2049"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.do(small(".linux"))
			p, err := reader.Open(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			bad := p.Check()
			switch {
			case tt.want == "" && len(bad) > 0:
				t.Errorf("found %v; want nothing", bad)
			case tt.want != "" && (len(bad) == 0 || !strings.Contains(bad[0].Error(), tt.want)):
				t.Errorf("found %v; want %q", bad, tt.want)
			}
		})
	}
}

func TestSections(t *testing.T) {
	b := small(".linux")
	p, err := reader.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := p.Text(".linux"); err != nil || strings.TrimRight(text, "\x00") != "content of .linux" || len(text) != 0x100 {
		t.Errorf("Text = %q, %v", text, err)
	}
	if _, err := p.Text(".osrel"); err == nil || err.Error() != "no section .osrel" {
		t.Errorf("Text of no section: %v", err)
	}
	b = small(".text")
	if p, err = reader.Open(bytes.NewReader(b), int64(len(b))); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Text(".text"); err == nil || err.Error() != "section .text is there more than once" {
		t.Errorf("Text of two sections: %v", err)
	}
	for n := range 0x190 {
		if _, err := reader.Open(bytes.NewReader(b[:n]), int64(n)); err == nil {
			t.Errorf("Open of the first %d bytes succeeds", n)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(small(".linux"))
	f.Add(append(small(".cmdline"), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := reader.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for _, s := range p.Sections {
			if text, err := p.Text(s.Name); err == nil && int64(len(text)) != s.Size() {
				t.Errorf("section %q: %d bytes; want %d", s.Name, len(text), s.Size())
			}
		}
		p.Check()
	})
}
