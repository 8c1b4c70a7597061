package reader

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// Check returns what firmware or a loader might stumble over: sections outside
// the file, on top of each other or beyond the size that the header tells, and
// a checksum that is not that of the file. It reads the whole file.
func (p *Program) Check() []error {
	bad := p.checkSections()
	if p.StoredSum == 0 {
		return bad // nobody but Windows looks at it
	}
	sum, err := p.sum()
	switch {
	case err != nil:
		bad = append(bad, err)
	case sum != p.StoredSum:
		bad = append(bad, fmt.Errorf("checksum of the program is %#x, its header says %#x", sum, p.StoredSum))
	}
	return bad
}

func (p *Program) checkSections() (bad []error) {
	report := func(s Section, format string, args ...any) {
		bad = append(bad, fmt.Errorf("section %s: %w", s.Name, fmt.Errorf(format, args...)))
	}
	for _, s := range p.Sections {
		if s.Stored > 0 && (s.Offset < p.HeaderSize || s.Offset+s.Stored > p.size) {
			report(s, "bytes %d to %d of the file, expected them between %d and %d", s.Offset, s.Offset+s.Stored, p.HeaderSize, p.size)
		}
		if s.Address+s.Memory > p.MemorySize {
			report(s, "ends at %d in memory, the program at %d", s.Address+s.Memory, p.MemorySize)
		}
	}
	inFile, inMemory := slices.Clone(p.Sections), slices.Clone(p.Sections)
	slices.SortFunc(inFile, func(a, b Section) int { return cmp.Compare(a.Offset, b.Offset) })
	slices.SortFunc(inMemory, func(a, b Section) int { return cmp.Compare(a.Address, b.Address) })
	inFile = slices.DeleteFunc(inFile, func(s Section) bool { return s.Stored == 0 })
	for i := range max(len(inFile), 1) - 1 {
		if end := inFile[i].Offset + inFile[i].Stored; end > inFile[i+1].Offset {
			report(inFile[i+1], "begins at %d in the file, section %s ends at %d", inFile[i+1].Offset, inFile[i].Name, end)
		}
	}
	for i := range max(len(inMemory), 1) - 1 {
		if end := inMemory[i].Address + inMemory[i].Memory; end > inMemory[i+1].Address {
			report(inMemory[i+1], "begins at %d in memory, section %s ends at %d", inMemory[i+1].Address, inMemory[i].Name, end)
		}
	}
	return bad
}

// sum computes the checksum of the file.
func (p *Program) sum() (uint32, error) {
	buf := make([]byte, 1<<16) // of even length, so that no word is cut
	var sum uint32
	for at := int64(0); at < p.size; at += int64(len(buf)) {
		part := buf[:min(int64(len(buf)), p.size-at)]
		if err := readFull(p.r, part, at, p.size); err != nil {
			return 0, err
		}
		if from, to := max(at, p.sumAt), min(at+int64(len(part)), p.sumAt+4); from < to {
			clear(part[from-at : to-at])
		}
		if len(part)%2 == 1 {
			part = append(part, 0)
		}
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.LittleEndian.Uint16(part[i:]))
			sum = sum>>16 + sum&0xffff
		}
	}
	return sum + uint32(p.size), nil
}
