package efivar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/ids"
)

// Node is one step of a device path (UEFI 2.10, 10.3).
type Node struct {
	Type, Subtype byte
	Data          []byte // behind the header
}

// Types and subtypes of nodes (UEFI 2.10, 10.3.1, 10.3.5.1 and 10.3.5.4).
const (
	typeMedia    = 0x04
	subHardDrive = 0x01
	subFile      = 0x04
	typeEnd      = 0x7f
	subEnd       = 0xff // of the whole path; another subtype ends one of several in a path

	nodeHeader    = 4
	hardDriveSize = 38 // without the header
	formatGPT     = 2  // of a partition table
	signatureGUID = 2
)

// decodePath reads nodes up to the end of the path, and returns what follows.
func decodePath(data []byte) (path []Node, rest []byte, err error) {
	for {
		if len(data) < nodeHeader {
			return nil, nil, errors.New("device path: no end")
		}
		size := int(binary.LittleEndian.Uint16(data[2:]))
		if size < nodeHeader || size > len(data) {
			return nil, nil, fmt.Errorf("device path: a node of %d bytes, expected %d to %d", size, nodeHeader, len(data))
		}
		n := Node{data[0], data[1], data[nodeHeader:size:size]}
		data = data[size:]
		if n.Type == typeEnd && n.Subtype == subEnd {
			return path, data, nil
		}
		path = append(path, n)
	}
}

// appendPath writes nodes and the end of the path.
func appendPath(data []byte, path []Node) ([]byte, error) {
	for _, n := range append(path[:len(path):len(path)], Node{Type: typeEnd, Subtype: subEnd}) {
		size := nodeHeader + len(n.Data)
		if size > 0xffff {
			return nil, fmt.Errorf("device path: a node of %d bytes, expected %d at most", size, 0xffff)
		}
		data = append(data, n.Type, n.Subtype)
		data = binary.LittleEndian.AppendUint16(data, uint16(size))
		data = append(data, n.Data...)
	}
	return data, nil
}

// Partition is a partition of a GPT as the firmware finds it. Start and size
// are in blocks of its disk (LBA).
type Partition struct {
	Number      uint32
	Start, Size uint64
	GUID        ids.UUID // PARTUUID
}

// node returns the step to a partition, which is enough for the firmware to
// find it on any disk (a short-form path, UEFI 2.10, 3.1.2).
func (p Partition) node() Node {
	d := binary.LittleEndian.AppendUint32(nil, p.Number)
	d = binary.LittleEndian.AppendUint64(d, p.Start)
	d = binary.LittleEndian.AppendUint64(d, p.Size)
	id := mixed(p.GUID)
	return Node{typeMedia, subHardDrive, append(append(d, id[:]...), formatGPT, signatureGUID)}
}

// partition reads the step to a partition of a GPT.
func (n Node) partition() (Partition, bool) {
	d := n.Data
	if n.Type != typeMedia || n.Subtype != subHardDrive || len(d) != hardDriveSize || d[36] != formatGPT || d[37] != signatureGUID {
		return Partition{}, false
	}
	return Partition{
		binary.LittleEndian.Uint32(d), binary.LittleEndian.Uint64(d[4:]), binary.LittleEndian.Uint64(d[12:]),
		mixed(ids.UUID(d[20:36])),
	}, true
}

// mixed changes a GUID between the order in which it is printed and the one of
// UEFI, whose first three fields are little-endian (UEFI 2.10, appendix A).
func mixed(u ids.UUID) ids.UUID {
	u[0], u[1], u[2], u[3] = u[3], u[2], u[1], u[0]
	u[4], u[5] = u[5], u[4]
	u[6], u[7] = u[7], u[6]
	return u
}

// fileNode returns the step to a file.
func fileNode(path string) (Node, error) {
	d, err := appendString(nil, path)
	return Node{typeMedia, subFile, d}, err
}

// file returns where a path leads, when that is a file on a partition of a GPT.
// A file's path may be in several steps.
func file(path []Node) (p Partition, name string, ok bool) {
	for _, n := range path {
		if at, is := n.partition(); is {
			p, name, ok = at, "", true
			continue
		}
		if n.Type != typeMedia || n.Subtype != subFile {
			continue
		}
		part, _, err := decodeString(n.Data)
		if err != nil {
			return Partition{}, "", false
		}
		if name != "" && !strings.HasSuffix(name, `\`) && !strings.HasPrefix(part, `\`) {
			name += `\`
		}
		name += part
	}
	return p, name, ok && name != ""
}
