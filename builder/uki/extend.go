package uki

import (
	"encoding/binary"
	"fmt"
	"math"
)

// pageSize is the alignment of our sections in memory: the firmware protects
// pages, and the stub of systemd 252 asks for less than one.
const pageSize = 4096

// section is a section to be added.
type section struct {
	name   string
	data   []byte
	memory int64 // bytes in memory when they are more than those of data
	code   bool
}

// extend returns a copy of the program with more sections.
func (p *program) extend(add []section) ([]byte, error) {
	if p.count+len(add) > maxSections {
		return nil, fmt.Errorf("%d sections, expected at most %d", p.count+len(add), maxSections)
	}
	for i := range p.count {
		for _, s := range add {
			if p.sectionName(i) == s.name {
				return nil, fmt.Errorf("the stub has a section %s already", s.name)
			}
		}
	}
	grow, err := p.headerGrowth(len(add))
	if err != nil {
		return nil, err
	}
	out, err := p.copyWithRoom(grow, add)
	if err != nil {
		return nil, err
	}
	for _, s := range add {
		if err := out.append(s); err != nil {
			return nil, err
		}
	}
	out.set32(out.optional+offSizeOfImage, roundUp(out.memoryEnd(), int64(out.u32(out.optional+offSectionAlign))))
	out.set32(out.optional+offCheckSum, 0)
	out.set32(out.optional+offCheckSum, int64(checksum(out.data)))
	return out.data, nil
}

// headerGrowth returns by how much the headers must grow so that n more fit
// in the section table.
func (p *program) headerGrowth(n int) (int64, error) {
	have, need := int64(p.u32(p.optional+offSizeOfHeaders)), int64(p.section(p.count+n))
	if need <= have {
		return 0, nil
	}
	grow := roundUp(need-have, int64(p.u32(p.optional+offFileAlign)))
	for i := range p.count {
		if first := int64(p.u32(p.section(i) + offVirtualAddr)); have+grow > first {
			return 0, fmt.Errorf("no room for %d more sections: headers of %d bytes, section %q begins at %d in memory", n, have+grow, p.sectionName(i), first)
		}
	}
	return grow, nil
}

// copyWithRoom returns a copy with capacity for more sections, whose headers
// are grow bytes larger. What follows the last section in the file, a symbol
// table or a signature, is left out.
func (p *program) copyWithRoom(grow int64, add []section) (*program, error) {
	headers := int64(p.u32(p.optional + offSizeOfHeaders))
	end, fileAlign := headers, int64(p.u32(p.optional+offFileAlign))
	for i := range p.count {
		if size := int64(p.u32(p.section(i) + offRawSize)); size > 0 {
			end = max(end, int64(p.u32(p.section(i)+offRawPointer))+size)
		}
	}
	total := roundUp(end+grow, fileAlign)
	for _, s := range add {
		total += roundUp(int64(len(s.data)), fileAlign)
	}
	if total > math.MaxUint32 {
		return nil, fmt.Errorf("%d bytes, expected less than 4 GiB", total)
	}
	q := *p
	q.data = make([]byte, 0, total)
	q.data = append(q.data, p.data[:headers]...)
	q.data = append(q.data, make([]byte, grow)...)
	q.data = append(q.data, p.data[headers:end]...)
	// Behind the table may stand what the old linker left there.
	clear(q.data[q.section(q.count):q.section(q.count+len(add))])
	q.set32(q.coff+offSymbolTable, 0)
	q.set32(q.coff+offSymbolCount, 0)
	if at, ok := q.directory(directoryCertificate); ok {
		clear(q.data[at : at+sizeDirectory])
	}
	if grow > 0 {
		q.move(grow)
	}
	return &q, nil
}

// move adds grow to every file offset that the headers hold.
func (p *program) move(grow int64) {
	p.set32(p.optional+offSizeOfHeaders, int64(p.u32(p.optional+offSizeOfHeaders))+grow)
	for i := range p.count {
		if at := p.section(i) + offRawPointer; p.u32(at) > 0 {
			p.set32(at, int64(p.u32(at))+grow)
		}
	}
	dir, ok := p.directory(directoryDebug)
	if !ok {
		return
	}
	at, size := int64(p.u32(dir)), int64(p.u32(dir+4))
	for i := range p.count {
		s := p.section(i)
		from, stored := int64(p.u32(s+offVirtualAddr)), int64(p.u32(s+offRawSize))
		if at < from || at+size > from+stored {
			continue
		}
		entries := p.data[int64(p.u32(s+offRawPointer))+at-from:][:size]
		for ; len(entries) >= sizeDebugEntry; entries = entries[sizeDebugEntry:] {
			if raw := binary.LittleEndian.Uint32(entries[offDebugRaw:]); raw > 0 {
				binary.LittleEndian.PutUint32(entries[offDebugRaw:], raw+uint32(grow))
			}
		}
		return
	}
}

// memoryEnd returns the first address behind all sections.
func (p *program) memoryEnd() int64 {
	var end int64
	for i := range p.count {
		s := p.section(i)
		end = max(end, int64(p.u32(s+offVirtualAddr))+max(int64(p.u32(s+offVirtualSize)), int64(p.u32(s+offRawSize))))
	}
	return end
}

// append adds a section behind all others. There must be room in the headers.
func (p *program) append(s section) error {
	fileAlign := int64(p.u32(p.optional + offFileAlign))
	address := roundUp(p.memoryEnd(), max(pageSize, int64(p.u32(p.optional+offSectionAlign))))
	memory := max(s.memory, int64(len(s.data)))
	if address+memory > math.MaxUint32-1<<16 {
		return fmt.Errorf("section %s ends at %d in memory, expected less than 4 GiB", s.name, address+memory)
	}
	p.data = append(p.data, make([]byte, roundUp(int64(len(p.data)), fileAlign)-int64(len(p.data)))...)
	raw := int64(len(p.data))
	p.data = append(p.data, s.data...)
	p.data = append(p.data, make([]byte, roundUp(int64(len(s.data)), fileAlign)-int64(len(s.data)))...)

	at := p.section(p.count)
	copy(p.data[at:at+8], s.name)
	p.set32(at+offVirtualSize, memory)
	p.set32(at+offVirtualAddr, address)
	p.set32(at+offRawSize, roundUp(int64(len(s.data)), fileAlign))
	p.set32(at+offRawPointer, raw)
	if s.code {
		p.set32(at+offSectionFlags, flagCode|flagRead|flagExecute)
	} else {
		p.set32(at+offSectionFlags, flagInitializedData|flagRead)
		size := p.optional + offInitializedData
		p.set32(size, int64(p.u32(size))+roundUp(int64(len(s.data)), fileAlign))
	}
	p.count++
	p.set16(p.coff+offSectionCount, p.count)
	return nil
}

// checksum returns the sum that a PE header holds: all words of 16 bits added
// with the carry, those of the sum itself taken for 0, and the length.
func checksum(data []byte) uint32 {
	var sum uint64
	whole := len(data) &^ 3
	for i := 0; i < whole; i += 4 {
		sum += uint64(binary.LittleEndian.Uint32(data[i:]))
	}
	var tail [4]byte
	copy(tail[:], data[whole:])
	sum += uint64(binary.LittleEndian.Uint32(tail[:]))
	for sum > math.MaxUint16 {
		sum = sum>>16 + sum&math.MaxUint16
	}
	return uint32(sum) + uint32(len(data))
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }
