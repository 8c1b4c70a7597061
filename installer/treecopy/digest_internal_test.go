package treecopy

import (
	"bytes"
	"testing"
)

// TestSum: holes are zeros, and what is not is told by where it is, however it
// is divided into pieces on the grid of blocks.
func TestSum(t *testing.T) {
	text := append(bytes.Repeat([]byte("x"), block), append(make([]byte, 2*block), "end"...)...)
	sum := func(pieces ...int) [32]byte {
		s := newSum()
		for i, at := range pieces[:len(pieces)-1] {
			s.add(text[at:pieces[i+1]], int64(at))
		}
		return s.sum()
	}
	all := sum(0, len(text))
	if got := sum(0, block, 2*block, len(text)); got != all {
		t.Error("in pieces it is another sum")
	}
	hole := newSum()
	hole.add(text[:block], 0)
	hole.add(text[3*block:], 3*block)
	if hole.sum() != all {
		t.Error("with a hole it is another sum")
	}
	moved := newSum()
	moved.add(text[:block], 0)
	moved.add(text[3*block:], 2*block)
	if moved.sum() == all {
		t.Error("data elsewhere has the same sum")
	}
	if newSum().sum() == all {
		t.Error("nothing has the same sum")
	}
}
