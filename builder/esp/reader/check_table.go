package reader

import (
	"bytes"
	"encoding/binary"
)

// tablePart is how much of each FAT is compared at a time.
const tablePart = 1 << 20

// tables compares the FATs with each other and with the clusters that the tree
// uses, and counts the free ones.
func (c *checker) tables() {
	b := &c.fs.boot
	var lost, firstLost, differing int64
	size := (int64(b.clusters) + firstCluster) * entrySize
	buf, copied := make([]byte, tablePart), make([]byte, tablePart)
	for at := int64(0); at < size && !c.stop(); at += tablePart {
		part := buf[:min(tablePart, size-at)]
		if !c.read(part, b.tableOffset+at) {
			return
		}
		if b.tables > 1 {
			other := copied[:len(part)]
			if !c.read(other, b.tableOffset+b.tableSize+at) {
				return
			}
			differing += c.compare(part, other, at/entrySize, differing > 0)
		}
		for i := max(0, firstCluster*entrySize-at); i < int64(len(part)); i += entrySize {
			cluster := (at + i) / entrySize
			switch entry := binary.LittleEndian.Uint32(part[i:]) & entryMask; {
			case entry == entryFree:
				c.free++
			case entry == entryBad || c.isUsed(uint32(cluster)):
			default:
				if lost++; lost == 1 {
					firstLost = cluster
				}
			}
		}
	}
	c.counted = true
	if lost > 0 {
		c.report(KindLost, "", "FAT: %d clusters are in use by no file, the first is %d", lost, firstLost)
	}
}

// compare counts the entries from a number on that differ between two FATs,
// and reports the first.
func (c *checker) compare(a, b []byte, number int64, reported bool) (differing int64) {
	if bytes.Equal(a, b) {
		return 0
	}
	for i := 0; i < len(a); i += entrySize {
		if one, two := binary.LittleEndian.Uint32(a[i:]), binary.LittleEndian.Uint32(b[i:]); one != two {
			if differing++; differing == 1 && !reported {
				c.report(KindTable, "", "FAT: entry %d is %#08x, in the second FAT it is %#08x; there may be more", number+int64(i/entrySize), one, two)
			}
		}
	}
	return differing
}

func (c *checker) isUsed(cluster uint32) bool { return c.used[cluster/64]>>(cluster%64)&1 != 0 }

func (c *checker) use(cluster uint32) { c.used[cluster/64] |= 1 << (cluster % 64) }
