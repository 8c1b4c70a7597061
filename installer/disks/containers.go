package disks

import (
	"encoding/binary"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/swaparea"
)

// swapEnds returns where the mark of swap space is: at the end of its first page,
// of the machine that made it.
func swapEnds(int64) []int64 {
	var list []int64
	for page := int64(swaparea.PageSize); page <= 64<<10; page *= 2 {
		list = append(list, page-int64(len(swaparea.Signature)))
	}
	return list
}

// swapHeader reads the identifier and the label, see package swaparea; the
// version of it that no kernel makes any more has none.
func swapHeader(p *probe, _ int64, c *Content) bool {
	if le32(p, 1024) == 1 {
		c.UUID, c.Label = uuidText(p.at(1036, 16)), text(p.at(1052, 16))
	}
	return true
}

// suspended is swapHeader of swap space that a session sleeps in.
func suspended(p *probe, at int64, c *Content) bool {
	c.Hibernated = true
	return swapHeader(p, at, c)
}

// luksHeader reads the first or the second header of LUKS. Version 1 has no
// label; one that is not known yet is LUKS, too.
func luksHeader(p *probe, at int64, c *Content) bool {
	if string(p.at(at+6, 2)) == "\x00\x02" {
		c.Label = text(p.at(at+24, 48))
	}
	c.UUID = text(p.at(at+168, 40))
	return true
}

// lvmLabel reads the label of a physical volume; its identifier is 32 letters,
// written in groups.
func lvmLabel(p *probe, at int64, c *Content) bool {
	if string(p.at(at+24, 8)) != "LVM2 001" {
		return false
	}
	id := p.at(at+le32(p, at+20), 32)
	var groups []string
	for _, n := range []int{6, 4, 4, 4, 4, 4, 6} {
		if len(id) < n {
			return true
		}
		groups, id = append(groups, string(id[:n])), id[n:]
	}
	c.UUID = strings.Join(groups, "-")
	return true
}

// raid10Place returns where version 1.0 of the superblock is: 8 KiB before the
// end, on a multiple of 4 KiB.
func raid10Place(size int64) []int64 { return []int64{(size/512 - 16) &^ 7 * 512} }

// raid0Place returns where version 0.90 of the superblock is: the last 64 KiB
// that are aligned to them.
func raid0Place(size int64) []int64 { return []int64{size&^(64<<10-1) - 64<<10} }

// raid1Super reads a superblock of version 1, which says where it stands.
func raid1Super(p *probe, at int64, c *Content) bool {
	if at < 0 || le32(p, at+4) != 1 || le64(p, at+144) != uint64(at/512) {
		return false
	}
	return fields{uuid: 16, label: 32, labelSize: 32}.read(p, at, c)
}

// raid0Super reads a superblock of version 0.90, made of words in the byte order
// of the machine that made it; the identifier is in the words 5 and 13 to 15.
func raid0Super(p *probe, at int64, c *Content) bool {
	words := p.at(at, 64)
	if words == nil {
		return false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if words[0] == 0xa9 {
		order = binary.BigEndian
	}
	if order.Uint32(words[4:]) != 0 {
		return false
	}
	var id []byte
	for _, n := range []int{5, 13, 14, 15} {
		id = binary.BigEndian.AppendUint32(id, order.Uint32(words[4*n:]))
	}
	c.UUID = uuidText(id)
	return true
}

// isoVolume reads the primary volume descriptor (ECMA-119 8.4). Its time of
// modification, else of creation, stands for an identifier.
func isoVolume(p *probe, at int64, c *Content) bool {
	descriptor := at - 1
	c.Label = text(p.at(descriptor+40, 32))
	for _, off := range []int64{830, 813} {
		t := string(p.at(descriptor+off, 16))
		if len(t) == 16 && strings.Trim(t, "0123456789") == "" && strings.Trim(t, "0") != "" {
			c.UUID = strings.Join([]string{t[:4], t[4:6], t[6:8], t[8:10], t[10:12], t[12:14], t[14:16]}, "-")
			break
		}
	}
	return true
}

// udfPlaces returns where the sequence of volume descriptors may name UDF
// (ECMA-167 2/8.3).
func udfPlaces() []int64 {
	var list []int64
	for n := int64(0); n < 32; n++ {
		list = append(list, 32<<10+n*2048+1)
	}
	return list
}
