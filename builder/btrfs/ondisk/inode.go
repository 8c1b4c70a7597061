package ondisk

// Sizes of the structures in this file, without names and data.
const (
	InodeItemSize   = 160
	InodeRefSize    = 10
	InodeExtrefSize = 18
	DirItemSize     = 30
)

// Inode flags; the upper 32 bits are the read-only flags.
const (
	InodeNoDataSum    uint64 = 1 << 0
	InodeNoDataCow    uint64 = 1 << 1
	InodeReadOnly     uint64 = 1 << 2
	InodeNoCompress   uint64 = 1 << 3
	InodePrealloc     uint64 = 1 << 4
	InodeSync         uint64 = 1 << 5
	InodeImmutable    uint64 = 1 << 6
	InodeAppend       uint64 = 1 << 7
	InodeNoDump       uint64 = 1 << 8
	InodeNoAtime      uint64 = 1 << 9
	InodeDirSync      uint64 = 1 << 10
	InodeCompress     uint64 = 1 << 11
	InodeRootItemInit uint64 = 1 << 31
	InodeVerity       uint64 = 1 << 32
)

// FileType is the type of a directory entry.
type FileType uint8

// File types of directory entries.
const (
	FileUnknown FileType = iota
	FileRegular
	FileDir
	FileChar
	FileBlock
	FileFIFO
	FileSocket
	FileSymlink
	FileXattr
)

// FileTypeOf returns the type of a directory entry for an inode of this mode.
func FileTypeOf(mode uint32) FileType {
	types := [16]FileType{1: FileFIFO, 2: FileChar, 4: FileDir, 6: FileBlock, 8: FileRegular, 10: FileSymlink, 12: FileSocket}
	return types[mode>>12&15]
}

// Timespec is a point in time.
type Timespec struct {
	Sec  int64
	Nsec uint32
}

// Append encodes the time at the end of b.
func (t Timespec) Append(b []byte) []byte { return put32(put64(b, uint64(t.Sec)), t.Nsec) }

func decodeTimespec(b []byte) Timespec { return Timespec{Sec: int64(u64(b)), Nsec: u32(b[8:])} }

// InodeItem holds the metadata of a file.
type InodeItem struct {
	Generation uint64
	Transid    uint64
	Size       uint64
	Nbytes     uint64 // bytes allocated, uncompressed
	BlockGroup uint64
	Nlink      uint32
	UID        uint32
	GID        uint32
	Mode       uint32
	Rdev       uint64
	Flags      uint64
	Sequence   uint64
	Atime      Timespec
	Ctime      Timespec
	Mtime      Timespec
	Otime      Timespec
}

// Append encodes the inode item at the end of b.
func (i *InodeItem) Append(b []byte) []byte {
	for _, v := range [...]uint64{i.Generation, i.Transid, i.Size, i.Nbytes, i.BlockGroup} {
		b = put64(b, v)
	}
	for _, v := range [...]uint32{i.Nlink, i.UID, i.GID, i.Mode} {
		b = put32(b, v)
	}
	b = put64(put64(put64(b, i.Rdev), i.Flags), i.Sequence)
	b = append(b, make([]byte, 32)...)
	return i.Otime.Append(i.Mtime.Append(i.Ctime.Append(i.Atime.Append(b))))
}

// DecodeInodeItem decodes the inode item at the start of b.
func DecodeInodeItem(b []byte) (InodeItem, error) {
	if err := needAtLeast("inode item", b, InodeItemSize); err != nil {
		return InodeItem{}, err
	}
	return InodeItem{
		Generation: u64(b), Transid: u64(b[8:]), Size: u64(b[16:]), Nbytes: u64(b[24:]), BlockGroup: u64(b[32:]),
		Nlink: u32(b[40:]), UID: u32(b[44:]), GID: u32(b[48:]), Mode: u32(b[52:]),
		Rdev: u64(b[56:]), Flags: u64(b[64:]), Sequence: u64(b[72:]),
		Atime: decodeTimespec(b[112:]), Ctime: decodeTimespec(b[124:]),
		Mtime: decodeTimespec(b[136:]), Otime: decodeTimespec(b[148:]),
	}, nil
}

// InodeRef is one name of an inode in the directory that the item's key names.
type InodeRef struct {
	Index uint64 // the DIR_INDEX of the entry
	Name  string
}

// Append encodes the reference at the end of b.
func (r InodeRef) Append(b []byte) []byte {
	return append(put16(put64(b, r.Index), uint16(len(r.Name))), r.Name...)
}

// DecodeInodeRefs decodes all references of an INODE_REF item.
func DecodeInodeRefs(b []byte) ([]InodeRef, error) {
	var refs []InodeRef
	for len(b) > 0 {
		if err := needAtLeast("inode ref", b, InodeRefSize); err != nil {
			return nil, err
		}
		name, rest, err := takeName("inode ref", b[InodeRefSize:], u16(b[8:]))
		if err != nil {
			return nil, err
		}
		refs = append(refs, InodeRef{Index: u64(b), Name: name})
		b = rest
	}
	return refs, nil
}

// InodeExtref is a name of an inode where INODE_REF items have no room.
type InodeExtref struct {
	Parent uint64
	Index  uint64
	Name   string
}

// Append encodes the reference at the end of b.
func (r InodeExtref) Append(b []byte) []byte {
	return append(put16(put64(put64(b, r.Parent), r.Index), uint16(len(r.Name))), r.Name...)
}

// DecodeInodeExtrefs decodes all references of an INODE_EXTREF item.
func DecodeInodeExtrefs(b []byte) ([]InodeExtref, error) {
	var refs []InodeExtref
	for len(b) > 0 {
		if err := needAtLeast("inode extref", b, InodeExtrefSize); err != nil {
			return nil, err
		}
		name, rest, err := takeName("inode extref", b[InodeExtrefSize:], u16(b[16:]))
		if err != nil {
			return nil, err
		}
		refs = append(refs, InodeExtref{Parent: u64(b), Index: u64(b[8:]), Name: name})
		b = rest
	}
	return refs, nil
}

// DirItem is a directory entry, or an extended attribute, whose Data is the
// value and whose Location is zero.
type DirItem struct {
	Location Key
	Transid  uint64
	Type     FileType
	Name     string
	Data     []byte
}

// Append encodes the entry at the end of b.
func (d *DirItem) Append(b []byte) []byte {
	b = put64(d.Location.Append(b), d.Transid)
	b = put16(put16(b, uint16(len(d.Data))), uint16(len(d.Name)))
	b = append(append(b, uint8(d.Type)), d.Name...)
	return append(b, d.Data...)
}

// DecodeDirItems decodes all entries of a DIR_ITEM, DIR_INDEX or XATTR_ITEM.
// Data points into b.
func DecodeDirItems(b []byte) ([]DirItem, error) {
	var items []DirItem
	for len(b) > 0 {
		if err := needAtLeast("dir item", b, DirItemSize); err != nil {
			return nil, err
		}
		location, err := DecodeKey(b)
		if err != nil {
			return nil, err
		}
		dataLen := int(u16(b[25:]))
		name, rest, err := takeName("dir item", b[DirItemSize:], u16(b[27:]))
		if err != nil {
			return nil, err
		}
		if len(rest) < dataLen {
			return nil, malformed("dir item", "data of %d bytes, %d left in the item", dataLen, len(rest))
		}
		items = append(items, DirItem{Location: location, Transid: u64(b[17:]), Type: FileType(b[29]), Name: name, Data: rest[:dataLen:dataLen]})
		b = rest[dataLen:]
	}
	return items, nil
}

func takeName(what string, b []byte, n uint16) (name string, rest []byte, err error) {
	if n == 0 || int(n) > len(b) || n > MaxNameLen {
		return "", nil, malformed(what, "name of %d bytes, expected 1 to %d with %d left in the item", n, MaxNameLen, len(b))
	}
	return string(b[:n]), b[n:], nil
}
