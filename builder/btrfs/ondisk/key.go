package ondisk

import (
	"cmp"
	"fmt"
)

// Type is the type of an item, the middle part of its key.
type Type uint8

// Item types.
const (
	TypeInodeItem       Type = 1
	TypeInodeRef        Type = 12
	TypeInodeExtref     Type = 13
	TypeXattrItem       Type = 24
	TypeVerityDesc      Type = 36
	TypeVerityMerkle    Type = 37
	TypeOrphanItem      Type = 48
	TypeDirLogItem      Type = 60
	TypeDirLogIndex     Type = 72
	TypeDirItem         Type = 84
	TypeDirIndex        Type = 96
	TypeExtentData      Type = 108
	TypeExtentCsum      Type = 128
	TypeRootItem        Type = 132
	TypeRootBackref     Type = 144
	TypeRootRef         Type = 156
	TypeExtentItem      Type = 168
	TypeMetadataItem    Type = 169
	TypeExtentOwnerRef  Type = 172
	TypeTreeBlockRef    Type = 176
	TypeExtentDataRef   Type = 178
	TypeSharedBlockRef  Type = 182
	TypeSharedDataRef   Type = 184
	TypeBlockGroupItem  Type = 192
	TypeFreeSpaceInfo   Type = 198
	TypeFreeSpaceExtent Type = 199
	TypeFreeSpaceBitmap Type = 200
	TypeDevExtent       Type = 204
	TypeDevItem         Type = 216
	TypeChunkItem       Type = 228
	TypePersistentItem  Type = 249
	TypeUUIDSubvol      Type = 251
	TypeUUIDReceived    Type = 252
)

var typeNames = map[Type]string{
	TypeInodeItem: "INODE_ITEM", TypeInodeRef: "INODE_REF", TypeInodeExtref: "INODE_EXTREF",
	TypeXattrItem: "XATTR_ITEM", TypeVerityDesc: "VERITY_DESC_ITEM", TypeVerityMerkle: "VERITY_MERKLE_ITEM",
	TypeOrphanItem: "ORPHAN_ITEM", TypeDirLogItem: "DIR_LOG_ITEM", TypeDirLogIndex: "DIR_LOG_INDEX",
	TypeDirItem: "DIR_ITEM", TypeDirIndex: "DIR_INDEX", TypeExtentData: "EXTENT_DATA",
	TypeExtentCsum: "EXTENT_CSUM", TypeRootItem: "ROOT_ITEM", TypeRootBackref: "ROOT_BACKREF",
	TypeRootRef: "ROOT_REF", TypeExtentItem: "EXTENT_ITEM", TypeMetadataItem: "METADATA_ITEM",
	TypeExtentOwnerRef: "EXTENT_OWNER_REF", TypeTreeBlockRef: "TREE_BLOCK_REF", TypeExtentDataRef: "EXTENT_DATA_REF",
	TypeSharedBlockRef: "SHARED_BLOCK_REF", TypeSharedDataRef: "SHARED_DATA_REF", TypeBlockGroupItem: "BLOCK_GROUP_ITEM",
	TypeFreeSpaceInfo: "FREE_SPACE_INFO", TypeFreeSpaceExtent: "FREE_SPACE_EXTENT", TypeFreeSpaceBitmap: "FREE_SPACE_BITMAP",
	TypeDevExtent: "DEV_EXTENT", TypeDevItem: "DEV_ITEM", TypeChunkItem: "CHUNK_ITEM",
	TypePersistentItem: "PERSISTENT_ITEM", TypeUUIDSubvol: "UUID_KEY_SUBVOL", TypeUUIDReceived: "UUID_KEY_RECEIVED_SUBVOL",
}

// String returns the type's name as btrfs inspect-internal dump-tree prints it.
func (t Type) String() string {
	if name, ok := typeNames[t]; ok {
		return name
	}
	return fmt.Sprintf("UNKNOWN.%d", uint8(t))
}

// KeySize is the size of an encoded key.
const KeySize = 17

// Key orders the items of a tree.
type Key struct {
	ObjectID uint64
	Type     Type
	Offset   uint64
}

// Compare orders keys by objectid, type and offset, all unsigned.
func (k Key) Compare(o Key) int {
	if c := cmp.Compare(k.ObjectID, o.ObjectID); c != 0 {
		return c
	}
	if c := cmp.Compare(k.Type, o.Type); c != 0 {
		return c
	}
	return cmp.Compare(k.Offset, o.Offset)
}

// String returns the key as (objectid TYPE offset).
func (k Key) String() string { return fmt.Sprintf("(%d %s %d)", k.ObjectID, k.Type, k.Offset) }

// Append encodes the key at the end of b.
func (k Key) Append(b []byte) []byte {
	return put64(append(put64(b, k.ObjectID), uint8(k.Type)), k.Offset)
}

// DecodeKey decodes the key at the start of b.
func DecodeKey(b []byte) (Key, error) {
	if err := needAtLeast("key", b, KeySize); err != nil {
		return Key{}, err
	}
	return Key{ObjectID: u64(b), Type: Type(b[8]), Offset: u64(b[9:])}, nil
}
