package btrfs

import "github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"

// treeBlock is one allocated block outside the chunk tree.
type treeBlock struct {
	at    ondisk.Logical
	owner uint64
	level uint8
}

// metaStore stores tree blocks in the METADATA chunks and remembers all of
// them for the extent tree.
type metaStore struct {
	space    *space
	run      run
	checksum ondisk.ChecksumType
	list     []treeBlock // in the order in which they were allocated
}

func (m *metaStore) alloc(owner uint64, level uint8, place ondisk.Logical) (ondisk.Logical, error) {
	at, err := m.space.allocMeta(place)
	if err != nil {
		return 0, err
	}
	m.list = append(m.list, treeBlock{at, owner, level})
	return at, nil
}

func (m *metaStore) store(at ondisk.Logical, block []byte) error {
	m.checksum.Seal(block)
	return m.run.writeBlock(m.space, at, block)
}

// writeBlock writes a block to every copy of the chunk in which it lies.
func (r *run) writeBlock(s *space, at ondisk.Logical, block []byte) error {
	c := s.find(at)
	var places [2]ondisk.Physical
	for i := range c.physical {
		places[i] = c.at(at, i)
	}
	return r.write(block, places[:len(c.physical)]...)
}

// systemStore stores the blocks of the chunk tree.
type systemStore struct{ metaStore }

func (m *systemStore) alloc(owner uint64, level uint8, _ ondisk.Logical) (ondisk.Logical, error) {
	at, err := m.space.allocSystem()
	if err != nil {
		return 0, err
	}
	m.list = append(m.list, treeBlock{at, owner, level})
	return at, nil
}

// countStore only counts: it remembers what was asked for.
type countStore struct{ blocks []blockRequest }

type blockRequest struct {
	level uint8
	place ondisk.Logical
}

func (c *countStore) alloc(_ uint64, level uint8, place ondisk.Logical) (ondisk.Logical, error) {
	c.blocks = append(c.blocks, blockRequest{level, place})
	return 0, nil
}

func (c *countStore) store(ondisk.Logical, []byte) error { return nil }

// reservedStore hands out blocks that were allocated before, in their order.
type reservedStore struct {
	*metaStore
	next []treeBlock
}

func (r *reservedStore) alloc(uint64, uint8, ondisk.Logical) (ondisk.Logical, error) {
	at := r.next[0].at
	r.next = r.next[1:]
	return at, nil
}
