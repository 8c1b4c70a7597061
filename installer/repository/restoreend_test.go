package repository

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Whatever is in a window, the result is the same.
func TestWindows(t *testing.T) {
	m := wholeRepository(t)
	for _, most := range []limits{{1, 1}, {2, 2}, {3, 3}, {1, 1 << 16}, {1 << 14, 1}, {5, 7}} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "to")
			for range 2 {
				repo := m.repository()
				opened, tree, err := repo.tree(t.Context(), m.id, m.home)
				must(t, err)
				w, err := newWriter(repo, opened, to, nil)
				must(t, err)
				w.most = most
				sum, err := w.restore(t.Context(), tree, nil)
				must(t, err, unix.Close(w.top))
				if want, err := repo.Measure(t.Context(), m.restoring()); err != nil || sum != want || w.done != want {
					t.Errorf("%+v, told %+v; expected %+v, %v", sum, w.done, want, err)
				}
				same(t, m.restored, to)
				must(t, eachRegular(to, zeroed))
			}
		})
	}
}

// A disk that is full ends it, whatever else could not be restored.
func TestRestoreFull(t *testing.T) {
	imgtest.NeedRoot(t)
	m := wholeRepository(t)
	to := t.TempDir()
	for _, size := range []string{"size=2m", "nr_inodes=9"} {
		must(t, unix.Mount("tmpfs", to, "tmpfs", 0, size))
		_, err := m.ours(to)
		must(t, unix.Unmount(to, 0))
		if !errors.Is(err, unix.ENOSPC) || firstboot.CodeOf(err) == firstboot.CodeIncomplete {
			t.Errorf("%s: code %d, %v; expected %v", size, firstboot.CodeOf(err), err, unix.ENOSPC)
		}
	}
}

// What is cancelled ends with the cause, and nothing stays open.
func TestRestoreCancelled(t *testing.T) {
	m := wholeRepository(t)
	cause := errors.New("the cause")
	before := openFiles(t)
	for _, at := range []int{0, 1, 5} { // calls
		ctx, stop := context.WithCancelCause(t.Context())
		if at == 0 {
			stop(cause)
		}
		what, n := m.restoring(), 0
		what.To = filepath.Join(t.TempDir(), "to")
		if _, err := m.repository().Restore(ctx, what, func(Counts) {
			if n++; n == at {
				stop(cause)
			}
		}); !errors.Is(err, cause) {
			t.Errorf("after %d calls: %v, expected %v", at, err, cause)
		}
		if _, err := m.repository().Measure(ctx, what); !errors.Is(err, cause) {
			t.Errorf("Measure: %v, expected %v", err, cause)
		}
	}
	opened := m.repository()
	if _, err := opened.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	stop(cause)
	if _, err := opened.Measure(ctx, m.restoring()); !errors.Is(err, cause) {
		t.Errorf("Measure of what is open: %v, expected %v", err, cause)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, expected %d", after, before)
	}
}

// A disk is given up after so many blobs that it does not give, or such a time.
func TestDying(t *testing.T) {
	repo := &Repository{Names: Names{Disk: "LABEL=backup", Again: "again"}}
	bad, broken := firstboot.NewProblem(firstboot.CodeDisk, "", "x"), firstboot.NewProblem(firstboot.CodeDamaged, "", "y")
	for name, tt := range map[string]struct {
		bad   int           // at the start, and then
		after time.Duration // that
		more  []error
		stop  bool
	}{
		"one less":                    {mostUnread - 1, 0, nil, false},
		"most":                        {mostUnread, 0, nil, true},
		"one less and one more":       {mostUnread - 1, 0, []error{bad}, true},
		"a blob between":              {mostUnread - 1, 0, []error{nil, bad}, false},
		"damage between":              {mostUnread - 1, 0, []error{broken, bad}, true},
		"damage is no fault of it":    {0, 0, slices.Repeat([]error{broken}, 2*mostUnread), false},
		"a moment less":               {1, longUnread - 1, []error{bad}, false},
		"long":                        {1, longUnread, []error{bad}, true},
		"long with a blob between":    {1, longUnread, []error{nil, bad}, false},
		"long after nothing was read": {0, longUnread, []error{bad}, false},
	} {
		now := time.Unix(0, 0)
		d := dying{now: func() time.Time { return now }}
		var err error
		for range tt.bad {
			err = errors.Join(err, d.seen(bad, repo))
		}
		now = now.Add(tt.after)
		for _, e := range tt.more {
			err = errors.Join(err, d.seen(e, repo))
		}
		if (err != nil) != tt.stop {
			t.Errorf("%s: %v, expected an end: %t", name, err, tt.stop)
		}
	}
	d := dying{now: func() time.Time { return time.Unix(0, 0) }, unread: mostUnread - 1}
	if err := d.seen(bad, repo); firstboot.CodeOf(err) != firstboot.CodeDisk || err.Error() != "backup disk LABEL=backup: cannot be read: x" || !strings.Contains(firstboot.HintOf(err), "dmesg, then: again") {
		t.Errorf("code %d, %v, hint %s", firstboot.CodeOf(err), err, firstboot.HintOf(err))
	}
}

// What is lost is named in the order of paths, whatever was read first, and no more of
// it is kept than a person reads.
func TestLost(t *testing.T) {
	for _, n := range []int{maxFailures - 1, maxFailures, maxFailures + 1} {
		var l lost
		for i := range n {
			l.lose(fmt.Sprintf("/%03d", (i*37)%n), errors.New("gone"))
		}
		if got := l.items[0].path + l.items[len(l.items)-1].path; l.count != n || len(l.items) != min(n, maxFailures) || got != fmt.Sprintf("/000/%03d", min(n, maxFailures)-1) {
			t.Errorf("%d: %d, %d kept, from %s", n, l.count, len(l.items), got)
		}
	}
}

// A disk that gives nothing more ends a restore, be it asked for data or for names.
func TestDyingEnds(t *testing.T) {
	bad := firstboot.NewProblem(firstboot.CodeDisk, "", "x")
	file := &wanted{entry: &entry{path: "/f"}}
	for name, meet := range map[string]func(w *writer) error{
		"data":  func(w *writer) error { return w.deliver([]spot{{file, 0}}, nil, bad) },
		"names": func(w *writer) error { return w.unread("/d", bad) },
	} {
		w := &writer{origin: &Repository{}, dying: dying{now: func() time.Time { return time.Time{} }, unread: mostUnread - 2}}
		if err := meet(w); err != nil {
			t.Errorf("%s: %v; expected to go on", name, err)
		}
		if err := meet(w); firstboot.CodeOf(err) != firstboot.CodeDisk {
			t.Errorf("%s: %v; expected an end", name, err)
		}
	}
}
