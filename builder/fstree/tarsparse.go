package fstree

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// sparsePart is a region of a sparse file and where its bytes are in the
// archive.
type sparsePart struct {
	Segment
	pos int64
}

// oldSparse reads the map of GNU's old format: four regions in the header, 21
// in every block that follows it as long as a flag says so. It leaves the scan
// at the member's data. Source: GNU tar's manual, "Old GNU Format".
func (s *tarScan) oldSparse(m *tarMember, header *tarBlock) error {
	if !header.isGNU() {
		return errors.New("sparse file in a format other than GNU's")
	}
	var err error
	if m.size, err = header.number("real size", 483, 12, math.MaxInt64); err != nil {
		return err
	}
	var numbers []int64
	block, at, count, more := header, 386, 4, header[482]
	for {
		for i := range 2 * count {
			if block[at+24*(i/2)] == 0 {
				break // regions end before the table does
			}
			n, err := block.number("sparse map", at+12*i, 12, math.MaxInt64)
			if err != nil {
				return err
			}
			numbers = append(numbers, n)
		}
		if more == 0 {
			break
		}
		if block, err = s.block(); err != nil {
			return err
		}
		at, count, more = 0, 21, block[504]
	}
	m.data = s.off
	return m.setParts(numbers)
}

// paxSparseMap gives m the map that PAX records announce. In format 1.0 it
// stands at the start of the member's data: a count, then offset and length of
// each region, each number in decimal and ended by a newline, padded to a
// block. Source: GNU tar's manual, "PAX Format, Version 1.0".
func (s *tarScan) paxSparseMap(m *tarMember, p *paxSparse) error {
	if p.size == nil {
		return errors.New("sparse file without its real size")
	}
	m.size = *p.size
	if p.major == "" {
		return m.setParts(p.numbers)
	}
	if p.major != "1" || p.minor != "0" {
		return fmt.Errorf("sparse format %.10s.%.10s, expected 0.0, 0.1 or 1.0", p.major, p.minor)
	}
	r := bufio.NewReaderSize(io.NewSectionReader(s.r, m.data, m.stored), blockSize)
	var used int64
	next := func() (int64, error) {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, errors.New("sparse map does not end within the member")
		}
		used += int64(len(line))
		n, err := strconv.ParseUint(string(line[:len(line)-1]), 10, 63)
		if err != nil {
			return 0, fmt.Errorf("sparse map: got %.40q, expected a number", line)
		}
		return int64(n), nil
	}
	count, err := next()
	if err != nil {
		return err
	}
	if count > m.stored/int64(len("0\n0\n")) {
		return fmt.Errorf("sparse map of %d regions in a member of %d bytes", count, m.stored)
	}
	var numbers []int64
	for range 2 * count {
		n, err := next()
		if err != nil {
			return err
		}
		numbers = append(numbers, n)
	}
	used += -used & (blockSize - 1)
	if used > m.stored {
		return errors.New("sparse map does not end within the member")
	}
	m.data, m.stored = m.data+used, m.stored-used
	return m.setParts(numbers)
}

// setParts checks a map, given as offset and length of each region in turn,
// and lays its regions one after another over the member's data.
func (m *tarMember) setParts(numbers []int64) error {
	if len(numbers)%2 != 0 {
		return errors.New("sparse map ends after an offset")
	}
	m.parts = []sparsePart{}
	end, pos := int64(0), m.data
	for i := 0; i < len(numbers); i += 2 {
		off, length := numbers[i], numbers[i+1]
		if off < end || length > m.size-off {
			return fmt.Errorf("sparse map: region of %d bytes at %d, expected from %d up to %d", length, off, end, m.size)
		}
		end = off + length
		if length > m.data+m.stored-pos {
			return fmt.Errorf("sparse map names more than the %d bytes stored", m.stored)
		}
		m.parts = appendPart(m.parts, sparsePart{Segment{off, length}, pos})
		pos += length
	}
	if pos != m.data+m.stored {
		return fmt.Errorf("sparse map names %d bytes of %d stored", pos-m.data, m.stored)
	}
	return nil
}

// appendPart appends a part, which is empty at the end of a file with a hole
// there, and joins it with the last one if they touch.
func appendPart(parts []sparsePart, p sparsePart) []sparsePart {
	if p.Length == 0 {
		return parts
	}
	if n := len(parts); n > 0 && parts[n-1].Offset+parts[n-1].Length == p.Offset {
		parts[n-1].Length += p.Length
		return parts
	}
	return append(parts, p)
}
