package cut

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// maxStates bounds the states after one call: code that leaves more unsynced is
// not tested by looking at them all.
const maxStates = 1 << 14

// States yields each state that a power cut now may leave, as a file system in
// which everything is on the disk. They share nothing with f, and none is there
// twice.
func (f *FS) States() (iter.Seq[*FS], error) {
	f.forget()
	choices, total := f.choices()
	if total > maxStates {
		return nil, fmt.Errorf("more than %d states after a power cut: too much is not synced", maxStates)
	}
	return func(yield func(*FS) bool) {
		seen := map[string]bool{}
		for number := range total {
			s := f.clone()
			rest := number
			for _, c := range choices {
				c.take(s.inodes[c.id], rest%c.count)
				rest /= c.count
			}
			s.settle()
			s.forget()
			if key := s.key(); !seen[key] {
				seen[key] = true
				if !yield(s) {
					return
				}
			}
		}
	}, nil
}

// choice is one thing that may be on the disk in several ways.
type choice struct {
	id    int
	count int
	take  func(n *inode, which int)
}

// choices returns all choices and the product of their counts, or a number above
// maxStates.
func (f *FS) choices() (list []choice, total int) {
	total = 1
	for _, id := range slices.Sorted(maps.Keys(f.inodes)) {
		n := f.inodes[id]
		for _, c := range []choice{n.names(), n.contents(), n.modes()} {
			c.id = id
			list = append(list, c)
			total = min(total*c.count, maxStates+1)
		}
	}
	return list, total
}

// names chooses which changes of a directory were written.
func (n *inode) names() choice {
	if len(n.pending) > 20 {
		return choice{count: maxStates + 1}
	}
	return choice{count: 1 << len(n.pending), take: func(n *inode, which int) {
		n.entries = n.certain
		for i, c := range n.pending {
			if which>>i&1 != 0 {
				c.apply(n.entries)
			}
		}
	}}
}

// contents chooses what of a file was written: nothing, all, a part, zeros, and
// parts with zeros for the rest.
func (n *inode) contents() choice {
	list := [][]byte{n.synced}
	if n.unsized {
		list = append(list, nil)
	}
	if n.dirty {
		size, half := len(n.data), len(n.data)/2
		zeros := make([]byte, size)
		list = append(list, n.data, n.data[:half], zeros,
			slices.Concat(n.data[:half], zeros[half:]), slices.Concat(zeros[:half], n.data[half:]))
		if size > 0 {
			list = append(list, n.data[:size-1])
		}
		slices.SortFunc(list, bytes.Compare)
		list = slices.CompactFunc(list, bytes.Equal)
	}
	return choice{count: len(list), take: func(n *inode, which int) { n.data = list[which] }}
}

// modes chooses which mode and owner was written.
func (n *inode) modes() choice {
	return choice{count: len(n.metas), take: func(n *inode, which int) { n.meta = n.metas[which] }}
}
