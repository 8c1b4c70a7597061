package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// A run builds one big tree and keeps it until it is written. The collector's default
// would let the heap grow to twice of that, so memory is bought with time: the heap
// grows by usualPercent, but by no more than mostGrowth, unless that is less than
// leastPercent. At 50 % a tenth more of processor time is spent on large trees and
// nothing measurable on usual ones.
const (
	usualPercent = 50
	leastPercent = 10
	mostGrowth   = 32 << 20 // bytes
)

// growth returns by how much a heap may grow of which so many bytes are in use, in
// percent.
func growth(inUse uint64) int {
	if inUse <= mostGrowth*100/usualPercent {
		return usualPercent
	}
	return max(int(mostGrowth*100/inUse), leastPercent)
}

// collector keeps the heap small. It is called after each collection.
type collector struct{ percent int }

// start sets the growth of the heap now and whenever the collector has run.
func (c *collector) start() {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if p := growth(sample[0].Value.Uint64()); p != c.percent {
		c.percent = p
		debug.SetGCPercent(p)
	}
	// Nothing has the mark, so that the next collection finds that it is free.
	runtime.AddCleanup(new(mark), (*collector).start, c)
}

// mark is too large for the allocator to put it together with others that live longer.
type mark [16]byte
