package flash

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Zero implements Source: clusters that were never written, or that are marked
// as zeros.
func (s *qcow2Source) Zero(offset int64) (bool, error) {
	for at := offset; at < min(offset+chunkSize, s.size); {
		entry, err := s.entry(at)
		if err != nil {
			return false, err
		}
		if !s.isHole(entry) {
			return false, nil
		}
		at += s.cluster() - at%s.cluster()
	}
	return true, nil
}

// isHole reports whether an L2 entry stands for zeros. Version 2 has no mark for
// them, only the cluster that is not there.
func (s *qcow2Source) isHole(entry uint64) bool {
	if entry&l2Compressed != 0 {
		return false
	}
	return entry&tableOffsetMask == 0 || s.version >= 3 && entry&l2Zero != 0
}

// entry returns the L2 entry of the cluster at an offset of the image, 0 where
// there is no table.
func (s *qcow2Source) entry(offset int64) (uint64, error) {
	cluster := offset >> s.clusterBits
	index := cluster / s.l2Entries()
	at := int64(binary.BigEndian.Uint64(s.l1[index*8:]) & tableOffsetMask)
	if at == 0 {
		return 0, nil
	}
	table, err := s.table(index, at)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(table[cluster%s.l2Entries()*8:]), nil
}

// table returns an L2 table, from the cache where it is there.
func (s *qcow2Source) table(index, at int64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if table, ok := s.l2[index]; ok {
		return table, nil
	}
	if at%s.cluster() != 0 || at > s.fileSize-s.cluster() {
		return nil, fault.New(fault.Input, "", "qcow2: L2 table %d at byte %d, the file has %d", index, at, s.fileSize)
	}
	table := make([]byte, s.cluster())
	if err := readChunk(s.file, table, at); err != nil {
		return nil, fmt.Errorf("qcow2: L2 table %d: %w", index, err)
	}
	if int64(len(s.l2)+1)*s.cluster() > maxCachedL2Bytes {
		clear(s.l2) // images are read in order: what is behind is done with
	}
	s.l2[index] = table
	return table, nil
}

// ReadAt implements io.ReaderAt.
func (s *qcow2Source) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > s.size {
		return 0, fmt.Errorf("qcow2: read at byte %d of %d", off, s.size)
	}
	want := int(min(int64(len(p)), s.size-off))
	for n := 0; n < want; {
		at := off + int64(n)
		part := p[n:min(int64(want), int64(n)+s.cluster()-at%s.cluster())]
		if err := s.readCluster(part, at); err != nil {
			return n, err
		}
		n += len(part)
	}
	if want < len(p) {
		return want, io.EOF
	}
	return want, nil
}

// readCluster reads a part of one cluster.
func (s *qcow2Source) readCluster(p []byte, at int64) error {
	entry, err := s.entry(at)
	if err != nil {
		return err
	}
	within := at % s.cluster()
	switch {
	case s.isHole(entry):
		clear(p)
		return nil
	case entry&l2Compressed != 0:
		data, err := s.unpack(entry)
		if err != nil {
			return fault.New(fault.Input, "", "qcow2: cluster at byte %d: %w", at-within, err)
		}
		copy(p, data[within:])
		return nil
	}
	host := int64(entry & tableOffsetMask)
	if host%s.cluster() != 0 {
		return fault.New(fault.Input, "", "qcow2: cluster at byte %d: is at byte %d of the file, expected a multiple of %d", at-within, host, s.cluster())
	}
	// The last cluster of a file may be cut; what is behind reads as zeros.
	n, err := s.file.ReadAt(p, host+within)
	if err == io.EOF && host < s.fileSize {
		clear(p[n:])
		err = nil
	}
	if err != nil {
		return fault.New(fault.Input, "", "qcow2: cluster at byte %d: %w", at-within, err)
	}
	return nil
}

// unpack returns a compressed cluster. Its entry holds the byte where it begins,
// and in how many sectors of 512 bytes behind that one it ends.
func (s *qcow2Source) unpack(entry uint64) ([]byte, error) {
	bits := 62 - (s.clusterBits - 8)
	at := int64(entry & (1<<bits - 1))
	sectors := int64(entry & (l2Compressed - 1) >> bits)
	length := (sectors+1)*512 - at%512
	if at >= s.fileSize {
		return nil, fmt.Errorf("compressed data at byte %d, the file has %d", at, s.fileSize)
	}
	packed := make([]byte, min(length, s.fileSize-at))
	if err := readChunk(s.file, packed, at); err != nil {
		return nil, err
	}
	data := make([]byte, s.cluster())
	if s.compression == qcow2CompressZlib {
		_, err := io.ReadFull(flate.NewReader(bytes.NewReader(packed)), data)
		return data, err
	}
	// The rest of the last sector belongs to others.
	f, _, err := readFrame(bytes.NewReader(packed), 0, int64(len(packed)))
	if err != nil {
		return nil, err
	}
	out, err := s.decoder.DecodeAll(packed[:f.length], data[:0])
	if err == nil && int64(len(out)) != s.cluster() {
		err = fmt.Errorf("unpacks to %d bytes, expected %d", len(out), s.cluster())
	}
	return out, err
}
