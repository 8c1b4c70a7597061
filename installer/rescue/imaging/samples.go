package imaging

import (
	"bytes"
	"errors"
	"io"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// sampled is how many blocks of what a map calls rescued are compared before a copy
// goes on: few enough for a disk that fails, and all over it. The first of them
// has the identifier of a GPT, or the superblock of a file system.
const sampled = 16

// samples returns blocks, or parts of one, that are rescued, evenly and in order.
func (m *Map) samples(block int64) (list []Part) {
	total, _ := m.Count(Rescued)
	before, k := int64(0), int64(0)
	for p := range m.Parts(Rescued) {
		for ; k < sampled; k++ {
			// In this order the product has no more than 63 bits.
			at := (total-1)/(sampled-1)*k + (total-1)%(sampled-1)*k/(sampled-1) - before
			if at >= p.Length {
				break
			}
			at += p.Start
			start := max(p.Start, at-at%block)
			s := Part{Start: start, Length: min(block-start%block, p.end()-start), Status: Rescued}
			if len(list) == 0 || list[len(list)-1] != s {
				list = append(list, s)
			}
		}
		before += p.Length
	}
	return list
}

// compare is an error where the target does not have what the disk has, of what the
// map calls rescued: then map, disk and target are not of one copy. What the disk
// fails to read by now tells nothing.
func (c *copier) compare() error {
	if c.r.Trust {
		return nil
	}
	there := aligned(int(c.block))
	for _, s := range c.m.samples(c.block) {
		n, err := c.read(s.Start, s.Length)
		if err != nil {
			return err
		}
		got, err := c.r.Target.ReadAt(there[:n], s.Start)
		if err != nil && !errors.Is(err, io.EOF) {
			return c.written(err)
		}
		if !bytes.Equal(c.buffer[:n], there[:got]) {
			return fault.New(fault.Target, "name the image, or the disk, of this map; or name another one and another map to begin anew; "+
				"or, if it is the right one and the disk was only written to meanwhile, "+"--same-disk "+c.m.Origin.Word(),
				"copy: holds other bytes than the disk in the %d from byte %d on, which the map calls copied", n, s.Start)
		}
	}
	return nil
}
