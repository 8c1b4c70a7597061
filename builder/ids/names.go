package ids

import "encoding/binary"

// The names of the identities that more than one package must know: the plan
// says them before the writers make them.
const (
	BtrfsFSID = "btrfs"        // fsid of the root file system
	Disk      = "gpt disk"     // GUID of the partition table
	ESP       = "gpt esp"      // PARTUUID of the EFI system partition
	Root      = "gpt root"     // PARTUUID of the root partition
	FATSerial = "fat32 serial" // volume serial number of the ESP's file system
)

// Serial returns the 32-bit number called name, for formats that have no room
// for a UUID: the first four bytes of UUID(name), big-endian.
func (s Seed) Serial(name string) uint32 {
	u := s.UUID(name)
	return binary.BigEndian.Uint32(u[:4])
}
