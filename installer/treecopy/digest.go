package treecopy

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
	"sync/atomic"
)

// Digests are what the files of a copy had in them when it was made.
type Digests struct {
	mu      sync.Mutex
	volumes map[string]uint32 // subvolumes of the tree, by path
	sums    map[fileKey][sha256.Size]byte
}

// fileKey is a file of the source. Device numbers of subvolumes change with the
// next mount, so they are no part of it.
type fileKey struct {
	volume uint32
	inode  uint64
}

func newDigests() *Digests {
	return &Digests{volumes: map[string]uint32{}, sums: map[fileKey][sha256.Size]byte{}}
}

// volume returns the number of a subvolume.
func (d *Digests) volume(path string) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, ok := d.volumes[path]
	if !ok {
		n = uint32(len(d.volumes))
		d.volumes[path] = n
	}
	return n
}

func (d *Digests) put(k fileKey, sum [sha256.Size]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sums[k] = sum
}

func (d *Digests) get(k fileKey) (sum [sha256.Size]byte, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	sum, ok = d.sums[k]
	return sum, ok
}

// block is the unit of zeros that a digest passes over, in bytes: a hole and
// zeros are the same content.
const block = 4096

var zeros [block]byte

// contentSum digests content of which zeros may be left out: each block that is
// not all zeros goes in behind its offset.
type contentSum struct {
	h hash.Hash
	n [8]byte
}

func newSum() *contentSum { return &contentSum{h: sha256.New()} }

// add adds bytes at an offset, which is a multiple of block but for a piece that
// ends the one before.
func (s *contentSum) add(p []byte, at int64) {
	for len(p) > 0 {
		n := min(len(p), block-int(at%block))
		if !bytes.Equal(p[:n], zeros[:n]) {
			binary.LittleEndian.PutUint64(s.n[:], uint64(at))
			s.h.Write(s.n[:])
			s.h.Write(p[:n])
		}
		p, at = p[n:], at+int64(n)
	}
}

func (s *contentSum) sum() (sum [sha256.Size]byte) {
	s.h.Sum(sum[:0])
	s.h.Reset()
	return sum
}

// counter tells how many bytes are done.
type counter struct {
	mu     sync.Mutex
	report func(int64)
}

func (c *counter) add(n int64) {
	if c.report == nil || n == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report(n)
}

type flag = atomic.Bool
