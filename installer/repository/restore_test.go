package repository

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/rehearsal/listtree"
)

// treeOf lists all that is kept of a directory.
func treeOf(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, listtree.List(&b, dir))
	return b.String()
}

// same compares two directories.
func same(t testing.TB, want, got string) {
	t.Helper()
	if diff := cmp.Diff(treeOf(t, want), treeOf(t, got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Ours makes what restic makes, and the times of access.
func TestRestore(t *testing.T) {
	m := wholeRepository(t)
	to := filepath.Join(t.TempDir(), "to")
	sum, err := m.ours(to)
	must(t, err)
	for _, name := range []string{"alice/big", "alice/link", "void", "bob/second name"} {
		node, err := m.repository().Lookup(context.Background(), m.id, m.home+"/"+strings.Replace(name, "bob/second", "alice/first", 1)) // which is its first name
		must(t, err)
		var st unix.Stat_t
		must(t, unix.Lstat(filepath.Join(to, name), &st))
		if got := st.Atim.Nano(); got != node.ATime.UnixNano() {
			t.Errorf("%s: accessed at %d, expected %d", name, got, node.ATime.UnixNano())
		}
	}
	same(t, m.restored, to)
	if measured, err := m.repository().Measure(context.Background(), m.restoring()); err != nil || measured != sum {
		t.Errorf("measured %+v, %v; expected %+v", measured, err, sum)
	}
}

// Where no file has two names it is as much as restic says.
func TestMeasure(t *testing.T) {
	m := wholeRepository(t)
	what := Restoring{Snapshot: m.id, From: m.home + "/alice"}
	got, err := m.repository().Measure(context.Background(), what)
	must(t, err)
	var out bytes.Buffer
	must(t, m.restic(&out, "restore", m.id+":"+what.From, "--target="+t.TempDir(), "--dry-run", "--json"))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var sum struct {
		Type  string `json:"message_type"`
		Files int64  `json:"total_files"`
		Bytes int64  `json:"total_bytes"`
	}
	must(t, json.Unmarshal([]byte(lines[len(lines)-1]), &sum))
	if want := (Counts{sum.Files, sum.Bytes}); got != want || sum.Type != "summary" {
		t.Errorf("%+v, expected %+v", got, want)
	}
	if got := added(maxCount-1, 1); got != maxCount {
		t.Errorf("most: %d", got)
	}
	for size, want := range map[uint64]int64{0: maxCount - 1, 1: maxCount, 2: maxCount, 1<<64 - 1: maxCount} {
		if got := added(maxCount-1, size); got != want {
			t.Errorf("one less than most, and %d: %d, expected %d", size, got, want)
		}
	}
}

// Holes are holes, also at the end.
func TestRestoreSparse(t *testing.T) {
	m := wholeRepository(t)
	to := filepath.Join(t.TempDir(), "to")
	name := filepath.Join(to, "alice/sparse")
	check := func(what string) {
		t.Helper()
		var st unix.Stat_t
		must(t, unix.Lstat(name, &st))
		if st.Size != 20<<20 || st.Blocks*512 > 4*hole {
			t.Errorf("%s: %d bytes in %d, expected %d in at most %d", what, st.Size, st.Blocks*512, 20<<20, 4*hole)
		}
	}
	_, err := m.ours(to)
	must(t, err)
	check("restored")
	for what, size := range map[string]int64{"nothing was there": 0, "the end was missing": 9<<20 + 2} {
		must(t, unix.Truncate(name, size))
		_, err = m.ours(to)
		must(t, err)
		check(what)
	}
	same(t, m.restored, to)
	must(t, overwrite(name, string(random(1<<20, 5)), 12<<20))
	_, err = m.ours(to)
	must(t, err)
	check("something was in a hole")
	same(t, m.restored, to)
}

func TestZeroRun(t *testing.T) {
	run := func(zeros, data int) string { return strings.Repeat("\x00", zeros) + strings.Repeat("x", data) }
	for _, tt := range []struct {
		name string
		at   int64
		text string
		zero bool
		n    int64
	}{
		{"nothing", 0, "", false, 0},
		{"one less", 0, run(hole-1, 0), false, hole - 1},
		{"a hole", 0, run(hole, 0), true, hole},
		{"one more", 0, run(hole+1, 0), true, hole},
		{"one less, then data", 0, run(hole-1, 1), false, hole},
		{"a hole, then data", 0, run(hole, 1), true, hole},
		{"two holes, then data", 5 * hole, run(2*hole, 7), true, 2 * hole},
		{"data, then a hole", 0, run(0, hole) + run(hole, 0), false, hole},
		{"less data, then zeros", 0, run(0, 1) + run(2*hole-1, 0), false, hole},
		{"a hole's length at 1", 1, run(hole, 0), false, hole},
		{"one less than to the end of a hole at 1", 1, run(2*hole-2, 0), false, 2*hole - 2},
		{"to the end of a hole at 1", 1, run(2*hole-1, 0), false, hole - 1},
		{"at the last byte before a hole", hole - 1, run(hole+1, 0), false, 1},
	} {
		if zero, n := zeroRun(tt.at, []byte(tt.text)); zero != tt.zero || n != tt.n {
			t.Errorf("%s: %t, %d; expected %t, %d", tt.name, zero, n, tt.zero, tt.n)
		}
	}
}
