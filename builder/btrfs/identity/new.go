package identity

import (
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// New is the identity that a file system is given.
type New struct {
	FSID          ids.UUID
	ChunkTreeUUID ids.UUID
	DeviceUUID    ids.UUID
	Label         string // up to ondisk.MaxLabel bytes
}

// The names from which package btrfs derives what the plan does not say.
const (
	chunkTreeName = "btrfs chunk tree"
	deviceName    = "btrfs device"
)

// FromSeed returns the identity of the file system that package btrfs writes
// with this seed and label.
func FromSeed(seed ids.Seed, label string) New {
	return New{FSID: seed.UUID(ids.BtrfsFSID), ChunkTreeUUID: seed.UUID(chunkTreeName), DeviceUUID: seed.UUID(deviceName), Label: label}
}

// check refuses an identity that is none, or that the original has.
func (n *New) check(old *ondisk.Superblock) error {
	switch {
	case n.FSID.IsZero() || n.ChunkTreeUUID.IsZero() || n.DeviceUUID.IsZero():
		return fault.New(fault.Usage, "", "new identity: fsid %v, chunk tree %v and device %v, expected none of zeros", n.FSID, n.ChunkTreeUUID, n.DeviceUUID)
	case len(n.Label) > ondisk.MaxLabel:
		return fault.New(fault.Usage, "", "label: %d bytes, expected at most %d", len(n.Label), ondisk.MaxLabel)
	case strings.ContainsRune(n.Label, 0):
		return fault.New(fault.Usage, "", "label %q: holds a NUL byte", n.Label)
	case n.FSID == old.FSID || n.DeviceUUID == old.DevItem.UUID:
		return fault.New(fault.Usage, "use another seed", "new identity: fsid %v and device %v, one of them is that of the original already", n.FSID, n.DeviceUUID)
	}
	return nil
}

// Edit replaces text in a file, wherever it stands in it.
type Edit struct {
	Path     string // from the top level, such as "@/etc/fstab"; no symlink on the way
	Old, New string // of equal length
}

func (e *Edit) check() error {
	if e.Old == "" || len(e.Old) != len(e.New) {
		return fault.New(fault.Usage, "", "%s: text %q in place of %q, expected texts of equal length", e.Path, e.New, e.Old)
	}
	return nil
}
