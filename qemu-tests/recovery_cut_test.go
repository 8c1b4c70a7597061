package qemutests

import (
	"math/rand/v2"
	"regexp"
	"testing"
	"time"
)

const (
	restoreCuts   = 20
	restoreCutMax = 72 << 20 // bytes that a restore writes before the power is cut, at most
	cutHome       = 2000     // files
)

// restoreBegan is a line of a restore that runs, or has ended.
const restoreBegan = `/home: goes on with snapshot|restore: .* files|/home is restored from snapshot`

var restoreEnded = regexp.MustCompile(`/home is restored from snapshot`)

// TestRecoveryCut cuts the power at random points of a restore, or just after
// it: what the next boots make of it is equal to the backup. The points are
// numbers of bytes that the guest has written, whatever its pace.
func TestRecoveryCut(t *testing.T) {
	r := newRecovered(t, repositoryOptions{files: cutHome})
	random := rand.New(rand.NewPCG(5, 20))
	c := r.config(t, medium(t, r.key), r.backup(t), listtreeDisk(t))
	ends := 0
	for i := range restoreCuts {
		vm := startVM(t, c)
		expect(t, vm, restoreBegan)
		at := random.Int64N(restoreCutMax)
		ended := written(t, vm, 0, at, restoreEnded)
		vm.PowerCut()
		check(t, vm.Close())
		t.Logf("cut %d after %d MiB; the restore had ended: %v", i, at>>20, ended)
		if ended {
			ends++
			r.afterCuts(t, c)
			c = r.config(t, c.Disks[1:]...)
		}
	}
	r.afterCuts(t, c)
	if ends > restoreCuts/2 {
		t.Errorf("%d of %d restores had ended before the cut", ends, restoreCuts)
	}
}

// written waits until a disk got so many bytes more, or the end is on the console,
// which it returns.
func written(t *testing.T, vm *VM, disk int, bytes int64, end *regexp.Regexp) (ended bool) {
	t.Helper()
	ctx, tick := step(t), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for first := diskWrites(t, vm, disk); diskWrites(t, vm, disk)-first < bytes; {
		if vm.Console.Seen(end) != nil {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it neither goes on nor ends")
		}
	}
	return false
}

// diskWrites returns how many bytes the guest has written to a disk.
func diskWrites(t *testing.T, vm *VM, disk int) int64 {
	t.Helper()
	var stats []struct {
		Device string `json:"device"`
		Stats  struct {
			Written int64 `json:"wr_bytes"`
		} `json:"stats"`
	}
	check(t, vm.Execute(step(t), "query-blockstats", nil, &stats))
	for _, s := range stats {
		if s.Device == diskID(disk) {
			return s.Stats.Written
		}
	}
	t.Fatalf("%s is not among %+v", diskID(disk), stats)
	return 0
}

// afterCuts boots once more and wants all to be there.
func (r *recovered) afterCuts(t *testing.T, c Config) {
	t.Helper()
	vm := startVM(t, c)
	check(t, vm.WaitAgent(step(t)))
	r.complete(t, vm)
	output(t, vm, "ls -A /home", ".snapshots\n"+homeUser)
	check(t, vm.PowerDown(step(t)))
	rawDisk(c.Disks[0].File).intact(t)
}
