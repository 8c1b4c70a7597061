package reader

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
)

// index says where blobs are.
type index struct {
	data  table
	trees table
	packs []ID
}

// place is where a blob is. There may be several of one ID. It takes 48 bytes.
type place struct {
	id     ID
	pack   uint32 // of index.packs
	offset uint32
	length uint32 // as it is encrypted
	plain  uint32 // when it is decompressed; 0 if it is not compressed
}

// size returns how many bytes a blob has when it is decrypted and decompressed.
func (p place) size() uint32 {
	if p.plain != 0 {
		return p.plain
	}
	return p.length - overhead
}

// table holds places by their ID, in little more memory than they take: a map
// takes twice as much, and a slice for all takes it while it grows.
type table struct {
	buckets [256][]place // by the first byte of the ID; sorted by seal
}

func (t *table) add(p place) {
	b := &t.buckets[p.id[0]]
	*b = append(*b, p)
}

// seal sorts the table, so that find finds.
func (t *table) seal() {
	for _, b := range t.buckets {
		slices.SortFunc(b, func(a, b place) int {
			return cmp.Or(compareIDs(a.id, b.id), cmp.Compare(a.pack, b.pack), cmp.Compare(a.offset, b.offset))
		})
	}
}

// find returns all places of an ID.
func (t *table) find(id ID) []place {
	b := t.buckets[id[0]]
	first, _ := slices.BinarySearchFunc(b, id, func(p place, id ID) int { return compareIDs(p.id, id) })
	last := first
	for last < len(b) && b[last].id == id {
		last++
	}
	return b[first:last]
}

func compareIDs(a, b ID) int { return bytes.Compare(a[:], b[:]) }

// ReadIndex reads all files of the index, once. One that another supersedes is read
// too: a prune that was cut short leaves some, and all that they can do is name a
// place where a blob no longer is, of several. It takes 48 bytes of memory for each
// blob.
func (r *Repository) ReadIndex(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.indexed {
		return nil
	}
	x, err := r.readIndex(ctx)
	if err == nil {
		r.index, r.indexed = x, true
	}
	return err
}

func (r *Repository) readIndex(ctx context.Context) (x index, err error) {
	ids, err := r.list("index")
	if err != nil {
		return x, err
	}
	for _, id := range ids {
		if ctx.Err() != nil {
			return x, context.Cause(ctx)
		}
		text, err := r.document("index", id, maxIndex)
		if err != nil {
			return x, err
		}
		if err := decodeIndex(text, &x); err != nil {
			return x, damaged("index/"+id.String(), "%w", err)
		}
	}
	if err := x.seal(); err != nil {
		return x, damaged("index", "%w", err)
	}
	return x, nil
}

// seal sorts the index. Blobs of one ID are of one length.
func (x *index) seal() error {
	x.trees.seal()
	x.data.seal()
	for _, b := range x.data.buckets {
		for j := 1; j < len(b); j++ {
			if b[j].id == b[j-1].id && b[j].size() != b[j-1].size() {
				return fmt.Errorf("blob %.8s…: has %d bytes, and elsewhere %d", b[j].id, b[j-1].size(), b[j].size())
			}
		}
	}
	return nil
}
