package reader

import (
	"bytes"
	"context"
	"fmt"
	"slices"
)

// index says how long blobs of data are, and where trees are.
type index struct {
	data  table[dataBlob]
	trees table[treeBlob]
	packs []ID
}

// dataBlob is one of data, whose place nobody asks for. It takes 36 bytes.
type dataBlob struct {
	id     ID
	length uint32 // of the plaintext
}

// treeBlob is one of a tree. There may be several of one ID.
type treeBlob struct {
	id     ID
	pack   uint32 // of index.packs
	offset uint32
	length uint32 // as it is encrypted
	plain  uint32 // when it is decompressed; 0 if it is not compressed
}

func (b dataBlob) named() ID { return b.id }
func (b treeBlob) named() ID { return b.id }

// table holds entries by their ID, in little more memory than they take: a map
// takes twice as much, and a slice for all takes it while it grows.
type table[E interface{ named() ID }] struct {
	buckets [256][]E // by the first byte of the ID; sorted by seal
}

func (t *table[E]) add(e E) {
	b := &t.buckets[e.named()[0]]
	*b = append(*b, e)
}

// seal sorts the table, so that find finds.
func (t *table[E]) seal() {
	for _, b := range t.buckets {
		slices.SortFunc(b, func(a, b E) int { return compareIDs(a.named(), b.named()) })
	}
}

// find returns all entries of an ID.
func (t *table[E]) find(id ID) ([]E, bool) {
	b := t.buckets[id[0]]
	first, ok := slices.BinarySearchFunc(b, id, func(e E, id ID) int { return compareIDs(e.named(), id) })
	last := first
	for last < len(b) && b[last].named() == id {
		last++
	}
	return b[first:last], ok
}

func compareIDs(a, b ID) int { return bytes.Compare(a[:], b[:]) }

// readIndexes reads all files of the index. One that another supersedes is read
// too: a prune that was cut short leaves some, and all that they can do is name a
// place where a tree no longer is, of several.
func (r *Repository) readIndexes(ctx context.Context) error {
	ids, err := r.list("index")
	if err != nil {
		return err
	}
	for _, id := range ids {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		text, err := r.document("index", id, maxIndex)
		if err != nil {
			return err
		}
		if err := decodeIndex(text, &r.index); err != nil {
			return damaged("index/"+id.String(), "%w", err)
		}
	}
	if err := r.index.seal(); err != nil {
		return damaged("index", "%w", err)
	}
	return nil
}

// seal sorts the index. Blobs of one ID are of one length.
func (x *index) seal() error {
	x.trees.seal()
	x.data.seal()
	for i, b := range x.data.buckets {
		for j := 1; j < len(b); j++ {
			if b[j].id == b[j-1].id && b[j].length != b[j-1].length {
				return fmt.Errorf("blob %.8s…: has %d bytes, and elsewhere %d", b[j].id, b[j-1].length, b[j].length)
			}
		}
		x.data.buckets[i] = slices.Compact(b)
	}
	return nil
}
