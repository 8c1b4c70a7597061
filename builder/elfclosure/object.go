package elfclosure

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of what is read of a program or library.
const (
	// maxSegments is the number of program headers that fit what the kernel takes of
	// them, 65,536 bytes (load_elf_phdrs of fs/binfmt_elf.c).
	maxSegments = 65536 / segmentSize
	segmentSize = 56
	// maxDynamic bounds the entries of the dynamic section: the largest library of
	// Debian, of LLVM, has under 40.
	maxDynamic = 4096
	// maxPath bounds a string in bytes with its NUL, as PATH_MAX does. The run paths of
	// a program of NixOS are one string, which may be longer.
	maxPath    = 4096
	maxRunPath = 64 << 10
)

// errOtherMachine is the error for a program or library of another processor, which
// ld.so passes over.
var errOtherMachine = errors.New("is not for x86-64")

// object is what a program or a library says of itself.
type object struct {
	interpreter string   // absolute path of the loader; "" for a library and a static program
	soname      string   // the library's name of itself, or ""
	needed      []string // names of libraries, in order
	rpath       []string // folders, with $ORIGIN in them
	runpath     []string // so too; takes the place of rpath
	hasRunPath  bool
	noDefault   bool // neither /etc/ld.so.conf nor the folders that are compiled in
}

// decode reads the object in r, of size bytes.
func decode(r io.ReaderAt, size int64) (*object, error) {
	d := &decoder{r: r, size: size}
	if err := d.readHeader(); err != nil {
		return nil, err
	}
	o := &object{}
	var dynamic *elf.Prog64
	for i := range d.segments {
		s := &d.segments[i]
		switch elf.ProgType(s.Type) {
		case elf.PT_INTERP:
			if s.Filesz < 2 || s.Filesz > maxPath {
				return nil, fmt.Errorf("path of the loader of %d bytes, expected 2 to %d", s.Filesz, maxPath)
			}
			text, err := d.text(s.Off, int(s.Filesz))
			if err != nil {
				return nil, fmt.Errorf("path of the loader: %w", err)
			}
			if !strings.HasPrefix(text, "/") {
				return nil, fmt.Errorf("path of the loader %q, expected an absolute one", text)
			}
			o.interpreter = text
		case elf.PT_DYNAMIC:
			dynamic = s
		}
	}
	if dynamic == nil {
		return o, nil
	}
	return o, d.readDynamic(o, dynamic)
}

// decoder reads one object.
type decoder struct {
	r        io.ReaderAt
	size     int64
	segments []elf.Prog64
}

// read fills a structure from an offset.
func (d *decoder) read(offset uint64, length int, to any) error {
	if offset > uint64(d.size) || uint64(length) > uint64(d.size)-offset {
		return fmt.Errorf("ends at byte %d, expected %d bytes at %d", d.size, length, offset)
	}
	return binary.Read(io.NewSectionReader(d.r, int64(offset), int64(length)), binary.LittleEndian, to)
}

// text returns the string at an offset, which ends with a NUL within limit bytes.
func (d *decoder) text(offset uint64, limit int) (string, error) {
	if offset >= uint64(d.size) {
		return "", fmt.Errorf("ends at byte %d, expected a string at %d", d.size, offset)
	}
	var b strings.Builder
	for buf := make([]byte, 256); b.Len() < limit; {
		n := min(len(buf), limit-b.Len())
		n, err := d.r.ReadAt(buf[:n], int64(offset)+int64(b.Len()))
		if i := strings.IndexByte(string(buf[:n]), 0); i >= 0 {
			b.Write(buf[:i])
			return b.String(), nil
		}
		b.Write(buf[:n])
		if err != nil || n == 0 {
			return "", errors.New("string without an end")
		}
	}
	return "", fmt.Errorf("string of %d bytes or more", limit)
}

func (d *decoder) readHeader() error {
	var h elf.Header64
	if err := d.read(0, len(h.Ident), &h.Ident); err != nil || string(h.Ident[:4]) != elf.ELFMAG {
		return errors.New("expected an ELF program or library")
	}
	if elf.Class(h.Ident[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(h.Ident[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return errOtherMachine
	}
	if err := d.read(0, binary.Size(h), &h); err != nil {
		return err
	}
	switch {
	case elf.Machine(h.Machine) != elf.EM_X86_64:
		return errOtherMachine
	case elf.Type(h.Type) != elf.ET_EXEC && elf.Type(h.Type) != elf.ET_DYN:
		return fmt.Errorf("ELF file of type %d, expected a program or a library", h.Type)
	case h.Phentsize != segmentSize || h.Phnum == 0 || h.Phnum > maxSegments:
		return fmt.Errorf("%d program headers of %d bytes, expected 1 to %d of %d", h.Phnum, h.Phentsize, maxSegments, segmentSize)
	}
	d.segments = make([]elf.Prog64, h.Phnum)
	if err := d.read(h.Phoff, int(h.Phnum)*segmentSize, d.segments); err != nil {
		return fmt.Errorf("program headers: %w", err)
	}
	return nil
}

// offset returns where in the file an address of memory comes from.
func (d *decoder) offset(address uint64) (uint64, error) {
	for _, s := range d.segments {
		if elf.ProgType(s.Type) == elf.PT_LOAD && address >= s.Vaddr && address-s.Vaddr < s.Filesz && s.Off <= uint64(d.size) {
			return s.Off + (address - s.Vaddr), nil
		}
	}
	return 0, fmt.Errorf("address %#x: in no segment that is loaded", address)
}

// readDynamic reads the dynamic section.
func (d *decoder) readDynamic(o *object, s *elf.Prog64) error {
	count := s.Filesz / 16
	if count > maxDynamic {
		return fmt.Errorf("dynamic section of %d entries, expected at most %d", count, maxDynamic)
	}
	entries := make([]elf.Dyn64, count)
	if err := d.read(s.Off, int(count)*16, entries); err != nil {
		return fmt.Errorf("dynamic section: %w", err)
	}
	var table uint64
	for i, e := range entries {
		if elf.DynTag(e.Tag) == elf.DT_NULL {
			entries = entries[:i]
			break
		}
		if elf.DynTag(e.Tag) == elf.DT_STRTAB {
			table = e.Val
		}
	}
	for _, e := range entries {
		if err := d.dynamic(o, table, elf.DynTag(e.Tag), e.Val); err != nil {
			return fmt.Errorf("dynamic section, %v: %w", elf.DynTag(e.Tag), err)
		}
	}
	return nil
}

// dynamic takes one entry; table is the address of the strings.
func (d *decoder) dynamic(o *object, table uint64, tag elf.DynTag, value uint64) error {
	limit := maxPath
	switch tag {
	case elf.DT_FLAGS_1:
		o.noDefault = elf.DynFlag1(value)&elf.DF_1_NODEFLIB != 0
		return nil
	case elf.DT_RPATH, elf.DT_RUNPATH:
		limit = maxRunPath
	case elf.DT_NEEDED, elf.DT_SONAME:
	default:
		return nil
	}
	at, err := d.offset(table + value)
	if err != nil {
		return err
	}
	text, err := d.text(at, limit)
	if err != nil {
		return err
	}
	switch tag {
	case elf.DT_NEEDED:
		if text == "" {
			return errors.New("library without a name")
		}
		o.needed = append(o.needed, text)
	case elf.DT_SONAME:
		o.soname = text
	case elf.DT_RPATH:
		o.rpath = strings.Split(text, ":")
	case elf.DT_RUNPATH:
		o.runpath, o.hasRunPath = strings.Split(text, ":"), true
	}
	return nil
}
