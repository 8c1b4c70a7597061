package imaging

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

var errCut = errors.New("the power is off")

// damagedJob is a small disk with all kinds of damage.
func damagedJob() *job {
	const size = 5*smallBlock + sector + 100
	return &job{from: newBadDisk(size, 2, 3, 6, 8, 23, 25, 30, 41), to: newMemory(size), retries: 1, small: true}
}

// TestCuts cuts a run after each call of the target and of the map's disk: what was
// not synced is gone, the map is true, and the next run ends as if nothing had been.
func TestCuts(t *testing.T) {
	for cut := 1; ; cut++ {
		j := damagedJob()
		call := func(int) error {
			if j.to.calls+j.calls >= cut {
				return errCut
			}
			return nil
		}
		j.to.fails, j.saves = call, call
		_, err := j.copy(t.Context())
		if err == nil {
			if cut < 100 {
				t.Errorf("a run has %d calls", cut)
			}
			return
		}
		if !errors.Is(err, errCut) {
			t.Fatalf("call %d: %v", cut, err)
		}
		if err := j.true(); err != nil {
			t.Fatalf("call %d: %v", cut, err)
		}
		copy(j.to.cache, j.to.disk)
		j.to.fails, j.saves, j.from.reads = nil, nil, map[int64]int{}
		report, err := j.copy(t.Context())
		if err == nil {
			err = j.done(report)
		}
		if err != nil {
			t.Fatalf("after a cut at call %d: %v", cut, err)
		}
	}
}

// TestTargetFails has each call of the target fail, and the same request again.
func TestTargetFails(t *testing.T) {
	for fail := 1; ; fail++ {
		j := damagedJob()
		j.to.fails = func(call int) error {
			if call == fail {
				return unix.ENOSPC
			}
			return nil
		}
		_, err := j.copy(t.Context())
		if err == nil {
			return
		}
		if fault.ClassOf(err) != fault.Target || !strings.Contains(fault.HintOf(err), "make room") {
			t.Fatalf("call %d: %v", fail, err)
		}
		check(t, j.true())
		report, err := j.copy(t.Context())
		check(t, err)
		j.from.reads = nil
		check(t, j.done(report))
	}
}
