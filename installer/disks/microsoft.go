package disks

import (
	"bytes"
	"fmt"
	"math/bits"
	"strings"
)

// fatShape is where the parts of a FAT file system are, in bytes.
type fatShape struct {
	kind         int // 12, 16 or 32
	root, length int64
	serial       int64
}

// shapeOfFAT reads the boot sector (Microsoft's FAT specification 1.03). It
// reports false when its numbers are not those of FAT: the sectors of others end
// with the same mark.
func shapeOfFAT(p *probe) (fatShape, bool) {
	sector, cluster := le16(p, 11), int64(byteAt(p, 13))
	reserved, fats := le16(p, 14), int64(byteAt(p, 16))
	media := byteAt(p, 21)
	if sector < 512 || sector > 4096 || bits.OnesCount64(uint64(sector)) != 1 || cluster == 0 || bits.OnesCount64(uint64(cluster)) != 1 ||
		reserved == 0 || fats == 0 || fats > 4 || media != 0xf0 && media < 0xf8 {
		return fatShape{}, false
	}
	total, fatSize, entries := le16(p, 19), le16(p, 22), le16(p, 17)
	if total == 0 {
		total = le32(p, 32)
	}
	s := fatShape{kind: 16, serial: 39, length: entries * 32}
	if fatSize == 0 {
		s.kind, s.serial = 32, 67
		fatSize = le32(p, 36)
	}
	s.root = (reserved + fats*fatSize) * sector
	data := s.root + s.length
	if fatSize == 0 || total*sector <= data {
		return fatShape{}, false
	}
	if s.kind == 32 {
		first := le32(p, 44)
		if first < 2 {
			return fatShape{}, false
		}
		s.length = cluster * sector
		s.root += (first - 2) * s.length
	} else if (total*sector-data)/(cluster*sector) < 4085 {
		s.kind = 12
	}
	return s, true
}

// fatBoot reads the serial number and the label. That in the root directory
// holds; only what has none there is called as the boot sector says.
func fatBoot(p *probe, _ int64, c *Content) bool {
	s, ok := shapeOfFAT(p)
	if !ok {
		return false
	}
	c.Offset = 0
	c.UUID = serialText(p.at(s.serial, 4))
	c.Label = fatLabel(p.at(s.root, s.length))
	if boot := text(p.at(s.serial+4, 11)); c.Label == "" && boot != "NO NAME" {
		c.Label = boot
	}
	return true
}

// fatLabel returns the volume label among the entries of a directory.
func fatLabel(dir []byte) string {
	const volume, longName = 0x08, 0x0f
	for ; len(dir) >= 32 && dir[0] != 0; dir = dir[32:] {
		if attr := dir[11]; dir[0] == 0xe5 || attr&longName == longName || attr&0x18 != volume {
			continue
		}
		name := bytes.Clone(dir[:11])
		if name[0] == 0x05 { // stands for 0xe5, which marks what is deleted
			name[0] = 0xe5
		}
		return text(name)
	}
	return ""
}

// serialText returns a serial number of four bytes as blkid prints it.
func serialText(b []byte) string {
	if len(b) != 4 || b[0]|b[1]|b[2]|b[3] == 0 {
		return ""
	}
	return fmt.Sprintf("%02X%02X-%02X%02X", b[3], b[2], b[1], b[0])
}

// exfatBoot reads the boot sector of exFAT and the first cluster of its root
// directory, which has the label (Microsoft's exFAT specification, 3.1 and 7.3).
func exfatBoot(p *probe, _ int64, c *Content) bool {
	c.Offset = 0
	c.UUID = serialText(p.at(0x64, 4))
	sectorBits, clusterBits := int64(byteAt(p, 0x6c)), int64(byteAt(p, 0x6d))
	if sectorBits < 9 || sectorBits > 12 || clusterBits > 25-sectorBits {
		return true
	}
	heap, root := le32(p, 0x58), le32(p, 0x60)
	if root < 2 {
		return true
	}
	dir := p.at(heap<<sectorBits+(root-2)<<(sectorBits+clusterBits), min(int64(1)<<(sectorBits+clusterBits), 64<<10))
	const label = 0x83
	for ; len(dir) >= 32 && dir[0] != 0; dir = dir[32:] {
		if n := int(dir[1]); dir[0] == label && n <= 11 {
			c.Label = utf16Text(dir[2 : 2+2*n])
			break
		}
	}
	return true
}

// ntfsBoot reads the boot sector of NTFS, and the label from the record of
// $Volume, the fourth of the master file table.
func ntfsBoot(p *probe, _ int64, c *Content) bool {
	c.Offset = 0
	if serial := le64(p, 0x48); serial != 0 {
		c.UUID = fmt.Sprintf("%016X", serial)
	}
	sector, perCluster := le16(p, 0x0b), int64(byteAt(p, 0x0d))
	if perCluster > 128 { // a negative power of two
		perCluster = 1 << min(256-perCluster, 16)
	}
	size := int64(int8(byteAt(p, 0x40))) * sector * perCluster
	if shift := int64(int8(byteAt(p, 0x40))); shift < 0 {
		size = 1 << min(-shift, 16)
	}
	mft := le64(p, 0x30)
	if size < 512 || size > 64<<10 || sector*perCluster == 0 || mft > uint64(p.size/(sector*perCluster)) {
		return true
	}
	c.Label = ntfsLabel(p.at(int64(mft)*sector*perCluster+3*size, size))
	return true
}

// ntfsLabel returns the resident attribute $VOLUME_NAME of a record.
func ntfsLabel(record []byte) string {
	const volumeName, end = 0x60, 0xffffffff
	if !strings.HasPrefix(string(record), "FILE") {
		return ""
	}
	r := &probe{size: int64(len(record)), head: record}
	for at := le16(r, 20); ; {
		kind, length := le32(r, at), le32(r, at+4)
		if length < 24 || kind == end || r.at(at, length) == nil {
			return ""
		}
		if kind == volumeName {
			return utf16Text(r.at(at+le16(r, at+20), le32(r, at+16)))
		}
		at += length
	}
}
