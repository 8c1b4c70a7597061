package reader

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path"
	"slices"
)

// anywhere returns the plaintext of a blob from the first of its places that has it;
// kind is "tree" or "blob".
func (r *Repository) anywhere(id ID, kind string, places []place) ([]byte, error) {
	if len(places) == 0 {
		return nil, damaged("index", "%s %.8s… is in no file of it", kind, id)
	}
	var first error
	for _, p := range places {
		text, err := r.blob(p, kind)
		if err == nil {
			return text, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// blob returns the plaintext of a blob.
func (r *Repository) blob(p place, kind string) ([]byte, error) {
	if max(p.length, p.plain) > maxTree {
		return nil, damaged(r.packName(p.pack), "%s %.8s… of %d bytes, expected at most %d", kind, p.id, max(p.length, p.plain), maxTree)
	}
	sealed, err := r.section(p.pack, int64(p.offset), int64(p.length), nil)
	if err != nil {
		return nil, err
	}
	return r.plaintext(p, kind, sealed, nil)
}

// packName is the file of a pack.
func (r *Repository) packName(pack uint32) string {
	name := r.index.packs[pack].String()
	return path.Join("data", name[:2], name)
}

// section reads a part of a pack, into room if that is large enough.
func (r *Repository) section(pack uint32, offset, length int64, room []byte) ([]byte, error) {
	name := r.packName(pack)
	f, size, err := r.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if offset+length > size {
		return nil, damaged(name, "has %d bytes, expected %d at %d", size, length, offset)
	}
	return readSection(f, name, offset, grown(room, length))
}

func readSection(f *os.File, name string, offset int64, into []byte) ([]byte, error) {
	if _, err := f.ReadAt(into, offset); err != nil {
		return nil, unread(name, err)
	}
	return into, nil
}

// grown returns a slice of a length, of a memory if that is large enough.
func grown(room []byte, length int64) []byte {
	if int64(cap(room)) < length {
		return make([]byte, length)
	}
	return room[:length]
}

// plaintext decrypts a blob in place, and decompresses it into room if it fits.
func (r *Repository) plaintext(p place, kind string, sealed, room []byte) ([]byte, error) {
	text, err := r.key.open(sealed)
	if err == nil && p.plain != 0 {
		text, err = r.decompress(text, int64(p.plain), room)
	}
	if err == nil {
		if sum := sha256.Sum256(text); sum != p.id {
			err = fmt.Errorf("has the SHA-256 %.8s…", ID(sum))
		}
	}
	if err != nil {
		return nil, damaged(r.packName(p.pack), "%s %.8s…: %w", kind, p.id, err)
	}
	return text, nil
}

// Limits of a batch, in bytes. What lies between two blobs and is of no use costs less
// to read than to skip, up to maxGap.
const (
	maxBatch = 4 << 20 // unless a single blob has more
	maxGap   = 64 << 10
)

// Batch is some blobs of data that lie close by in a pack: one read has all of them.
type Batch struct{ places []place } // by their offset

// Batches puts blobs of data into an order in which they are read fast: pack by pack,
// of which the first wanted come first, and within these as they lie. IDs are each
// wanted once. What no index has is in a batch, too, and is not read.
func (r *Repository) Batches(want []ID) (list []Batch) {
	order := map[uint32]int{} // of packs
	var places []place
	for _, id := range want {
		found := r.index.data.find(id)
		if len(found) == 0 {
			list = append(list, Batch{[]place{{id: id}}})
			continue
		}
		if _, ok := order[found[0].pack]; !ok {
			order[found[0].pack] = len(order)
		}
		places = append(places, found[0])
	}
	slices.SortFunc(places, func(a, b place) int {
		if a.pack != b.pack {
			return order[a.pack] - order[b.pack]
		}
		return int(a.offset) - int(b.offset)
	})
	for first := 0; first < len(places); {
		last := first + 1
		for last < len(places) && adjoins(places[first], places[last-1], places[last]) {
			last++
		}
		list = append(list, Batch{places[first:last]})
		first = last
	}
	return list
}

// adjoins reports whether a place comes into a batch with those from the first to the
// last.
func adjoins(first, last, next place) bool {
	from, to, end := int64(first.offset), int64(last.offset)+int64(last.length), int64(next.offset)+int64(next.length)
	return next.pack == first.pack && int64(next.offset)-to <= maxGap && end-from <= maxBatch
}

// Buffers is memory for what is read of batches, one after the other. The zero value
// has none yet.
type Buffers struct{ sealed, plain []byte }

// Read calls a function with each blob of a batch: with its plaintext, which is
// memory of the buffers, or with why it cannot be had from any place. It ends with the
// error of the function.
func (r *Repository) Read(ctx context.Context, b Batch, into *Buffers, call func(id ID, text []byte, err error) error) error {
	whole := r.readBatch(b, into)
	for _, p := range b.places {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		text, err := r.ofBatch(b, p, whole, into)
		if err := call(p.id, text, err); err != nil {
			return err
		}
	}
	return nil
}

// readBatch reads all of a batch; nil says that it cannot be read as a whole.
func (r *Repository) readBatch(b Batch, into *Buffers) []byte {
	first, last := b.places[0], b.places[len(b.places)-1]
	length := int64(last.offset) + int64(last.length) - int64(first.offset)
	if first.length == 0 || length > maxTree {
		return nil
	}
	whole, err := r.section(first.pack, int64(first.offset), length, into.sealed)
	if err != nil {
		return nil
	}
	into.sealed = whole
	return whole
}

// ofBatch returns the plaintext of a blob of a batch that was read, or from another
// place.
func (r *Repository) ofBatch(b Batch, p place, whole []byte, into *Buffers) ([]byte, error) {
	at := int64(p.offset) - int64(b.places[0].offset)
	if end := at + int64(p.length); whole != nil && end <= int64(len(whole)) && p.plain <= maxTree {
		text, err := r.plaintext(p, "blob", whole[at:end], into.plain)
		if err == nil {
			if p.plain != 0 {
				into.plain = text
			}
			return text, nil
		}
	}
	return r.anywhere(p.id, "blob", r.index.data.find(p.id))
}
