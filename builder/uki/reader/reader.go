// Package reader reads EFI programs: kernels, boot loaders and unified kernel
// images. It shares no code with the package that makes the latter.
//
// Sources: as for package uki. The headers are decoded by debug/pe.
package reader

import (
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// maxTextSection bounds the sections that Text reads.
const maxTextSection = 1 << 20

// Program is an EFI program.
type Program struct {
	Machine    uint16 // of the PE format, such as pe.IMAGE_FILE_MACHINE_AMD64
	MemorySize int64  // bytes it takes when it is loaded
	HeaderSize int64  // bytes of headers, padding included
	StoredSum  uint32 // the header's checksum; many linkers leave it 0
	Sections   []Section

	r     io.ReaderAt
	size  int64
	sumAt int64 // offset of the checksum
}

// Section is a part of a program.
type Section struct {
	Name    string
	Address int64 // in memory
	Memory  int64 // bytes in memory
	Offset  int64 // in the file
	Stored  int64 // bytes in the file, padding included
}

// Size returns the bytes of the section that are content, not padding.
func (s Section) Size() int64 { return min(s.Memory, s.Stored) }

// Open reads the headers of the program of size bytes behind r. Its errors
// have class fault.Input.
func Open(r io.ReaderAt, size int64) (*Program, error) {
	p, err := open(r, size)
	if err != nil {
		return nil, fault.New(fault.Input, "", "EFI program: %w", err)
	}
	return p, nil
}

func open(r io.ReaderAt, size int64) (*Program, error) {
	var dos [0x40]byte
	if err := readFull(r, dos[:], 0, size); err != nil {
		return nil, err
	}
	if string(dos[:2]) != "MZ" {
		return nil, fmt.Errorf("begins with % x, expected MZ", dos[:2])
	}
	f, err := pe.NewFile(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, err
	}
	h, ok := f.OptionalHeader.(*pe.OptionalHeader64)
	if !ok {
		return nil, errors.New("no 64-bit optional header")
	}
	p := &Program{
		Machine: f.Machine, MemorySize: int64(h.SizeOfImage), HeaderSize: int64(h.SizeOfHeaders), StoredSum: h.CheckSum,
		r: r, size: size, sumAt: int64(binary.LittleEndian.Uint32(dos[0x3c:])) + 4 + 20 + 64,
	}
	for _, s := range f.Sections {
		p.Sections = append(p.Sections, Section{s.Name, int64(s.VirtualAddress), int64(s.VirtualSize), int64(s.Offset), int64(s.Size)})
	}
	return p, nil
}

// Section returns the section of a name, which is an error when there is none
// or more than one.
func (p *Program) Section(name string) (Section, error) {
	i := slices.IndexFunc(p.Sections, func(s Section) bool { return s.Name == name })
	switch {
	case i < 0:
		return Section{}, fmt.Errorf("no section %s", name)
	case slices.ContainsFunc(p.Sections[i+1:], func(s Section) bool { return s.Name == name }):
		return Section{}, fmt.Errorf("section %s is there more than once", name)
	}
	return p.Sections[i], nil
}

// Content returns the bytes of a section.
func (p *Program) Content(name string) (*io.SectionReader, error) {
	s, err := p.Section(name)
	if err != nil {
		return nil, err
	}
	if s.Offset+s.Size() > p.size {
		return nil, fmt.Errorf("section %s: bytes %d to %d, the file has %d", name, s.Offset, s.Offset+s.Size(), p.size)
	}
	return io.NewSectionReader(p.r, s.Offset, s.Size()), nil
}

// Text returns the content of a section of text of up to 1 MiB.
func (p *Program) Text(name string) (string, error) {
	r, err := p.Content(name)
	if err != nil {
		return "", err
	}
	if r.Size() > maxTextSection {
		return "", fmt.Errorf("section %s: %d bytes, expected at most %d", name, r.Size(), maxTextSection)
	}
	b, err := io.ReadAll(r)
	return string(b), err
}

// IsUKI reports whether the program is a unified kernel image.
func (p *Program) IsUKI() bool {
	_, err := p.Section(".linux")
	return err == nil
}

// readFull fills b from offset at, which must lie in the size bytes of r.
func readFull(r io.ReaderAt, b []byte, at, size int64) error {
	if at+int64(len(b)) > size {
		return fmt.Errorf("%d bytes, expected at least %d", size, at+int64(len(b)))
	}
	if n, err := r.ReadAt(b, at); n < len(b) {
		return fmt.Errorf("bytes %d to %d: %w", at, at+int64(len(b)), err)
	}
	return nil
}
