package imaging

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// size is two blocks, a sector and a part of one.
const size = 2*blockSize + sector + 100

// try copies a disk in one go.
func try(t *testing.T, part bool, retries int, bad ...int64) {
	t.Helper()
	j := &job{from: newBadDisk(size, bad...), to: newMemory(size), retries: retries}
	j.from.part = part
	report, err := j.copy(t.Context())
	if err == nil {
		err = j.done(report)
	}
	if err != nil {
		t.Fatalf("bad sectors %v, partial reads %v: %v", bad, part, err)
	}
}

const sectors = (size + sector - 1) / sector

// TestOneBad has each sector of a disk bad in turn.
func TestOneBad(t *testing.T) {
	try(t, false, 0)
	for s := range int64(sectors) {
		try(t, s%2 == 0, int(s%3), s)
	}
}

// TestEdges has every set of the sectors at edges of blocks bad.
func TestEdges(t *testing.T) {
	const block = blockSize / sector
	edges := []int64{0, 1, block - 2, block - 1, block, block + 1, 2*block - 1, 2 * block, 2*block + 1}
	for set := range 1 << len(edges) {
		var bad []int64
		for i, s := range edges {
			if set&(1<<i) != 0 {
				bad = append(bad, s)
			}
		}
		try(t, set%2 == 0, set%4, bad...)
	}
}

// TestRuns has every run between edges bad, and so whole blocks and all of it.
func TestRuns(t *testing.T) {
	const block = blockSize / sector
	edges := []int64{0, 1, 2, block - 1, block, block + 1, 2*block - 1, 2 * block, 2*block + 1, sectors}
	for _, from := range edges {
		for _, to := range edges {
			var bad []int64
			for s := from; s < to; s++ {
				bad = append(bad, s)
			}
			try(t, to%2 == 0, 1, bad...)
		}
	}
}

// TestLargeDisk has bad areas on a disk that is jumped over.
func TestLargeDisk(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		const large = 40*blockSize + 3*sector
		var bad []int64
		for range r.IntN(6) {
			start := r.Int64N(large / sector)
			for s := start; s < min(start+r.Int64N(900), large/sector); s++ {
				bad = append(bad, s)
			}
		}
		j := &job{from: newBadDisk(large, bad...), to: newMemory(large), retries: 2}
		report, err := j.copy(t.Context())
		check(t, err)
		check(t, j.done(report))
	}
}

// TestOrder looks at what is read first around what is bad.
func TestOrder(t *testing.T) {
	const blocks = 12
	j := &job{from: newBadDisk(blocks*blockSize, blockSize/sector*4), to: newMemory(blocks * blockSize)}
	var order []int64
	source := &watched{badDisk: j.from, read: func(at, n int64) {
		if n == blockSize || at%blockSize != 0 && n > sector {
			order = append(order, at*2/blockSize)
		}
	}}
	_, err := Copy(t.Context(), Request{Source: source, Target: j.to, Map: NewMap(source.Size()), Save: func([]byte) error { return nil }})
	check(t, err)
	// Half blocks: block 4 fails, half of the next one is jumped over, and the pass
	// backward reads it.
	want := []int64{0, 2, 4, 6, 8, 11, 12, 14, 16, 18, 20, 22}
	if !slices.Equal(order[:len(want)], want) {
		t.Errorf("half blocks were read in the order %v; want %v first", order, want)
	}
}

type watched struct {
	*badDisk
	read func(at, n int64)
}

func (w *watched) ReadAt(p []byte, at int64) (int, error) {
	w.read(at, int64(len(p)))
	return w.badDisk.ReadAt(p, at)
}

func TestNextJump(t *testing.T) {
	const tib = 1 << 40
	for _, tt := range []struct{ last, size, want int64 }{
		{0, 1, firstJump}, {firstJump, 1, firstJump}, {firstJump, tib, 2 * firstJump}, {maxJump / 2, tib, maxJump}, {maxJump, tib, maxJump}, {firstJump, 150 * firstJump, 150 * firstJump / 100},
	} {
		if got := nextJump(tt.last, tt.size); got != tt.want {
			t.Errorf("nextJump(%d, %d) = %d; want %d", tt.last, tt.size, got, tt.want)
		}
	}
}

// TestHangs has a read that does not return: the run ends all the same, with a map.
func TestHangs(t *testing.T) {
	j := &job{from: newBadDisk(size), to: newMemory(size)}
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	defer close(release)
	j.from.fails = func(call int) error {
		if call == 2 {
			cancel()
			<-release
		}
		return nil
	}
	begun := time.Now()
	_, err := j.copy(ctx)
	if !errors.Is(err, context.Canceled) || time.Since(begun) > 2*time.Second {
		t.Fatalf("after %v: %v", time.Since(begun), err)
	}
	m, err := DecodeMap(j.saved, size)
	check(t, err, j.true())
	if n, _ := m.Count(Rescued); n != blockSize {
		t.Errorf("%d bytes are rescued; want %d", n, blockSize)
	}
}

// TestAnswersNoMore has a disk fail for good after each number of reads. What it
// fails to read then is not bad, and the next run gets it.
func TestAnswersNoMore(t *testing.T) {
	block := int64(blockSize / sector)
	for after := 1; ; after++ {
		j := &job{from: newBadDisk(size, 5, block+3, block+4, 2*block), to: newMemory(size)}
		j.from.part = true // so that something was good once
		j.from.fails = func(call int) error {
			if call > after {
				return unix.EIO
			}
			return nil
		}
		report, err := j.copy(t.Context())
		if err == nil {
			check(t, j.done(report))
			if after < 50 {
				t.Errorf("ended after %d reads", after)
			}
			return
		}
		// Fewer reads than it takes to find out may be left.
		if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "answers no more") {
			t.Fatalf("after %d reads: %v", after, err)
		}
		check(t, j.true())
		j.from.fails, j.from.reads = nil, map[int64]int{}
		report, err = j.copy(t.Context())
		check(t, err)
		check(t, j.done(report))
	}
}

func TestGone(t *testing.T) {
	for _, err := range []error{unix.ENODEV, unix.ENXIO, unix.EINVAL, unix.ENOMEM} {
		j := &job{from: newBadDisk(size), to: newMemory(size)}
		j.from.fails = func(call int) error {
			if call > 1 {
				return err
			}
			return nil
		}
		if _, got := j.copy(t.Context()); fault.ClassOf(got) != fault.Input || !errors.Is(got, err) || fault.HintOf(got) == "" {
			t.Errorf("%v: %v", err, got)
		}
		check(t, j.true())
	}
	j := &job{from: newBadDisk(size, 300), to: newMemory(size)}
	j.from.here = errors.New("is out")
	_, err := j.copy(t.Context())
	if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "is out") {
		t.Error(err)
	}
	check(t, j.true())
	j.from.here, j.from.reads = nil, map[int64]int{}
	report, err := j.copy(t.Context())
	check(t, err)
	check(t, j.done(report))
}

func TestOtherMap(t *testing.T) {
	for _, n := range []int64{size - 1, size + 1} {
		_, err := Copy(t.Context(), Request{Source: newBadDisk(size), Target: newMemory(size), Map: NewMap(n)})
		if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "expected 262") {
			t.Errorf("map of %d bytes: %v", n, err)
		}
	}
}

func TestProgress(t *testing.T) {
	d := newBadDisk(size, 7)
	var last Progress
	_, err := Copy(t.Context(), Request{Source: d, Target: newMemory(size), Map: NewMap(size), Save: func([]byte) error { return nil }, Progress: func(p Progress) {
		if p.Rescued+p.Bad+p.Remaining != size || p.Doing == "" {
			t.Errorf("%+v", p)
		}
		last = p
	}})
	check(t, err)
	if last.Rescued != size-sector || last.Bad != sector || last.Remaining != 0 || last.Doing != "finished" {
		t.Errorf("at the end: %+v", last)
	}
	r, start := rate{}, time.Unix(0, 0)
	for i, want := range []int64{0, 10, 10, 10} {
		if got := r.add(start.Add(time.Duration(i)*rateOver), int64(i*100)); got != want {
			t.Errorf("rate %d = %d; want %d", i, got, want)
		}
	}
	if len(r.marks) > 2 {
		t.Errorf("%d marks are kept", len(r.marks))
	}
}

// TestSweep has an area that both passes with jumps leave out: a bad block before
// it, one at its end, and one inside.
func TestSweep(t *testing.T) {
	const large = 60 * smallBlock
	j := &job{from: newBadDisk(large, 0, 3*8, 16*8+7), to: newMemory(large), small: true}
	report, err := j.copy(t.Context())
	check(t, err)
	check(t, j.done(report))
}

// TestReads bounds how often a disk is read: no more than once for a block that is a
// sector, and seldom to see whether it still answers.
func TestReads(t *testing.T) {
	j := &job{from: newBadDisk(blockSize+sector, blockSize/sector), to: newMemory(blockSize + sector)}
	_, err := j.copy(t.Context())
	check(t, err)
	if n := j.from.reads[blockSize/sector]; n != 1 {
		t.Errorf("a lone bad sector was read %d times; want 1", n)
	}
	var bad []int64
	for s := range int64(blockSize / sector) {
		bad = append(bad, s)
	}
	j = &job{from: newBadDisk(2*blockSize, bad...), to: newMemory(2 * blockSize)}
	_, err = j.copy(t.Context())
	check(t, err)
	if most := 3 + len(bad) + len(bad)/patience + 5; j.from.calls > most {
		t.Errorf("%d reads; want %d at most", j.from.calls, most)
	}
}
