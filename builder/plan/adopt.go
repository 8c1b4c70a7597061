package plan

import (
	"slices"

	"github.com/6FaNcY9/mkimage/builder/ids"
)

// Identity is what a disk that stays is known by.
type Identity struct {
	Disk       ids.UUID // GUID of its table
	ESP, Root  ids.UUID // PARTUUIDs
	ESPSerial  string   // as blkid prints it
	BtrfsFSID  string   // as blkid prints it
	SectorSize int64    // bytes
}

// Adopt returns the plan of a system that goes onto a disk which has its layout
// already, and keeps its identity: what p would have called it is forgotten. p is
// not changed.
func Adopt(p *Plan, id Identity) *Plan {
	q := *p
	q.Disk.GUID, q.Disk.SectorSize = id.Disk, id.SectorSize
	q.Disk.Partitions = slices.Clone(p.Disk.Partitions)
	for i := range q.Disk.Partitions {
		part := &q.Disk.Partitions[i]
		switch part.Role {
		case RoleESP:
			part.PARTUUID, part.FSID = id.ESP, id.ESPSerial
		case RoleRoot:
			part.PARTUUID, part.FSID = id.Root, id.BtrfsFSID
		}
	}
	q.Mounts = makeMounts(&q)
	q.Cmdline = makeCmdline(&q)
	q.Entries = makeEntries(&q)
	return &q
}
