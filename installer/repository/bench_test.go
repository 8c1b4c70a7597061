package repository

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// benchHome makes 2,000 files of 64 KiB on average in 40 directories.
func benchHome(dir string) error {
	for i := range 2000 {
		name := filepath.Join(dir, fmt.Sprintf("alice/%02d/%04d", i%40, i))
		if err := firstError(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, random(i*64, uint64(i)), 0o640)); err != nil {
			return err
		}
	}
	return nil
}

// spent returns how long a function takes, and the processor time of it and of the
// programs that it has started.
func spent(b *testing.B, do func() error) (took, cpu time.Duration) {
	b.Helper()
	used := func() (sum time.Duration) {
		for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
			var u unix.Rusage
			must(b, unix.Getrusage(who, &u))
			sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
		return sum
	}
	before, began := used(), time.Now()
	must(b, do())
	return time.Since(began), used() - before
}

// BenchmarkVerify is the proof of a home over what "restic restore --dry-run" alone
// takes for it, which reads the same files and proves less.
func BenchmarkVerify(b *testing.B) {
	imgtest.Need(b, oursProgram)
	m, err := making{program: oursProgram, fill: benchHome}.make(b.TempDir())
	must(b, err)
	repo, what := m.repository(), m.restoring()
	var ours, theirs, oursCPU, theirsCPU time.Duration
	for b.Loop() {
		took, cpu := spent(b, func() error {
			v, err := repo.Verify(context.Background(), Proof{Restoring: what, Name: "/home"})
			if err == nil && v.Wrong+v.Odd > 0 {
				err = fmt.Errorf("verdict %+v", v)
			}
			return err
		})
		ours, oursCPU = ours+took, oursCPU+cpu
		took, cpu = spent(b, func() error { return m.byRestic(m.restored, m.home, "--dry-run") })
		theirs, theirsCPU = theirs+took, theirsCPU+cpu
	}
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "time/dry-run")
	b.ReportMetric(oursCPU.Seconds()/theirsCPU.Seconds(), "cpu/dry-run")
	b.ReportMetric(oursCPU.Seconds()/float64(b.N), "cpu-s/op")
}

// BenchmarkRestore is a restore of a home over that of restic, each into a directory of
// its own.
func BenchmarkRestore(b *testing.B) {
	imgtest.Need(b, oursProgram)
	m, err := making{program: oursProgram, fill: benchHome}.make(b.TempDir())
	must(b, err)
	var ours, theirs, oursCPU, theirsCPU time.Duration
	for b.Loop() {
		to := filepath.Join(b.TempDir(), "restored")
		took, cpu := spent(b, func() error { _, err := m.ours(to); return err })
		ours, oursCPU = ours+took, oursCPU+cpu
		must(b, os.RemoveAll(to))
		took, cpu = spent(b, func() error { return m.byRestic(to, m.home) })
		theirs, theirsCPU = theirs+took, theirsCPU+cpu
		must(b, os.RemoveAll(to))
	}
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "time/restic")
	b.ReportMetric(oursCPU.Seconds()/theirsCPU.Seconds(), "cpu/restic")
	b.ReportMetric(oursCPU.Seconds()/float64(b.N), "cpu-s/op")
}
