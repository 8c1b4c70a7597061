// Package writer makes key media: disks with one partition, MKIMAGE-KEYS, in whose FAT32
// file system the file of a key is, and a README for whoever finds the disk. Package
// keymedium reads them.
//
// What it does not do: it encrypts nothing, and chooses no disk.
package writer

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// basicData is the type of a partition that every system looks into
// (Microsoft basic data): the README on it is for whoever finds the stick.
const basicData = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"

// mediumLabel is the label of the file system; that of the partition, by which
// it is found, is too long for FAT by one letter.
const mediumLabel = "MKIMAGEKEYS"

// readmeText is on the medium beside the key.
const readmeText = `This is a key medium of mkimage.

The file %s beside this one holds the secret key of age with which a
machine decrypts its secrets. It is %s.

At its first boot the machine looks for a partition named MKIMAGE-KEYS, copies
the key and needs this medium no more. Take it out then and keep it where the
machine is not: it is also what brings the secrets back when the machine is lost.

To read the key elsewhere:
  %s
`

// Medium is what is written.
type Medium struct {
	File string    // the name of the key's file: config.KeyFile or config.KeyFileEncrypted
	Data []byte    // what is in it
	Now  time.Time // of the files
}

// Plan decides where everything goes on a disk of so many bytes, 0 for the
// smallest. The partition is the smallest that is FAT32.
func (m *Medium) Plan(disk, sector int64) (gpt.Table, esp.Params, *fstree.Tree, error) {
	var seed ids.Seed
	if _, err := rand.Read(seed[:]); err != nil {
		return gpt.Table{}, esp.Params{}, nil, err
	}
	tree, err := m.tree()
	if err != nil {
		return gpt.Table{}, esp.Params{}, nil, err
	}
	params := esp.Params{SectorSize: sector, Start: gpt.Alignment, Label: mediumLabel, Serial: seed.Serial(ids.FATSerial) | 1, Timestamp: m.Now}
	if params.Size, err = esp.MinSize(tree, params); err != nil {
		return gpt.Table{}, params, nil, err
	}
	kind, err := ids.ParseUUID(basicData)
	if err != nil {
		return gpt.Table{}, params, nil, err
	}
	table, err := gpt.Place(gpt.Table{GUID: seed.UUID(ids.Disk), SectorSize: sector, DiskSize: disk, Partitions: []gpt.Partition{
		{Type: kind, GUID: seed.UUID(ids.ESP), Label: config.KeyLabel, Start: params.Start, Size: params.Size},
	}})
	return table, params, tree, err
}

// Disk is what a medium is written to.
type Disk interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
	Zero(at, length int64) error // bytes
	DropCache() error            // so that what is read comes from the disk
}

// edge is how many bytes at the beginning and at the end of a disk say what is
// on it: partition tables, and the first superblocks and labels of file
// systems, LUKS, LVM, RAID and ZFS are all there.
const edge = 1 << 20

// Write writes the medium to a whole disk of so many bytes and so large sectors, and
// reads it back. It empties the edges of the disk first, and the partition: a power cut
// leaves an empty disk, the old table, or the medium. name is for errors.
func (m *Medium) Write(ctx context.Context, name string, d Disk, size, sector int64) error {
	if sector != 512 && sector != 4096 {
		return fault.New(fault.Target, "", "%s: sectors of %d bytes, expected 512 or 4096", name, sector)
	}
	table, params, tree, err := m.Plan(size/sector*sector, sector)
	if err != nil {
		return err
	}
	end := params.Start + table.Partitions[0].Size
	for _, part := range [][2]int64{{0, min(end+edge, size)}, {max(0, size-edge), size}} {
		if err := zero(ctx, d, part[0], part[1]); err != nil {
			return err
		}
	}
	if err := d.Sync(); err != nil {
		return err
	}
	if _, err := esp.Write(ctx, io.NewOffsetWriter(d, params.Start), tree, params); err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return err
	}
	if err := gpt.Write(d, table); err != nil {
		return err
	}
	return errors.Join(d.DropCache(), m.ReadBack(d, size))
}

// zero writes zeros from a byte up to another, in steps between which it can be
// stopped.
func zero(ctx context.Context, d Disk, from, to int64) error {
	const step = 16 << 20
	for at := from; at < to; at += step {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.Zero(at, min(step, to-at)); err != nil {
			return err
		}
	}
	return nil
}

// tree returns the files of the medium.
func (m *Medium) tree() (*fstree.Tree, error) {
	how, command := "encrypted with a passphrase", "age -d "+m.File
	if m.File == config.KeyFile {
		how, command = "NOT encrypted: whoever can read this can read the secrets", "cat "+m.File
	}
	readme := fmt.Appendf(nil, readmeText, m.File, how, command)
	readme = bytes.ReplaceAll(readme, []byte("\n"), []byte("\r\n")) // for editors of other systems
	tree := fstree.New()
	for name, data := range map[string][]byte{m.File: m.Data, "README.txt": readme} {
		inode := &fstree.Inode{Mode: fstree.TypeRegular | 0o600, Size: int64(len(data)), Content: fstree.Bytes(data)}
		inode.SetMTime(m.Now)
		if _, err := tree.Root().Add(name, inode); err != nil {
			return nil, err
		}
	}
	tree.Freeze()
	return tree, nil
}

// ReadBack reads a medium of size bytes as a machine does and compares the key. A
// difference is of class fault.Mismatch.
func (m *Medium) ReadBack(r io.ReaderAt, size int64) error {
	table, problems, err := gpt.Read(r, size)
	if err != nil {
		return differs("%w", err)
	}
	if len(problems) > 0 {
		return differs("%s", problems[0])
	}
	if len(table.Partitions) != 1 || table.Partitions[0].Label != config.KeyLabel {
		return differs("%d partitions, expected one named %s", len(table.Partitions), config.KeyLabel)
	}
	p := table.Partitions[0]
	files, err := reader.Open(io.NewSectionReader(r, p.Start, p.Size), p.Size)
	if err != nil {
		return differs("%w", err)
	}
	data, err := files.ReadAtMost(m.File, int64(len(m.Data))+1)
	if err != nil {
		return differs("%w", err)
	}
	if !bytes.Equal(data, m.Data) {
		return differs("%s: is not what was written", m.File)
	}
	return nil
}

// differs says that a medium does not give back what was written to it.
func differs(format string, args ...any) error {
	return fault.New(fault.Mismatch, "the medium may be broken: use another one", "read back: %w", fmt.Errorf(format, args...))
}
