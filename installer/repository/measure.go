package repository

import (
	"context"

	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// Counts is how much is restored.
type Counts struct {
	Files int64 // names of whatever type
	Bytes int64 // of regular files, each once whatever number of names it has
}

// Measure counts what a restore would bring, which takes it as long as to read all
// names. Of what is damaged it counts what can be read, which is as much as can be
// restored: then the error is nil, unless nothing can.
func (repo *Repository) Measure(ctx context.Context, r Restoring) (Counts, error) {
	opened, tree, err := repo.tree(ctx, r.Snapshot, r.From)
	if err != nil {
		return Counts{}, err
	}
	m := &measure{seen: map[inode]*reader.Node{}}
	w := &walker{repo: opened, includes: r.Includes, visitor: m}
	if err := w.walk(ctx, tree); err != nil {
		return Counts{}, err
	}
	if w.entries == 0 && m.broken != nil {
		return Counts{}, repo.unread(ctx, m.broken)
	}
	return Counts{w.entries, m.bytes}, nil
}

// measure is a visitor that counts.
type measure struct {
	bytes  int64
	seen   map[inode]*reader.Node // files of several names, by the first
	broken error                  // why the first tree cannot be read that cannot
}

func (m *measure) enter(*entry) error                  { return nil }
func (m *measure) leave(context.Context, *entry) error { return nil }

func (m *measure) visit(_ context.Context, e *entry) error {
	if e.Type != "file" {
		return nil
	}
	if e.Links > 1 {
		switch first := m.seen[e.inode()]; {
		case first == nil:
			m.seen[e.inode()] = e.Node
		case isSame(first, e.Node):
			return nil
		}
	}
	m.bytes = added(m.bytes, e.Size)
	return nil
}

func (m *measure) unread(_ string, err error) error {
	if m.broken == nil {
		m.broken = err
	}
	return nil
}

// maxCount is more than any disk has, and leaves room for sums.
const maxCount = 1 << 61

// added returns a sum, or maxCount where that would be more: sizes are what somebody
// has written down.
func added(sum int64, size uint64) int64 { return sum + int64(min(size, uint64(maxCount-sum))) }
