// Package inspect tells what is in a disk image: partitions, subvolumes with
// what they take, boot entries, kernels, the swapfile and what the image was
// made from.
//
// It reads and reports; whether what it finds is right is for package verify.
// What cannot be read is left out and named in Image.Unread, so that a damaged
// image shows what is left of it.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// Image is what was found. Sizes are in bytes.
type Image struct {
	Size       int64       `json:"size"`
	GUID       ids.UUID    `json:"guid"`
	SectorSize int64       `json:"sector_size"`
	Partitions []Partition `json:"partitions"`
	Subvolumes []Subvolume `json:"subvolumes"`
	Boot       Boot        `json:"boot"`
	Swapfile   *Swapfile   `json:"swapfile,omitempty"`
	Origin     *Origin     `json:"origin,omitempty"` // from the manifest on the ESP
	Unread     []string    `json:"unread"`           // what could not be read or is damaged, and how
}

// Partition is a partition and the file system in it.
type Partition struct {
	Number   int      `json:"number"`
	Role     string   `json:"role"` // "esp", "root", or "" for another type
	Type     ids.UUID `json:"type"`
	PARTUUID ids.UUID `json:"partuuid"`
	Label    string   `json:"label"`
	Start    int64    `json:"start"`
	Size     int64    `json:"size"`
	FSType   string   `json:"file_system"` // "vfat", "btrfs", or "" where it was not read
	FSID     string   `json:"fsid"`        // as blkid prints it
	FSLabel  string   `json:"fs_label"`
	Used     int64    `json:"used"` // of the file system
}

// Swapfile is the swapfile of the root file system.
type Swapfile struct {
	Path         string `json:"path"` // from the top level
	Size         int64  `json:"size"`
	ResumeOffset int64  `json:"resume_offset"` // pages of 4096 bytes
	Signature    string `json:"signature"`
}

// Origin is what the image was made from.
type Origin struct {
	Mkimage string   `json:"mkimage"`
	Profile string   `json:"profile"`
	Layout  string   `json:"layout"`
	Source  string   `json:"source"`
	Seed    ids.Seed `json:"seed"`
}

// Read describes the image of size bytes behind r. It fails where there is no
// partition table that can be used, with an error of class fault.Input, and
// where r cannot be read.
//
// The root file system may be mounted and written to, if r reads past the page
// cache of its device. What of it could not be read while it moved is read
// again; the rest is of one committed state, whatever came after it: on a large
// disk several do while its trees are read.
func Read(ctx context.Context, r io.ReaderAt, size int64) (*Image, error) {
	var image *Image
	err := reader.Retry(func() (*reader.FS, error) {
		i, err := read(ctx, r, size)
		if err != nil {
			return nil, err
		}
		image = i.image
		if len(image.Unread) == 0 {
			return nil, nil
		}
		return i.root, nil
	})
	if err != nil {
		return nil, err
	}
	return image, nil
}

// read makes one try.
func read(ctx context.Context, r io.ReaderAt, size int64) (*inspection, error) {
	table, problems, err := gpt.Read(r, size)
	if errors.Is(err, gpt.ErrNone) {
		return nil, fault.New(fault.Input, "mkimage stat shows a btrfs file system without a partition table", "%w", err)
	} else if err != nil {
		return nil, err
	}
	i := &inspection{ctx: ctx, r: r, image: &Image{
		Size: size, GUID: table.GUID, SectorSize: table.SectorSize, Subvolumes: []Subvolume{}, Unread: []string{}, Boot: emptyBoot(),
	}}
	for _, p := range problems {
		i.unread(string(p.Part), errors.New(p.Text))
	}
	i.rootType = plan.SystemType(func(kind ids.UUID) bool {
		return slices.ContainsFunc(table.Partitions, func(p gpt.Partition) bool { return p.Type == kind })
	})
	for _, p := range table.Partitions {
		i.partition(p)
	}
	for _, stage := range []func() error{i.subvolumes, i.origin, i.boot} {
		if err := stage(); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// inspection is an inspection under way. What could not be opened is nil.
type inspection struct {
	ctx      context.Context
	r        io.ReaderAt
	image    *Image
	esp      *espreader.FS
	rootType ids.UUID // of the partition that holds the system
	root     *reader.FS
}

// unread takes note of what could not be read.
func (i *inspection) unread(what string, err error) {
	i.image.Unread = append(i.image.Unread, fmt.Sprintf("%s: %v", what, err))
}

// partition describes a partition and opens the first of each role.
func (i *inspection) partition(p gpt.Partition) {
	out := Partition{Number: p.Number, Type: p.Type, PARTUUID: p.GUID, Label: p.Label, Start: p.Start, Size: p.Size}
	name := fmt.Sprintf("partition %d", p.Number)
	section := io.NewSectionReader(i.r, p.Start, p.Size)
	switch {
	case p.Type == plan.TypeESP && i.esp == nil:
		out.Role = plan.RoleESP
		fsys, err := espreader.Open(section, p.Size)
		if err == nil {
			out.FSType, out.FSID, out.FSLabel = "vfat", fsys.UUID(), fsys.Label()
			out.Used, err = usedESP(fsys)
			i.esp = fsys
		}
		if err != nil {
			i.unread(name, err)
		}
	case p.Type == i.rootType && i.root == nil:
		out.Role = plan.RoleRoot
		fsys, err := reader.Open(section, p.Size)
		if err != nil {
			i.unread(name, err)
			break
		}
		super := fsys.Super()
		out.FSType, out.FSID, out.FSLabel, out.Used = "btrfs", ids.UUID(super.FSID).String(), super.Label, int64(super.BytesUsed)
		i.root = fsys
	}
	i.image.Partitions = append(i.image.Partitions, out)
}
