package imgtest

import (
	"encoding/binary"
	"io"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// Rewritten is a disk whose btrfs file system is written to while it is read,
// as one that is mounted is: each of the first Times that it is opened, all
// tree blocks but those of the chunk tree are overwritten before they are
// read, and the superblock has another generation when it is read again. The
// chunk tree must be one block of 16 KiB.
type Rewritten struct {
	io.ReaderAt
	Start int64 // of the file system, in bytes
	Times int

	supers, blocks int // reads of the superblock, and of tree blocks since
}

// Opened returns how often the file system was opened.
func (r *Rewritten) Opened() int { return (r.supers + 1) / 2 }

// ReadAt implements io.ReaderAt.
func (r *Rewritten) ReadAt(p []byte, at int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, at)
	const node = 16 << 10
	switch {
	case at == r.Start+int64(ondisk.SuperMirrors[0]) && n == ondisk.SuperSize:
		r.supers++
		r.blocks = 0
		if r.supers%2 == 0 && r.Opened() <= r.Times {
			generation := p[72:80] // of the superblock
			binary.LittleEndian.PutUint64(generation, binary.LittleEndian.Uint64(generation)+1)
			ondisk.ChecksumType(binary.LittleEndian.Uint16(p[196:])).Seal(p)
		}
	case at >= r.Start && n == node:
		r.blocks++
		if r.supers%2 == 1 && r.blocks > 1 && r.Opened() <= r.Times {
			clear(p)
		}
	}
	return n, err
}
