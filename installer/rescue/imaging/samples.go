package imaging

import (
	"bytes"
	"errors"
	"fmt"
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

// Compared is what a comparison of disk and target has found, in blocks.
type Compared struct {
	Samples int // what was to be compared; 0 of a copy that begins
	Read    int // of these: what the disk could read, and was compared
	Differ  int // of these
	Same    int // are equal, and no zeros
}

func (k Compared) String() string {
	return fmt.Sprintf("%d of %d blocks compared, %d differ", k.Read, k.Samples, k.Differ)
}

// compare is an error where the target does not have what the disk has, of what the
// map calls rescued: then map, disk and target are not of one copy. What the disk
// fails to read by now tells nothing, and blocks that are zeros in both are in any copy.
// A disk that a person has named may have been written to: of it no more than half may
// differ.
func (c *copier) compare() error {
	samples := c.m.samples(c.block)
	k, first := Compared{Samples: len(samples)}, Part{}
	there := aligned(int(c.block))
	for _, s := range samples {
		n, err := c.read(s.Start, s.Length)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		got, err := c.r.Target.ReadAt(there[:n], s.Start)
		if err != nil && !errors.Is(err, io.EOF) {
			return c.written(err)
		}
		k.Read++
		switch {
		case !bytes.Equal(c.buffer[:n], there[:got]):
			if k.Differ++; k.Differ == 1 {
				first = Part{Start: s.Start, Length: n}
			}
		case !allZero(there[:got]):
			k.Same++
		}
	}
	if k.Differ > k.Same || k.Differ > 0 && !c.r.Trust {
		return c.otherCopy(k, first)
	}
	if c.r.Compared != nil {
		c.r.Compared(k)
	}
	return nil
}

// otherCopy is the error of a target that differs in a part.
func (c *copier) otherCopy(k Compared, first Part) error {
	hint := "name the image, or the disk, of this map; or name another one and another map to begin anew"
	if !c.r.Trust && k.Differ <= k.Same {
		hint += "; or, if it is the right one and the disk was only written to meanwhile, " + "--same-disk " + c.m.Origin.Word()
	}
	return fault.New(fault.Target, hint, "copy: holds other bytes than the disk in the %d from byte %d on, which the map calls copied: %s", first.Length, first.Start, k)
}
