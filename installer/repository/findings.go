package repository

import (
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
func (f *findings) fail(e *entry) {
	e.remove()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wrong++
	at, _ := slices.BinarySearchFunc(f.first, e.seq, func(a finding, seq int64) int { return int(a.seq - seq) })
	if at < maxFailures {
		f.first = slices.Insert(f.first, at, finding{e.seq, e.path})
		f.first = f.first[:min(len(f.first), maxFailures)]
	}
}

// differ notes that an entry is odd.
func (f *findings) differ(e *entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.odd++
	if f.firstOdd.seq == 0 || e.seq < f.firstOdd.seq {
		f.firstOdd = finding{e.seq, e.path}
	}
}

// advance tells what was compared and is right.
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
	v := Verdict{Wrong: f.wrong, Odd: f.odd}
	for _, a := range f.first {
		v.First = append(v.First, Printable(a.path))
	}
	if f.firstOdd.seq != 0 {
		v.FirstOdd = Printable(f.firstOdd.path)
	}
	return v
}
