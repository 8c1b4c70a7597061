package check

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

// dataRun bounds the data read at once: long enough for a disk to be at full
// speed, short enough for a few to be in memory for each worker.
const dataRun = 1 << 20

// run is a piece of one copy of file data with its checksums.
type run struct {
	start    ondisk.Logical
	length   uint64
	sums     []byte
	physical ondisk.Physical
	copy, of int
}

// checkData reads every copy of all data that has checksums and compares.
func (c *checker) checkData() {
	if !c.opts.Data || c.brokenTrees[ondisk.CsumTree] || c.brokenTrees[ondisk.RootTree] || !c.hasRoot(ondisk.CsumTree) {
		return
	}
	workers := c.opts.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	total := c.copiesOf(c.csums)
	first := len(c.log.report.Problems)
	runs := make(chan run, workers)
	done := make(chan uint64, workers)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			buf := make([]byte, dataRun)
			var sums []byte
			for r := range runs {
				sums = c.verify(r, buf[:r.length], sums[:0])
				done <- r.length
			}
		})
	}
	go func() {
		c.feed(runs)
		close(runs)
		group.Wait()
		close(done)
	}()
	for n := range done {
		c.log.report.VerifiedBytes += int64(n)
		if c.opts.Progress != nil {
			c.opts.Progress(c.log.report.VerifiedBytes, total)
		}
	}
	c.log.sortTail(first)
}

// copiesOf returns the bytes of spans with every copy counted.
func (c *checker) copiesOf(spans []span) int64 {
	var total int64
	for _, s := range spans {
		first, ok := c.findChunk(s.start)
		if !ok {
			first = max(first-1, 0)
		}
		for k := first; k < len(c.chunks) && c.chunks[k].start < s.end(); k++ {
			start, end := max(s.start, c.chunks[k].start), min(s.end(), c.chunks[k].start+ondisk.Logical(c.chunks[k].length))
			if start < end {
				total += int64(uint64(end-start) * uint64(len(c.chunks[k].item.Stripes)))
			}
		}
	}
	return total
}

// feed sends all checksummed data in runs that do not leave a chunk.
func (c *checker) feed(runs chan<- run) {
	size := uint64(c.super.Checksum.Size())
	to := ondisk.Key{ObjectID: ondisk.ExtentCsum, Type: ondisk.TypeExtentCsum, Offset: ^uint64(0)}
	for item, err := range c.fs.Items(ondisk.CsumTree, ondisk.Key{}, to) {
		if err != nil {
			c.log.add(text("checksum tree"), "%v", err)
			return
		}
		if item.Key.Type != ondisk.TypeExtentCsum || item.Key.Offset%ondisk.SectorSize != 0 || uint64(len(item.Data))%size != 0 {
			continue // reported by csumLeaf
		}
		start, sums := ondisk.Logical(item.Key.Offset), item.Data
		for len(sums) > 0 {
			if c.ctx.Err() != nil {
				return
			}
			n := min(uint64(len(sums))/size, dataRun/ondisk.SectorSize)
			if left := c.leftInChunk(start) / ondisk.SectorSize; left < n {
				n = max(left, 1)
			}
			r := run{start: start, length: n * ondisk.SectorSize, sums: sums[:n*size]}
			start, sums = start+ondisk.Logical(r.length), sums[n*size:]
			copies, err := c.fs.Copies(r.start, int64(r.length))
			if err != nil {
				c.log.add(extentPlace{c: c, bytenr: r.start, length: r.length}, "%v", err)
				continue
			}
			for i, at := range copies {
				r.physical, r.copy, r.of = at, i+1, len(copies)
				runs <- r
			}
		}
	}
}

func (c *checker) leftInChunk(at ondisk.Logical) uint64 {
	i, ok := c.findChunk(at)
	if !ok {
		i--
	}
	if i < 0 || uint64(at-c.chunks[i].start) >= c.chunks[i].length {
		return 0
	}
	return c.chunks[i].length - uint64(at-c.chunks[i].start)
}

// verify reads one run and compares the checksum of each sector. It returns
// the buffer for checksums, for use again.
func (c *checker) verify(r run, data, sums []byte) []byte {
	if err := c.fs.ReadCopy(data, r.physical); err != nil {
		c.log.add(r.place(c, 0, r.length), "%v", err)
		c.unreadable(r, data)
		return sums
	}
	sums = c.super.Checksum.AppendSectors(sums, data)
	if bytes.Equal(sums, r.sums) {
		return sums
	}
	size := c.super.Checksum.Size()
	for at := 0; at < len(sums); at += size {
		if !bytes.Equal(sums[at:at+size], r.sums[at:at+size]) {
			c.log.add(r.place(c, uint64(at/size)*ondisk.SectorSize, ondisk.SectorSize), "wrong %v checksum", c.super.Checksum)
			c.damaged(r.damage(at/size, fmt.Errorf("wrong %v checksum", c.super.Checksum)))
		}
	}
	return sums
}

// unreadable reads a run that failed as a whole again, to tell which of its sectors
// did.
func (c *checker) unreadable(r run, data []byte) {
	if c.opts.Damaged == nil {
		return
	}
	size := c.super.Checksum.Size()
	for i := range len(r.sums) / size {
		if c.ctx.Err() != nil {
			return
		}
		sector := data[:ondisk.SectorSize]
		err := c.fs.ReadCopy(sector, r.physical+ondisk.Physical(i*ondisk.SectorSize))
		if err == nil && !bytes.Equal(c.super.Checksum.AppendSectors(nil, sector), r.sums[i*size:(i+1)*size]) {
			err = fmt.Errorf("wrong %v checksum", c.super.Checksum)
		}
		if err != nil {
			c.damaged(r.damage(i, err))
		}
	}
}

func (c *checker) damaged(d reader.Damage) {
	if c.opts.Damaged != nil {
		c.opts.Damaged(d)
	}
}

// damage is that of a sector of the run, counted from 0.
func (r *run) damage(sector int, err error) reader.Damage {
	at := int64(sector) * ondisk.SectorSize
	return reader.Damage{Logical: r.start + ondisk.Logical(at), Physical: r.physical + ondisk.Physical(at), Copy: r.copy, Copies: r.of, Data: true, Err: err}
}

func (r *run) place(c *checker, offset, length uint64) fmt.Stringer {
	return runPlace{
		extentPlace: extentPlace{c: c, bytenr: r.start + ondisk.Logical(offset), length: length},
		copy:        r.copy, of: r.of, physical: r.physical + ondisk.Physical(offset),
	}
}

// runPlace names one copy of a piece of data.
type runPlace struct {
	extentPlace
	copy, of int
	physical ondisk.Physical
}

func (p runPlace) String() string {
	return fmt.Sprintf("%v (copy %d of %d, physical %d)", p.extentPlace, p.copy, p.of, p.physical)
}
