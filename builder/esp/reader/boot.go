package reader

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

const hintDamaged = "the FAT32 file system is damaged, or it is none"

// Figures of the specification.
const (
	minSector    = 512
	maxSector    = 4096
	minClusters  = 65525
	maxClusters  = 0x0ffffff5
	firstCluster = 2
)

// boot holds the figures of a boot sector. Offsets and sizes are in bytes.
type boot struct {
	sector      int64
	cluster     int64
	sectors     int64
	tableOffset int64 // of the first FAT
	tableSize   int64 // of one FAT
	tables      int64
	clusters    uint32
	root        uint32 // cluster of the root directory
	info        int64  // offset of FSInfo
	backup      int64  // offset of the copy of the boot sector; 0 means none
	label       [11]byte
	serial      uint32
	state       byte // bit 0: not unmounted cleanly; bit 1: test the surface
}

// size returns the bytes of the file system.
func (b *boot) size() int64 { return b.sectors * b.sector }

// data returns the offset of the first cluster.
func (b *boot) data() int64 { return b.tableOffset + b.tables*b.tableSize }

// offset returns where a cluster starts. It must be valid.
func (b *boot) offset(cluster uint32) int64 { return b.data() + int64(cluster-firstCluster)*b.cluster }

// valid reports whether there is a cluster of this number.
func (b *boot) valid(cluster uint32) bool {
	return cluster >= firstCluster && cluster-firstCluster < b.clusters
}

// readBoot reads the boot sector of a file system in an image of size bytes.
func readBoot(r io.ReaderAt, size int64) (*boot, error) {
	raw := make([]byte, minSector)
	if err := readFull(r, raw, 0); err != nil {
		return nil, fmt.Errorf("FAT32 boot sector: %w", err)
	}
	b, err := decodeBoot(raw)
	if err == nil && b.size() > size {
		err = fmt.Errorf("%d sectors of %d bytes, the image has %d bytes", b.sectors, b.sector, size)
	}
	if err != nil {
		return nil, fault.New(fault.Input, hintDamaged, "FAT32 boot sector: %w", err)
	}
	return b, nil
}

// decodeBoot decodes the first 512 bytes of a file system.
func decodeBoot(raw []byte) (*boot, error) {
	le := binary.LittleEndian
	sector, perCluster, reserved := int64(le.Uint16(raw[11:])), int64(raw[13]), int64(le.Uint16(raw[14:]))
	switch {
	case raw[510] != 0x55 || raw[511] != 0xaa:
		return nil, fmt.Errorf("signature %x, expected 55aa", raw[510:512])
	case sector < minSector || sector > maxSector || sector&(sector-1) != 0:
		return nil, fmt.Errorf("sectors of %d bytes, expected 512, 1024, 2048 or 4096", sector)
	case perCluster == 0 || perCluster&(perCluster-1) != 0:
		return nil, fmt.Errorf("%d sectors in a cluster, expected a power of 2", perCluster)
	case le.Uint16(raw[17:]) != 0 || le.Uint16(raw[19:]) != 0 || le.Uint16(raw[22:]) != 0:
		return nil, fmt.Errorf("fields of FAT12 or FAT16 are set, expected FAT32")
	case raw[16] != 1 && raw[16] != 2:
		return nil, fmt.Errorf("%d FATs, expected 1 or 2", raw[16])
	case raw[21] != 0xf8 && raw[21] != 0xf0:
		return nil, fmt.Errorf("media descriptor %#x, expected 0xf8 or 0xf0", raw[21])
	case le.Uint16(raw[40:])&0x80 != 0:
		return nil, fmt.Errorf("only one of the FATs is in use, expected equal ones")
	case le.Uint16(raw[42:]) != 0:
		return nil, fmt.Errorf("version %#x, expected 0", le.Uint16(raw[42:]))
	case raw[66] != 0x29 || !bytes.Equal(raw[82:90], []byte("FAT32   ")):
		return nil, fmt.Errorf("type %q, expected FAT32", raw[82:90])
	}
	b := &boot{
		sector: sector, cluster: sector * perCluster, sectors: int64(le.Uint32(raw[32:])),
		tableOffset: reserved * sector, tableSize: int64(le.Uint32(raw[36:])) * sector, tables: int64(raw[16]),
		root: le.Uint32(raw[44:]), info: int64(le.Uint16(raw[48:])) * sector, backup: int64(le.Uint16(raw[50:])) * sector,
		serial: le.Uint32(raw[67:]), label: [11]byte(raw[71:82]), state: raw[65],
	}
	return b, b.divide()
}

// divide counts the clusters, and checks that all parts have their room.
func (b *boot) divide() error {
	clusters := (b.size() - b.data()) / b.cluster
	switch {
	case clusters < minClusters || clusters > maxClusters:
		return fmt.Errorf("%d clusters, expected %d to %d", clusters, minClusters, maxClusters)
	case (clusters+firstCluster)*entrySize > b.tableSize:
		return fmt.Errorf("a FAT of %d bytes, needs %d for %d clusters", b.tableSize, (clusters+firstCluster)*entrySize, clusters)
	case b.info < b.sector || b.info >= b.tableOffset:
		return fmt.Errorf("FSInfo in sector %d, expected 1 to %d", b.info/b.sector, b.tableOffset/b.sector-1)
	case b.backup == 0xffff*b.sector:
		b.backup = 0
	case b.backup >= b.tableOffset:
		return fmt.Errorf("backup in sector %d, expected it before sector %d", b.backup/b.sector, b.tableOffset/b.sector)
	}
	if b.clusters = uint32(clusters); !b.valid(b.root) {
		return fmt.Errorf("root directory in cluster %d, expected %d to %d", b.root, firstCluster, b.clusters+firstCluster-1)
	}
	return nil
}

// labelText returns a label without its padding, "" for none.
func labelText(field [11]byte) string {
	if s := strings.TrimRight(string(field[:]), " "); s != "NO NAME" {
		return s
	}
	return ""
}

// readFull reads all of buf. An end that comes too early is a fault of the
// input.
func readFull(r io.ReaderAt, buf []byte, offset int64) error {
	n, err := r.ReadAt(buf, offset)
	switch {
	case n == len(buf):
		return nil
	case err == nil || err == io.EOF:
		return fault.New(fault.Input, hintDamaged, "the image ends at byte %d, expected %d bytes at byte %d", offset+int64(n), len(buf), offset)
	default:
		return err
	}
}
