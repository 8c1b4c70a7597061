package reader

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Entries of a FAT. Their upper four bits mean nothing.
const (
	entrySize = 4
	entryMask = 0x0fffffff
	entryFree = 0
	entryBad  = 0x0ffffff7 // the cluster cannot be used
	entryEnd  = 0x0ffffff8 // this or more ends a chain
)

// table looks up entries of the first FAT. It keeps a few pages of it.
type table struct {
	r      io.ReaderAt
	offset int64
	mu     sync.Mutex
	pages  [tablePages]tablePage
}

const (
	tablePages    = 64
	tablePageSize = 16 << 10 // divides the size of no FAT: the last page may be a part
)

type tablePage struct {
	number int64 // of the page, from 1 on; 0 means that there is none
	data   []byte
}

// entry returns the entry of a valid cluster.
func (t *table) entry(b *boot, cluster uint32) (uint32, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := int64(cluster) * entrySize
	number := at / tablePageSize
	p := &t.pages[number%tablePages]
	if p.number != number+1 {
		start := number * tablePageSize
		data := make([]byte, min(tablePageSize, b.tableSize-start))
		if err := readFull(t.r, data, t.offset+start); err != nil {
			return 0, fmt.Errorf("FAT: %w", err)
		}
		*p = tablePage{number + 1, data}
	}
	return binary.LittleEndian.Uint32(p.data[at%tablePageSize:]) & entryMask, nil
}

// run is a number of clusters one after the other.
type run struct{ first, count uint32 }

// appendCluster puts one more cluster behind runs.
func appendCluster(runs []run, cluster uint32) []run {
	if n := len(runs); n > 0 && runs[n-1].first+runs[n-1].count == cluster {
		runs[n-1].count++
		return runs
	}
	return append(runs, run{cluster, 1})
}

// chain returns the clusters of a chain. It fails unless there are from least
// to most of them.
func (f *FS) chain(first uint32, least, most int64) ([]run, error) {
	var runs []run
	n := int64(0)
	for cluster := first; ; n++ {
		switch {
		case n >= least && (n == 0 && cluster == 0 || n > 0 && cluster >= entryEnd):
			return runs, nil
		case n >= most:
			return nil, fault.New(fault.Input, hintDamaged, "its chain has more than %d clusters", most)
		case !f.boot.valid(cluster):
			return nil, fault.New(fault.Input, hintDamaged, "its chain leads to cluster %#x behind %d clusters, expected at least %d", cluster, n, least)
		}
		runs = appendCluster(runs, cluster)
		var err error
		if cluster, err = f.table.entry(&f.boot, cluster); err != nil {
			return nil, err
		}
	}
}
