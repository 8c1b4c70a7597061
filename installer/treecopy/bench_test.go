package treecopy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/treecopy"
)

// BenchmarkCopy copies 20,000 small files and 384 MiB of larger ones between two
// btrfs, by turns with cp -a, and tells how long it takes compared to that: each
// with a sync, the copy with its digests taken. Reading back is told apart.
func BenchmarkCopy(b *testing.B) {
	imgtest.Need(b, "cp")
	from, to := newBtrfs(b, 3<<30), newBtrfs(b, 3<<30, "compress=zstd:3")
	size := benchTree(b, from)
	run(b, "sync", "-f", from)
	b.SetBytes(size)
	var ours, theirs, back time.Duration
	for i := 0; b.Loop(); i++ {
		cp := func() {
			theirs += timed(b, func() {
				dst := filepath.Join(to, "cp")
				must(b, os.Mkdir(dst, 0o755))
				run(b, "cp", "-a", from+"/.", dst)
				run(b, "sync", "-f", to)
			})
		}
		copy := func() {
			var digests *treecopy.Digests
			dst := filepath.Join(to, "ours")
			ours += timed(b, func() {
				must(b, os.Mkdir(dst, 0o755))
				digests = copyTree(b, from, dst, treecopy.Options{})
				run(b, "sync", "-f", to)
			})
			drop(b)
			back += timed(b, func() {
				if found := differences(b, from, dst, digests, treecopy.Options{}); found != nil {
					b.Errorf("Compare: %q", found)
				}
			})
		}
		for j, do := range []func(){cp, copy, cp} {
			if j != 2*(i%2) { // each goes first in every other turn
				drop(b)
				do()
			}
		}
		must(b, os.RemoveAll(filepath.Join(to, "cp")), os.RemoveAll(filepath.Join(to, "ours")))
		run(b, "sync", "-f", to)
	}
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "of-cp")
	b.ReportMetric(back.Seconds()/theirs.Seconds(), "read-back-of-cp")
}

func timed(b *testing.B, do func()) time.Duration {
	b.Helper()
	start := time.Now()
	do()
	return time.Since(start)
}

// drop has the kernel forget what it holds of files.
func drop(b *testing.B) {
	b.Helper()
	unix.Sync()
	must(b, os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0o200))
}

func benchTree(b *testing.B, dir string) (size int64) {
	b.Helper()
	put := func(name string, text []byte) {
		must(b, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, text, 0o644))
		size += int64(len(text))
	}
	text := make([]byte, 32<<20)
	for i := range text {
		text[i] = byte(i>>3) ^ byte(i*i>>7) // compresses, as programs do
	}
	for i := range 20_000 {
		put(filepath.Join(dir, fmt.Sprint(i%200), fmt.Sprint(i)), text[i:i+i%9000])
	}
	for i := range 12 {
		put(filepath.Join(dir, "large", fmt.Sprint(i)), text[:len(text)-i])
	}
	return size
}
