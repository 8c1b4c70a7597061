package plan

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// Roles of partitions.
const (
	RoleESP  = "esp"
	RoleRoot = "root"
)

// Partition types of the Discoverable Partitions Specification,
// https://uapi-group.org/specifications/specs/discoverable_partitions_specification.
var (
	TypeESP        = ids.UUID{0xc1, 0x2a, 0x73, 0x28, 0xf8, 0x1f, 0x11, 0xd2, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}
	TypeRootX86_64 = ids.UUID{0x4f, 0x68, 0xbc, 0xe3, 0xe8, 0xcd, 0x4d, 0xb1, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09}
)

// Alignment is that of the start and end of every partition, in bytes; the first
// Alignment bytes hold the protective MBR and the primary table, the last ones
// the backup table. 1 MiB is a multiple of the erase blocks of usual media and
// what other tools choose.
const Alignment int64 = 1 << 20

const (
	sectorSize = 512

	// minESP is the least size of an ESP in bytes, where only what it holds decides.
	minESP = 64 << 20

	// minRoot is the least size of the root partition in bytes. An empty file
	// system with two copies of its metadata takes 109 MiB when the kernel's
	// own tools make it; what the source needs on top only the source knows.
	minRoot = 128 << 20
)

// needs returns the least size in bytes of a disk for a profile on a layout.
func needs(profile *profiles.Profile, layout *layouts.Layout) int64 {
	if layout.ESP.Only {
		return Alignment + max(int64(layout.ESP.Size), minESP) + Alignment
	}
	root := int64(minRoot)
	if profile.Swap.Policy != SwapNone {
		root += int64(layout.Swapfile.Image)
	}
	return Alignment + int64(layout.ESP.Size) + roundUp(root) + Alignment
}

// checkSize refuses a disk that cannot hold the layout. Size 0 always fits.
func checkSize(profile *profiles.Profile, layout *layouts.Layout, size int64) error {
	least := needs(profile, layout)
	switch {
	case size == 0:
		return nil
	case size%sectorSize != 0:
		return fault.New(fault.Usage, "", "disk of %d bytes: expected a multiple of the sector size, %d", size, sectorSize)
	case size < least:
		return fault.New(fault.Usage, fmt.Sprintf("use a size of at least %s, or leave it out for the smallest that fits", sizeText(least)),
			"disk too small for layout %s: needs %d bytes, has %d", layout.Name, least, size)
	}
	return nil
}

func makeDisk(p *Plan, size int64) Disk {
	esp := Partition{
		Role: RoleESP, Type: TypeESP, PARTUUID: p.Seed.UUID(ids.ESP), Label: p.Layout.ESP.Label,
		Start: Alignment, Size: int64(p.Layout.ESP.Size), FSType: "vfat", FSID: serialText(p.Seed.Serial(ids.FATSerial)),
	}
	root := Partition{
		Role: RoleRoot, Type: TypeRootX86_64, PARTUUID: p.Seed.UUID(ids.Root), Label: p.Layout.Root.Label,
		Start: esp.Start + esp.Size, FSType: "btrfs", FSID: p.Seed.UUID(ids.BtrfsFSID).String(),
		FirstBoot: len(initSteps(p)) > 0,
	}
	d := Disk{GUID: p.Seed.UUID(ids.Disk), SectorSize: sectorSize, Size: size, Partitions: []Partition{esp, root}}
	if p.Layout.ESP.Only {
		d.Partitions = d.Partitions[:1]
	}
	if last := &d.Partitions[len(d.Partitions)-1]; size > 0 && last.Size == 0 {
		last.Size = (size-Alignment)/Alignment*Alignment - last.Start
	}
	return d
}

func roundUp(n int64) int64 { return (n + Alignment - 1) / Alignment * Alignment }

// serialText is the form in which blkid prints the serial number of a FAT file
// system.
func serialText(serial uint32) string { return fmt.Sprintf("%04X-%04X", serial>>16, serial&0xffff) }

// Serial returns the FSID of a vfat partition as the number in its boot sector.
func (p *Partition) Serial() (uint32, error) {
	high, low, ok := strings.Cut(p.FSID, "-")
	n, err := strconv.ParseUint(high+low, 16, 32)
	if !ok || len(high) != 4 || len(low) != 4 || err != nil {
		return 0, fault.New(fault.Input, "", "partition %s: fsid %q: expected XXXX-XXXX", p.Role, p.FSID)
	}
	return uint32(n), nil
}
