package esp

import "encoding/binary"

// Sectors of the reserved area.
const (
	bootSector   = 0
	infoSector   = 1
	backupSector = 6 // the place that repairing programs know
)

// media is the media descriptor of a disk that does not leave its drive.
const media = 0xf8

// bootCode tells the firmware of a BIOS that there is nothing to boot
// (int 0x18), and halts should that return.
var bootCode = []byte{0xcd, 0x18, 0xf4, 0xeb, 0xfd}

const bootCodeOffset = 0x5a

// boot returns the boot sector.
func (g geometry) boot(p *Params) []byte {
	b := make([]byte, g.sectorSize)
	le := binary.LittleEndian
	copy(b, []byte{0xeb, bootCodeOffset - 2, 0x90}) // jump to the code
	copy(b[3:], "MSWIN4.1")                         // what the specification recommends: some drivers test it
	le.PutUint16(b[11:], uint16(g.sectorSize))
	b[13] = byte(g.perCluster)
	le.PutUint16(b[14:], uint16(g.reserved))
	b[16] = fats
	b[21] = media
	le.PutUint16(b[24:], 63)  // sectors per track and
	le.PutUint16(b[26:], 255) // heads: what a BIOS makes of any large disk
	le.PutUint32(b[28:], uint32(p.Start/g.sectorSize))
	le.PutUint32(b[32:], uint32(g.sectors))
	le.PutUint32(b[36:], uint32(g.fatSectors))
	le.PutUint32(b[44:], firstCluster) // of the root directory
	le.PutUint16(b[48:], infoSector)
	le.PutUint16(b[50:], backupSector)
	b[64] = 0x80 // BIOS drive number
	b[66] = 0x29 // serial, label and type follow
	le.PutUint32(b[67:], p.Serial)
	label := labelField(p.Label)
	copy(b[71:], label[:])
	copy(b[82:], "FAT32   ")
	copy(b[bootCodeOffset:], bootCode)
	b[510], b[511] = 0x55, 0xaa
	return b
}

// info returns the FSInfo sector of a file system of which the first used
// clusters are taken.
func (g geometry) info(used int64) []byte {
	b := make([]byte, g.sectorSize)
	le := binary.LittleEndian
	next := uint32(0xffffffff) // not known: there is none
	if used < g.clusters {
		next = uint32(firstCluster + used)
	}
	le.PutUint32(b, 0x41615252)
	le.PutUint32(b[484:], 0x61417272)
	le.PutUint32(b[488:], uint32(g.clusters-used))
	le.PutUint32(b[492:], next)
	le.PutUint32(b[508:], 0xaa550000)
	return b
}
