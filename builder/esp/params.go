package esp

import (
	"fmt"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Params says what the file system is to be like besides its files.
type Params struct {
	Size       int64     // bytes of the file system; what is left over a whole sector is not used
	SectorSize int64     // bytes of a sector of the disk: 512 or 4096; 0 means 512
	Start      int64     // bytes on the disk before the partition, a multiple of SectorSize
	Label      string    // volume label: up to 11 characters, ASCII, upper case; "" means none
	Serial     uint32    // volume serial number, by which the file system is found; not 0
	Timestamp  time.Time // creation and access of every entry, and of the label; modification times are the tree's
}

// Result describes the file system that was written.
type Result struct {
	Size         int64  // bytes
	UUID         string // the serial number as blkid prints it, such as "1234-ABCD"
	ClusterSize  int64  // bytes
	Clusters     int64  // all of them
	FreeClusters int64
	Files        int64
	Directories  int64 // the root counts
	DataBytes    int64 // sizes of the files, holes included
}

// UUID returns a serial number as blkid prints it and fstab names it.
func UUID(serial uint32) string { return fmt.Sprintf("%04X-%04X", serial>>16, serial&0xffff) }

const maxLabel = 11

// normal returns p with its defaults filled in, or what is wrong with it.
func (p Params) normal() (Params, error) {
	if p.SectorSize == 0 {
		p.SectorSize = 512
	}
	switch {
	case p.SectorSize != 512 && p.SectorSize != 4096:
		return p, fault.New(fault.Usage, "", "FAT32 sector size: %d, expected 512 or 4096", p.SectorSize)
	case p.Serial == 0:
		return p, fault.New(fault.Usage, "", "FAT32 serial number: 0, expected another: 0 means that there is none")
	case p.Start < 0 || p.Start%p.SectorSize != 0:
		return p, fault.New(fault.Usage, "", "FAT32 start: byte %d of the disk, expected a multiple of %d", p.Start, p.SectorSize)
	case p.Start/p.SectorSize > maxSectors:
		return p, fault.New(fault.Usage, "", "FAT32 start: byte %d of the disk, expected at most %d", p.Start, maxSectors*p.SectorSize)
	}
	return p, checkLabel(p.Label)
}

// checkLabel refuses labels that programs would show differently: the label
// is stored padded with spaces and in upper case.
func checkLabel(label string) error {
	const hint = "use up to 11 upper-case letters, digits, spaces and any of $%'-_@~`!(){}^#&"
	switch {
	case label == "":
		return nil
	case len(label) > maxLabel:
		return fault.New(fault.Config, hint, "FAT32 label %q: %d bytes, expected at most %d", label, len(label), maxLabel)
	case label[0] == ' ' || label[len(label)-1] == ' ':
		return fault.New(fault.Config, hint, "FAT32 label %q: a space at its start or end would be lost", label)
	case label == noName:
		return fault.New(fault.Config, hint, "FAT32 label %q: this one means that there is none", label)
	}
	for i := range len(label) {
		if c := label[i]; c != ' ' && !shortByte(c) {
			return fault.New(fault.Config, hint, "FAT32 label %q: %q is not allowed", label, c)
		}
	}
	return nil
}

const noName = "NO NAME"

// labelField returns the label as it stands in the boot sector and the root
// directory.
func labelField(label string) (f [maxLabel]byte) {
	if label == "" {
		label = noName
	}
	copy(f[:], label+strings.Repeat(" ", maxLabel-len(label)))
	return f
}
