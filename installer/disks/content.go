package disks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
)

// headSize is what is read of the beginning of a disk or partition at once. Most
// signatures are there, ZFS's first label among them.
const headSize = 256 << 10

// probe reads pieces of a disk or partition.
type probe struct {
	r    io.ReaderAt
	size int64
	head []byte // its beginning
	err  error  // the first of reading, the end of the disk apart
}

func newProbe(r io.ReaderAt, size int64) *probe {
	p := &probe{r: r, size: size}
	p.head = p.read(0, min(headSize, size))
	return p
}

// at returns n bytes at off, or nil when there are less or they cannot be read.
func (p *probe) at(off, n int64) []byte {
	switch {
	case off < 0 || n < 0 || off > p.size-n:
		return nil
	case off+n <= int64(len(p.head)):
		return p.head[off : off+n]
	}
	return p.read(off, n)
}

func (p *probe) read(off, n int64) []byte {
	buf := make([]byte, n)
	got, err := p.r.ReadAt(buf, off)
	if int64(got) == n {
		return buf
	}
	if p.err == nil && err != nil {
		p.err = fmt.Errorf("read of %d bytes at %d: %w", n, off, err)
	}
	return nil
}

// inspect finds out what is on a disk. What cannot be read is in Problem.
func (d *Disk) inspect(ctx context.Context, r io.ReaderAt, kernel []kernelPartition) {
	p := newProbe(r, d.Size)
	d.Contents = contents(ctx, p)
	d.readTable(p)
	d.addKernelPartitions(kernel)
	for i := range d.Partitions {
		part := &d.Partitions[i]
		if part.Size <= 0 || part.Start < 0 || part.Start > d.Size-part.Size || ctx.Err() != nil {
			continue
		}
		sub := newProbe(io.NewSectionReader(r, part.Start, part.Size), part.Size)
		part.Contents = contents(ctx, sub)
		if sub.err != nil && p.err == nil {
			p.err = fmt.Errorf("partition %d: %w", part.Number, sub.err)
		}
	}
	if d.Table == "" && len(d.Contents) == 0 && len(d.Partitions) == 0 {
		if at := p.firstByte(); at >= 0 {
			d.Contents = []Content{{Type: TypeData, Offset: at}}
		}
	}
	if p.err != nil {
		d.Problem = p.err.Error()
	}
}

// edgeSize is what is looked at, at both ends of a disk, before it is called
// empty. Tables and nearly all signatures are there.
const edgeSize = 1 << 20

// firstByte returns the offset of a byte at the edges that no empty disk has, or
// -1. Empty disks read as zeros, some flash as ones.
func (p *probe) firstByte() int64 {
	for _, off := range []int64{0, max(0, p.size-edgeSize)} {
		buf := p.at(off, min(edgeSize, p.size))
		rest := bytes.TrimLeft(buf, "\x00")
		if len(rest) > 0 && len(bytes.Trim(buf, "\xff")) > 0 {
			return off + int64(len(buf)-len(rest))
		}
	}
	return -1
}

// readTable reads the partition table.
func (d *Disk) readTable(p *probe) {
	table, problems, err := gpt.Read(p.r, p.size)
	switch {
	case err == nil:
		d.takeGPT(table, problems)
	case fault.ClassOf(err) != fault.Input: // it could not be read
		if p.err == nil {
			p.err = err
		}
	case !errors.Is(err, gpt.ErrNone):
		d.Table, d.TableProblem = "gpt", err.Error()
	default:
		d.readMBR(p)
	}
}

func (d *Disk) takeGPT(table *gpt.Table, problems []gpt.Problem) {
	d.Table, d.DiskGUID = "gpt", table.GUID.String()
	for _, t := range table.Partitions {
		d.Partitions = append(d.Partitions, Partition{
			Number: t.Number, Start: t.Start, Size: t.Size, Type: t.Type.String(), GUID: t.GUID.String(), Label: t.Label,
		})
	}
	if d.Bus == "file" { // an image is for disks of the sectors that its table has
		d.SectorSize = table.SectorSize
	}
	switch {
	case table.SectorSize != d.SectorSize:
		d.TableProblem = fmt.Sprintf("is for sectors of %d bytes, the disk has %d", table.SectorSize, d.SectorSize)
	case len(problems) > 0:
		d.TableProblem = problems[0].String()
	}
}

// addKernelPartitions gives the partitions the kernel's names, and adds those
// that only the kernel knows: of a table that is not read here, or that was
// damaged after the kernel had read it.
func (d *Disk) addKernelPartitions(list []kernelPartition) {
	known := map[[2]int64]*Partition{}
	for i := range d.Partitions {
		p := &d.Partitions[i]
		known[[2]int64{p.Start, p.Size}] = p
	}
	for _, k := range list {
		if p := known[[2]int64{k.start, k.size}]; p != nil {
			p.Name = k.name
			continue
		}
		d.Partitions = append(d.Partitions, Partition{Name: k.name, Number: k.number, Start: k.start, Size: k.size})
	}
}

// contents returns what has signatures on a disk or partition.
func contents(ctx context.Context, p *probe) []Content {
	var list []Content
	seen := map[string]bool{}
	for i := range signatures {
		s := &signatures[i]
		if seen[s.kind] {
			continue
		}
		if c, ok := s.find(p); ok {
			seen[s.kind] = true
			list = append(list, c)
		}
	}
	for i := range list {
		switch list[i].Type {
		case "btrfs":
			lookIntoBtrfs(ctx, p, &list[i])
		case "vfat":
			lookIntoFAT(ctx, p, &list[i])
		}
	}
	return list
}
