package reader

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
)

// maxProblems is the number of problems after which a check ends: nobody reads
// more, and a hostile image could have any number.
const maxProblems = 1000

// Check reads everything but the bytes of files and returns what is wrong, nil
// for a file system that is as its writer must have left it. When it cannot go
// on, because ctx is done or there are too many problems, the last problem is
// of KindIncomplete.
func (f *FS) Check(ctx context.Context) []Problem {
	c := &checker{ctx: ctx, fs: f, used: make([]uint64, (int64(f.boot.clusters)+firstCluster+63)/64)}
	stages := []func(){c.backup, c.state, c.tree, c.tables, c.info}
	for _, stage := range stages {
		if !c.stop() {
			stage()
		}
	}
	return c.problems
}

// checker is the state of one check.
type checker struct {
	ctx      context.Context
	fs       *FS
	problems []Problem
	ended    bool
	used     []uint64 // a bit for each cluster that a chain has
	free     int64    // clusters, counted by tables
	counted  bool
}

// stop reports whether the check is to end.
func (c *checker) stop() bool {
	if err := c.ctx.Err(); err != nil && !c.ended {
		c.ended = true
		c.problems = append(c.problems, Problem{Kind: KindIncomplete, Text: "the check was not finished: " + err.Error()})
	}
	return c.ended
}

func (c *checker) report(kind Kind, path, format string, args ...any) {
	if c.ended {
		return
	}
	if len(c.problems) == maxProblems {
		c.ended = true
		c.problems = append(c.problems, Problem{Kind: KindIncomplete, Text: fmt.Sprintf("the check was ended after %d problems", maxProblems)})
		return
	}
	c.problems = append(c.problems, Problem{kind, path, fmt.Sprintf(format, args...)})
}

// backup compares the boot sector with its copy.
func (c *checker) backup() {
	b := &c.fs.boot
	if b.backup == 0 {
		c.report(KindBackup, "", "boot sector: there is no copy of it")
		return
	}
	first, second := make([]byte, b.sector), make([]byte, b.sector)
	if !c.read(first, 0) || !c.read(second, b.backup) {
		return
	}
	first[65], second[65] = 0, 0 // the state, which drivers keep in the first only
	if i := mismatch(first, second); i >= 0 {
		c.report(KindBackup, "", "boot sector: byte %d is %#02x, in the copy in sector %d it is %#02x", i, first[i], b.backup/b.sector, second[i])
	}
}

func mismatch(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// read reads metadata and reports failure.
func (c *checker) read(b []byte, offset int64) bool {
	if err := readFull(c.fs.r, b, offset); err != nil {
		c.report(KindUnreadable, "", "byte %d: %v", offset, err)
		return false
	}
	return true
}

// state looks at the marks of a mounted or damaged file system.
func (c *checker) state() {
	const clean, noErrors = 1 << 27, 1 << 26
	if s := c.fs.boot.state; s != 0 {
		c.report(KindDirty, "", "boot sector: state %#02x, expected 0: it was not unmounted cleanly", s)
	}
	var head [2 * entrySize]byte
	if !c.read(head[:], c.fs.boot.tableOffset) {
		return
	}
	media, second := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[entrySize:])
	if media&0x0fffff00 != 0x0fffff00 || media&0xff != 0xf8 && media&0xff != 0xf0 {
		c.report(KindTable, "", "FAT: entry 0 is %#08x, expected 0x0ffffff8", media)
	}
	switch {
	case second&^(clean|noErrors)&entryMask != entryMask&^(clean|noErrors):
		c.report(KindTable, "", "FAT: entry 1 is %#08x, expected 0x0fffffff", second)
	case second&clean == 0 || second&noErrors == 0:
		c.report(KindDirty, "", "FAT: entry 1 is %#08x, expected 0x0fffffff: it was not unmounted cleanly or had I/O errors", second)
	}
}

// info compares FSInfo with what was counted.
func (c *checker) info() {
	b := &c.fs.boot
	raw := make([]byte, minSector)
	if !c.read(raw, b.info) {
		return
	}
	le := binary.LittleEndian
	if !bytes.HasPrefix(raw, []byte("RRaA")) || !bytes.Equal(raw[484:488], []byte("rrAa")) || le.Uint32(raw[508:]) != 0xaa550000 {
		c.report(KindInfo, "", "FSInfo: signatures %x, %x and %x are wrong", raw[:4], raw[484:488], raw[508:])
		return
	}
	free, next := le.Uint32(raw[488:]), le.Uint32(raw[492:])
	if c.counted && int64(free) != c.free {
		c.report(KindInfo, "", "FSInfo: %d free clusters, counted %d", free, c.free)
	}
	if next != 0xffffffff && !b.valid(next) {
		c.report(KindInfo, "", "FSInfo: next free cluster %d, expected %d to %d", next, firstCluster, b.clusters+firstCluster-1)
	}
}
