package gpt

import (
	"encoding/binary"
	"fmt"
)

// The protective MBR: one partition over the whole disk, for programs that do
// not know GPT.
const (
	mbrSize       = 512 // bytes that mean something, whatever the sector size
	mbrEntries    = 446
	mbrEntrySize  = 16
	mbrProtective = 0xee // type of the partition
)

// mbr returns the first sector.
func (t *Table) mbr() []byte {
	b := make([]byte, t.SectorSize)
	e := b[mbrEntries:]
	copy(e[1:], []byte{0x00, 0x02, 0x00}) // first sector in cylinders, heads and sectors: sector 1
	e[4] = mbrProtective
	copy(e[5:], []byte{0xff, 0xff, 0xff}) // the last one: cannot be said
	binary.LittleEndian.PutUint32(e[8:], 1)
	binary.LittleEndian.PutUint32(e[12:], mbrSectors(t.DiskSize/t.SectorSize))
	b[510], b[511] = 0x55, 0xaa
	return b
}

// mbrSectors returns the size that the protective partition has on a disk.
func mbrSectors(disk int64) uint32 { return uint32(min(disk-1, 1<<32-1)) }

// checkMBR returns what is wrong with the protective MBR of a disk of some
// sectors.
func checkMBR(b []byte, sectors int64) error {
	if b[510] != 0x55 || b[511] != 0xaa {
		return fmt.Errorf("signature %x, expected 55aa", b[510:512])
	}
	found := 0
	for i := range 4 {
		e := b[mbrEntries+i*mbrEntrySize:][:mbrEntrySize]
		start, size := binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])
		switch {
		case e[4] == 0 && start == 0 && size == 0:
		case e[4] != mbrProtective:
			return fmt.Errorf("has a partition of type %#02x, expected one of type %#02x alone", e[4], mbrProtective)
		case start != 1 || size != mbrSectors(sectors):
			return fmt.Errorf("protects %d sectors from sector %d on, expected %d from 1 on", size, start, mbrSectors(sectors))
		case e[0] != 0:
			return fmt.Errorf("the protective partition has the status %#02x, expected 0", e[0])
		default:
			found++
		}
	}
	if found != 1 {
		return fmt.Errorf("%d protective partitions, expected one", found)
	}
	return nil
}
