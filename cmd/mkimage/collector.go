package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// A run builds one big tree and keeps it until it is written. The collector's default
// would let the heap grow to twice of that, so memory is bought with time, see "Memory"
// in docs/performance.md.
const (
	gcPercent = 50
	// softLimit keeps a build of half a million files within 300 MiB, of which 60 are the
	// program's own file.
	softLimit = 228 << 20 // bytes
)

// memoryLimit returns the limit of a heap of which so many bytes are in use. It gives way
// to what is needed: below that the collector would run without an end.
func memoryLimit(inUse uint64) int64 { return max(softLimit, int64(inUse/4*5)) }

// collector keeps the memory of the process small. The zero value has not started.
type collector struct{ limit int64 }

// start sets how the heap may grow. A limit by GOMEMLIMIT holds instead of ours.
func (c *collector) start() {
	debug.SetGCPercent(gcPercent)
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		c.adjust()
	}
}

// adjust sets the limit now and whenever the collector has run.
func (c *collector) adjust() {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if limit := memoryLimit(sample[0].Value.Uint64()); limit != c.limit {
		c.limit = limit
		debug.SetMemoryLimit(limit)
	}
	// Nothing has the mark, so that the next collection finds that it is free.
	runtime.AddCleanup(new(mark), (*collector).adjust, c)
}

// mark is what a collection finds. It is too large for the allocator to put it into one
// piece of memory with others, which may live longer.
type mark [16]byte
