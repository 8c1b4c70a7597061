package disks

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Where the parts of a master boot record are (UEFI Specification 2.10, 5.2.1).
const (
	mbrSize      = 512
	mbrDiskAt    = 440
	mbrEntriesAt = 446
	mbrEntrySize = 16
	mbrMarkAt    = 510
)

// readMBR reads the four entries of a master boot record. Logical partitions
// are in chains of their own and come from the kernel.
func (d *Disk) readMBR(p *probe) {
	// The boot sector of a file system ends with the same two bytes.
	if slices.ContainsFunc(d.Contents, func(c Content) bool { return c.Type == "vfat" || c.Type == "exfat" || c.Type == "ntfs" }) {
		return
	}
	parts, disk, ok := parseMBR(p.at(0, mbrSize), d.SectorSize)
	if ok {
		d.Table, d.DiskGUID, d.Partitions = "mbr", disk, parts
	}
}

// parseMBR returns the partitions of a master boot record and the disk's
// identifier. A sector with the mark, without an entry in use or with an entry
// that no program would write, is none.
func parseMBR(sector []byte, sectorSize int64) (parts []Partition, disk string, ok bool) {
	if len(sector) < mbrSize || sector[mbrMarkAt] != 0x55 || sector[mbrMarkAt+1] != 0xaa {
		return nil, "", false
	}
	le := binary.LittleEndian
	disk = fmt.Sprintf("%08x", le.Uint32(sector[mbrDiskAt:]))
	for i := range 4 {
		e := sector[mbrEntriesAt+i*mbrEntrySize:][:mbrEntrySize]
		if e[0]&0x7f != 0 {
			return nil, "", false
		}
		start, count := int64(le.Uint32(e[8:])), int64(le.Uint32(e[12:]))
		if e[4] == 0 || count == 0 {
			continue
		}
		parts = append(parts, Partition{
			Number: i + 1, Start: start * sectorSize, Size: count * sectorSize, Type: fmt.Sprintf("%02x", e[4]), GUID: fmt.Sprintf("%s-%02x", disk, i+1),
		})
	}
	return parts, disk, len(parts) > 0
}
