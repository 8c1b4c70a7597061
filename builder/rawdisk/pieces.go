package rawdisk

import "fmt"

// Pieces is a disk that takes writes of any place and length: what they leave of a block
// is read before. Such a write is not for two at once on one block, and is no faster than
// it sounds: it is for repairs.
type Pieces struct{ *Disk }

// WriteAt implements io.WriterAt.
func (d Pieces) WriteAt(p []byte, off int64) (int, error) {
	if d.block == 0 {
		return d.Disk.WriteAt(p, off)
	}
	if off < 0 || off > d.size-int64(len(p)) {
		return 0, fmt.Errorf("%s: write of %d bytes at %d: expected it within %d", d.Name(), len(p), off, d.size)
	}
	n := 0
	for n < len(p) {
		at := off + int64(n)
		whole := (int64(len(p)-n) / d.block) * d.block
		var got int
		var err error
		if at%d.block == 0 && whole > 0 {
			got, err = d.Disk.WriteAt(p[n:n+int(whole)], at)
		} else {
			got, err = d.writePiece(p[n:], at)
		}
		n += got
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// writePiece writes what of p belongs to the block that byte at is in.
func (d Pieces) writePiece(p []byte, at int64) (int, error) {
	start := at / d.block * d.block
	// A device may end within a block, after whole sectors.
	block := make([]byte, min(d.block, d.size-start))
	if _, err := d.ReadAt(block, start); err != nil {
		return 0, err
	}
	n := copy(block[at-start:], p)
	buf := d.buffers.Get().(*[]byte)
	defer d.buffers.Put(buf)
	if _, err := d.file.WriteAt((*buf)[:copy(*buf, block)], start); err != nil {
		return 0, err
	}
	return n, nil
}
