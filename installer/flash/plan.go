package flash

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/manifest"
)

// Options say how an image is written.
type Options struct {
	Manifest   *manifest.Manifest // of the image; nil when there is none
	Update     bool               // read the target first and write only what differs
	ZeroUnused bool               // also write the zeros that mean nothing
	Workers    int                // goroutines; 0 means one for each processor
}

// Plan is what a run writes. Making it reads the image and touches no target.
type Plan struct {
	ImageSize  int64  `json:"image_size"`  // bytes
	SectorSize int64  `json:"sector_size"` // bytes, that the image's table is for; 0 when it has none
	Format     string `json:"format"`
	Manifest   bool   `json:"manifest"` // digests come from a manifest
	Update     bool   `json:"update"`
	// Used is how many bytes are in chunks that are not zeros. Without a manifest
	// it counts chunks that may turn out to be zeros; then Exact is false.
	Used  int64 `json:"used"`
	Exact bool  `json:"exact"`
	// Zero is how many bytes are made zeros: where the image has zeros that mean
	// something, where old signatures could stand, and both ends of the disk.
	Zero int64 `json:"zero"`
	// Unused is how many bytes of the image are left as they are on the disk.
	Unused int64 `json:"unused"`
	// Notes say what was not known and was taken to be the worse case.
	Notes []string `json:"notes,omitempty"`

	source     Source
	options    Options
	disk       int64             // bytes of the disk
	partitions []gpt.Partition   // of the image
	roles      []string          // how to call them
	want       []manifest.SHA256 // digests by chunk, where known
	used       chunkSet          // are read from the image
	keep       chunkSet          // must read as zeros
	signs      []manifest.Range  // ranges outside of those chunks that must read as zeros, too
}

// Places where signatures stand that would outlive the image, from the start of
// the disk and of every partition of the image: the copies of a btrfs superblock
// (fs/btrfs/disk-io.h of Linux). The first one, and what all others have at
// their beginnings and ends, is within a chunk of those.
var signPlaces = []int64{64 << 20, 256 << 30}

const signLength = 4096

// NewPlan plans to write an image to a disk of so many bytes, with sectors of
// sectorSize bytes, 0 when that does not matter. A disk that is too small, or
// has the wrong sectors, is an error of class fault.Target; a manifest that is
// not the image's is one of class fault.Input.
func NewPlan(ctx context.Context, s Source, disk, sectorSize int64, o Options) (*Plan, error) {
	p := &Plan{
		ImageSize: s.Size(), Format: s.Format(), Manifest: o.Manifest != nil, Update: o.Update,
		source: s, options: o, disk: disk, used: newChunkSet(s.Size()), keep: newChunkSet(s.Size()),
		want: make([]manifest.SHA256, len(newChunkSet(s.Size()))),
	}
	for _, stage := range []func(context.Context) error{p.findTable, p.findUsed, p.findKept} {
		if err := stage(ctx); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	p.findSignatures()
	p.count()
	return p, p.checkDisk(sectorSize)
}

// findTable finds the sector size and the partitions of the image.
func (p *Plan) findTable(context.Context) error {
	head, err := p.source.Head()
	if err != nil {
		return fault.New(fault.Input, "", "image: %w", err)
	}
	for _, sector := range []int{512, 4096} {
		if len(head) >= 2*sector && bytes.HasPrefix(head[sector:], []byte("EFI PART")) {
			p.SectorSize = int64(sector)
			break
		}
	}
	if m := p.options.Manifest; m != nil {
		if m.Image.Size != p.ImageSize {
			return fault.New(fault.Input, "name the manifest that was made with it, or --manifest none",
				"the manifest is of an image of %d bytes, this one has %d", m.Image.Size, p.ImageSize)
		}
		if m.Omits != nil {
			return fault.New(fault.Input, "use the manifest beside the image, or --manifest none", "the manifest leaves out %d bytes at %d: it is the copy on the ESP", m.Omits.Length, m.Omits.Offset)
		}
		for _, part := range m.Partitions {
			p.partitions = append(p.partitions, gpt.Partition{Start: part.Start, Size: part.Size})
			p.roles = append(p.roles, part.Role)
		}
		return nil
	}
	r := p.source.Random()
	if r == nil || p.SectorSize == 0 {
		return nil
	}
	table, _, err := gpt.Read(r, p.ImageSize)
	if err != nil {
		p.note("its partition table cannot be read: %v", err)
		return nil
	}
	p.partitions = table.Partitions
	for _, part := range table.Partitions {
		p.roles = append(p.roles, fmt.Sprintf("%d (%s)", part.Number, part.Label))
	}
	return nil
}

func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// findUsed finds the chunks that are read from the image.
func (p *Plan) findUsed(ctx context.Context) error {
	if m := p.options.Manifest; m != nil {
		p.Exact = true
		for _, c := range m.Chunks {
			p.used.add(c.Offset, c.Length)
			p.want[c.Offset/chunkSize] = c.SHA256
		}
		return nil
	}
	p.note("there is no manifest beside the image: nothing says that it is what was built")
	for i := range p.used {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		zero, err := p.source.Zero(int64(i) * chunkSize)
		if err != nil {
			return fault.New(fault.Input, "", "image: %w", err)
		}
		p.used[i] = !zero
	}
	return nil
}

// findKept finds the chunks of zeros that mean something. What is found to be
// zeros only while it is read counts too, see writer.data.
func (p *Plan) findKept(ctx context.Context) error {
	free := newChunkSet(p.ImageSize)
	for i := range free {
		free[i] = !p.used[i]
	}
	r := p.source.Random()
	switch {
	case p.options.ZeroUnused:
		p.keep.add(0, p.ImageSize)
		return nil
	case r == nil:
		p.note("its format cannot be read from the middle: all of its zeros are written")
		p.keep.add(0, p.ImageSize)
		return nil
	case len(p.partitions) == 0:
		p.note("it has no partitions that could be read: all of its zeros are written")
		p.keep.add(0, p.ImageSize)
		return nil
	}
	for i, part := range p.partitions {
		if p.Exact && !free.touches(part.Start, part.Size) {
			continue // all of it is written; elsewhere reading may find zeros yet
		}
		if err := owned(contextReaderAt{ctx, r}, part.Start, part.Size, free, p.keep); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			p.note("partition %s: %v: all of its zeros are written", p.roles[i], err)
			p.keep.add(part.Start, part.Size)
		}
	}
	return nil
}

// findSignatures adds the places of old signatures: chunks of the image that
// hold zeros, and places behind the image.
func (p *Plan) findSignatures() {
	parts := append([]gpt.Partition{{Size: p.disk}}, p.partitions...)
	for _, part := range parts {
		p.keep.add(part.Start, 1)
		p.keep.add(part.Start+part.Size-1, 1)
		for _, place := range signPlaces {
			switch at := part.Start + place; {
			case at+signLength > p.disk:
			case at+signLength <= p.ImageSize:
				p.keep.add(at, signLength)
			case at >= p.ImageSize:
				p.signs = append(p.signs, manifest.Range{Offset: at, Length: signLength})
			}
		}
	}
	p.keep.add(p.ImageSize-1, 1)
	// The end of the disk has the backup of an old table, and labels of ZFS and
	// RAID; behind the image it is not one of its chunks.
	from := max(p.ImageSize, (p.disk-1)/chunkSize*chunkSize-chunkSize)
	if from < p.disk {
		p.signs = append(p.signs, manifest.Range{Offset: from, Length: p.disk - from})
	}
	slices.SortFunc(p.signs, func(a, b manifest.Range) int { return int(min(1, max(-1, a.Offset-b.Offset))) })
	p.signs = slices.Compact(p.signs)
}

// count sums up.
func (p *Plan) count() {
	for i := range p.used {
		n := p.length(i)
		switch {
		case p.used[i]:
			p.Used += n
		case p.keep[i]:
			p.Zero += n
		default:
			p.Unused += n
		}
	}
	for _, s := range p.signs {
		p.Zero += s.Length
	}
}

// length returns the bytes of a chunk.
func (p *Plan) length(chunk int) int64 {
	return min(chunkSize, p.ImageSize-int64(chunk)*chunkSize)
}

// checkDisk refuses a disk that the image is not for.
func (p *Plan) checkDisk(sectorSize int64) error {
	if p.disk < p.ImageSize {
		return fault.New(fault.Target, fmt.Sprintf("use a disk of at least %d bytes", p.ImageSize),
			"needs %d bytes, has %d: %d are missing", p.ImageSize, p.disk, p.ImageSize-p.disk)
	}
	if sectorSize == 0 {
		return nil
	}
	if p.SectorSize != 0 && p.SectorSize != sectorSize {
		return fault.New(fault.Target, "build the image for sectors of its size, or use another disk",
			"has sectors of %d bytes, the image's partition table is for sectors of %d", sectorSize, p.SectorSize)
	}
	if p.ImageSize%sectorSize != 0 {
		return fault.New(fault.Input, "", "image of %d bytes, expected whole sectors of %d", p.ImageSize, sectorSize)
	}
	return nil
}

// place says in which part of the disk a chunk is.
func (p *Plan) place(offset, length int64) string {
	for i, part := range p.partitions {
		if part.Start < offset+length && offset < part.Start+part.Size {
			return "partition " + p.roles[i]
		}
	}
	if offset == 0 || offset+length == p.ImageSize {
		return "partition table"
	}
	if offset >= p.ImageSize {
		return "behind the image"
	}
	return "no partition"
}

// contextReaderAt reads until a context is cancelled.
type contextReaderAt struct {
	ctx context.Context
	io.ReaderAt
}

// ReadAt implements io.ReaderAt.
func (c contextReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.ReaderAt.ReadAt(p, off)
}
