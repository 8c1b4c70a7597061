package repository

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// findings collects what several goroutines find.
type findings struct {
	mu           sync.Mutex
	progress     func(bytes, files int64)
	bytes, files int64
	wrong, odd   int
	first        []finding // the first maxFailures that are wrong, by seq
	firstOdd     finding
}

// finding is an entry that is not as it should be.
type finding struct {
	seq  int64 // 0 is none
	path string
}

// fail notes that an entry is wrong, and removes it if it is a file: the next
// run then writes it anew, also where restic would not.
func (f *findings) fail(e *placed) {
	e.remove()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wrong++
	f.first = among(f.first, e)
}

// among returns a list of the first findings with one more.
func among(first []finding, e *placed) []finding {
	at, _ := slices.BinarySearchFunc(first, e.seq, func(a finding, seq int64) int { return cmp.Compare(a.seq, seq) })
	if at < maxFailures {
		first = slices.Insert(first, at, finding{e.seq, e.path})
	}
	return first[:min(len(first), maxFailures)]
}

// differ notes that an entry is odd.
func (f *findings) differ(e *placed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.odd++
	if f.firstOdd.seq == 0 || e.seq < f.firstOdd.seq {
		f.firstOdd = finding{e.seq, e.path}
	}
}

// advance tells of blobs that are right, though the file that they are in may turn
// out not to be, and of files that are.
func (f *findings) advance(bytes, files int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes += bytes
	f.files += files
	if f.progress != nil {
		f.progress(f.bytes, f.files)
	}
}

// verdict is what was found in the end.
func (f *findings) verdict() Verdict {
	v := Verdict{Wrong: f.wrong, First: paths(f.first), Odd: f.odd}
	if f.firstOdd.seq != 0 {
		v.FirstOdd = Printable(f.firstOdd.path)
	}
	return v
}

// paths returns the paths of findings as people see them.
func paths(list []finding) (names []string) {
	for _, a := range list {
		names = append(names, Printable(a.path))
	}
	return names
}

// Warnings returns what a person should know of what was compared, though nothing
// of it is wrong. name is what they know the directory by.
func (v Verdict) Warnings(name string) (lines []string) {
	if v.Odd > 0 {
		lines = append(lines, fmt.Sprintf("%s: %d entries have another owner, mode, time, extended attribute or hard link than in the snapshot, the first is %s", name, v.Odd, v.FirstOdd))
	}
	return lines
}
