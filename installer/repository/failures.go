package repository

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// meter counts what several goroutines have done, and tells it.
type meter struct {
	mu   sync.Mutex
	done Counts
	tell func(Counts) // nil tells nobody
}

func (m *meter) add(bytes, files int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done.Bytes += bytes
	m.done.Files += files
	if m.tell != nil {
		m.tell(m.done)
	}
}

// maxFailures is how many entries are kept that are not as they should be.
const maxFailures = 100

// failure is an entry that could not be restored.
type failure struct{ path, message string }

// lost is what could not be restored.
type lost struct {
	mu    sync.Mutex
	items []failure // the first maxFailures by their paths, in whatever order they failed
	count int       // of all
	code  firstboot.Code
}

// lose notes a path, and why.
func (l *lost) lose(path string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	at, _ := slices.BinarySearchFunc(l.items, Printable(path), func(f failure, path string) int { return strings.Compare(f.path, path) })
	if at < maxFailures {
		l.items = slices.Insert(l.items, at, failure{Printable(path), Printable(err.Error())})
		l.items = l.items[:min(len(l.items), maxFailures)]
	}
	if l.code == 0 || l.code == firstboot.CodeIncomplete { // the cause is often that of a single file
		if l.code = firstboot.CodeOf(err); l.code == 0 {
			l.code = firstboot.CodeIncomplete
		}
	}
}

// problem names what is lost; nil where nothing is.
func (l *lost) problem(repo *Repository) error {
	if l.count == 0 {
		return nil
	}
	var names []string
	for _, f := range l.items {
		names = append(names, f.path)
	}
	return firstboot.NewProblem(l.code, IncompleteHint(l.code, repo.Again), "%d errors, the first with %s: %s; restored was not: %s",
		l.count, l.items[0].path, l.items[0].message, Listed(names))
}

// What a backup disk is given up after: so many blobs of which it gives none, or one
// such a time after another. One that was unplugged fails at once for each, one that
// is dying takes half a minute.
const (
	mostUnread = 100
	longUnread = 2 * time.Minute
)

// dying watches a disk that gives nothing.
type dying struct {
	mu     sync.Mutex
	unread int       // since one was read
	since  time.Time // when the first of these was not
	now    func() time.Time
}

// seen is told how reading went, and returns an error when the disk is given up.
func (d *dying) seen(err error, repo *Repository) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if firstboot.CodeOf(err) != firstboot.CodeDisk {
		if err == nil {
			d.unread = 0
		}
		return nil
	}
	if d.unread++; d.unread == 1 {
		d.since = d.now()
	}
	if d.unread < mostUnread && d.now().Sub(d.since) < longUnread {
		return nil
	}
	return firstboot.NewProblem(firstboot.CodeDisk, "look at the cable, the disk and dmesg, then: "+repo.Again, "backup disk %s: cannot be read: %w", repo.Disk, err)
}

// errUnindexed says that nobody knows where a blob is.
func errUnindexed(id fmt.Stringer) error { return fmt.Errorf("blob %.8s… is in no index", id) }

// errUnnamed says that a name is lost with the first one of its file.
func errUnnamed(first string) error {
	return fmt.Errorf("is another name of %s, which is not restored", Printable(first))
}

// IncompleteHint is what to do where not everything was restored; again is what
// to type then.
func IncompleteHint(code firstboot.Code, again string) string {
	switch code {
	case firstboot.CodeSpace:
		return "make room, then: " + again
	case firstboot.CodeDamaged:
		return reader.DamagedHint + ", restic repair how to leave it out of the backup; then: " + again
	}
	return again + " goes on with what is missing"
}
