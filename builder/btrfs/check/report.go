package check

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
)

// maxProblems bounds Report.Problems: enough to see a pattern, little enough
// to print. Report.Found counts all.
const maxProblems = 1000

// Options says how much to check. The zero value checks all metadata.
type Options struct {
	Data     bool                    // also read all file data and verify its checksums
	Progress func(done, total int64) // bytes of file data, every copy counted; called from one goroutine
	Workers  int                     // goroutines that verify data; 0: GOMAXPROCS
	// Damaged is told of each bad copy of a tree block and, with Data, of a sector of
	// file data, from several goroutines; it may be nil.
	Damaged func(reader.Damage)
}

// Problem is one finding.
type Problem struct {
	Where string `json:"where"` // "metadata block 30408704 (copy 2 of 2, physical 65142784), tree 5"
	What  string `json:"what"`  // what was found, and what was expected
}

// String returns place and finding on one line.
func (p Problem) String() string { return p.Where + ": " + p.What }

// Report is the result of a check. A file system without problems has Found 0.
type Report struct {
	Problems []Problem `json:"problems"` // the first maxProblems findings, in the order of the stages
	Found    int64     `json:"found"`    // all findings, the ones left out included

	// Skipped names checks that could not be made and why: those that need a
	// tree of which a part is unreadable, for one.
	Skipped []string `json:"skipped,omitempty"`

	Trees         int64 `json:"trees"`          // roots walked
	Blocks        int64 `json:"blocks"`         // distinct tree blocks
	BlockCopies   int64 `json:"block_copies"`   // copies of them read
	Extents       int64 `json:"extents"`        // data extents
	Subvolumes    int64 `json:"subvolumes"`     // live ones, the top level included
	Inodes        int64 `json:"inodes"`         // summed over all subvolumes
	Names         int64 `json:"names"`          // directory entries, summed over all subvolumes
	DataBytes     int64 `json:"data_bytes"`     // file data that has checksums
	VerifiedBytes int64 `json:"verified_bytes"` // file data read and compared, every copy counted
}

// Clean reports whether nothing was found and nothing was left unchecked
// because of damage.
func (r *Report) Clean() bool { return r.Found == 0 }

// log collects problems; it may be used from several goroutines.
type log struct {
	mu     sync.Mutex
	report *Report
}

// add records a problem. The text is made only while it will be kept.
func (l *log) add(where fmt.Stringer, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Found++
	if len(l.report.Problems) < maxProblems {
		l.report.Problems = append(l.report.Problems, Problem{Where: where.String(), What: fmt.Sprintf(format, args...)})
	}
}

func (l *log) skip(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if len(l.report.Skipped) < maxProblems && !slices.Contains(l.report.Skipped, text) {
		l.report.Skipped = append(l.report.Skipped, text)
	}
}

// sortTail orders the problems behind the first n by place, for a stage whose
// workers find them in any order.
func (l *log) sortTail(n int) {
	slices.SortStableFunc(l.report.Problems[n:], func(a, b Problem) int { return cmp.Compare(a.Where, b.Where) })
}
