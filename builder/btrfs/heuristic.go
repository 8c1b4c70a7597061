package btrfs

import (
	"bytes"
	"math/bits"
	"slices"
)

// The kernel decides from a sample whether it tries to compress a block
// (btrfs_compress_heuristic in fs/btrfs/compression.c); the limits here are
// its limits, so that what is stored plain by it is stored plain here. It also
// saves the time of compressing in vain.
const (
	sampleRead     = 16  // bytes of each sample
	sampleInterval = 256 // distance of samples
	fewSymbols     = 64  // so many different bytes, or fewer, compress
	manySymbols    = 200 // so many bytes in the core set, or more, do not
	corePercent    = 90  // share of the sample that the core set covers
	highEntropy    = 80  // percent of 8 bits for a byte, from which it is not worth it
)

// compressible guesses from a sample whether a block is worth compressing.
func compressible(block []byte) bool {
	var buf [maxSample]byte
	sample := takeSample(buf[:0], block)
	if len(sample) < 2*sampleRead {
		return true
	}
	if half := len(sample) / 2; bytes.Equal(sample[:half], sample[half:2*half]) {
		return true
	}
	var counts [256]uint32
	for _, c := range sample {
		counts[c]++
	}
	slices.SortFunc(counts[:], func(a, b uint32) int { return int(b) - int(a) })
	symbols, _ := slices.BinarySearchFunc(counts[:], 0, func(n uint32, _ int) int {
		if n > 0 {
			return -1
		}
		return 0
	})
	if symbols < fewSymbols {
		return true
	}
	switch core := coreSet(counts[:], len(sample)); {
	case core <= fewSymbols:
		return true
	case core >= manySymbols:
		return false
	}
	return entropyPercent(counts[:symbols], uint64(len(sample))) < highEntropy
}

// maxSample is the size of the sample of the largest block.
const maxSample = blockSize / sampleInterval * sampleRead

func takeSample(sample, block []byte) []byte {
	for at := 0; at+sampleRead <= len(block); at += sampleInterval {
		sample = append(sample, block[at:at+sampleRead]...)
	}
	return sample
}

// coreSet returns how many of the most frequent bytes cover corePercent of the
// sample. The counts are in descending order.
func coreSet(counts []uint32, total int) int {
	limit, sum := uint32(total*corePercent/100), uint32(0)
	for i, n := range counts {
		if sum += n; sum > limit {
			return i + 1
		}
	}
	return len(counts)
}

// entropyPercent returns the Shannon entropy of the sample in percent of its
// maximum. It uses logarithms of fourth powers in integers, as the kernel
// does, since floating point may differ between processors.
func entropyPercent(counts []uint32, total uint64) uint64 {
	base, sum := log4(total), uint64(0)
	for _, n := range counts {
		sum += uint64(n) * (base - log4(uint64(n)))
	}
	const most = 8 * 4 // eight bits for a byte, at four times the logarithm
	return sum / total * 100 / most
}

// log4 returns the integer part of four times the binary logarithm of n, for n
// up to 65535.
func log4(n uint64) uint64 { return uint64(bits.Len64(n*n*n*n)) - 1 }
