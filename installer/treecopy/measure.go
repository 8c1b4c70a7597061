package treecopy

import (
	"context"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Measure returns how many files, directories and other things are in a tree,
// and how many bytes of content Copy would tell as progress.
func Measure(ctx context.Context, src *os.File, o Options) (files, bytes int64, err error) {
	m := &measure{o: o}
	o.Note = nil
	w := &walker{o: o, src: int(src.Fd()), dst: int(src.Fd()), v: m, volumes: newDigests()}
	err = w.run(ctx)
	return m.files, m.bytes, err
}

// measure is the visitor that counts. Files with several names count once.
type measure struct {
	o            Options
	mu           sync.Mutex
	files, bytes int64
	seen         map[fileKey]bool
}

func (m *measure) enter(d *dir, _ *dir) error {
	if d.subvolume && m.o.Subvolume == nil {
		return errLeftOut
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files++
	return nil
}

func (m *measure) listed(*dir, []string) error { return nil }

func (m *measure) leave(*dir, int, int) error { return nil }

func (m *measure) entry(_ context.Context, d *dir, _ string, st *unix.Stat_t) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files++
	if st.Nlink > 1 {
		key := fileKey{d.volume, st.Ino}
		if m.seen == nil {
			m.seen = map[fileKey]bool{}
		}
		if m.seen[key] {
			return nil
		}
		m.seen[key] = true
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG {
		m.bytes += min(st.Size, st.Blocks*512)
	}
	return nil
}
