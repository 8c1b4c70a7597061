package fstree

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"
)

// benchTree makes dirs directories of 25 files each.
func benchTree(b *testing.B, dirs int) string {
	root := b.TempDir()
	for d := range dirs {
		for f := range 25 {
			write(b, fmt.Sprintf("%s/directory%d/some-file-name-%d.so", root, d, f), "content")
		}
	}
	return root
}

func BenchmarkScanDir(b *testing.B) {
	root := benchTree(b, 577) // 15,003 entries, as many as a small system has
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ScanDir(context.Background(), root, DirOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScanTar(b *testing.B) {
	var members []member
	for d := range 577 {
		members = append(members, tarDir(fmt.Sprintf("directory%d/", d), 0o755))
		for f := range 25 {
			members = append(members, tarFileOf(fmt.Sprintf("directory%d/some-file-name-%d.so", d, f), "content"))
		}
	}
	data := pack(b, members...)
	path := b.TempDir() + "/x.tar"
	must(b, os.WriteFile(path, data, 0o600))
	f, err := os.Open(path)
	must(b, err)
	defer f.Close()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ScanTar(context.Background(), f, int64(len(data)), TarOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// heap returns the live bytes of the heap.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// millionEntries fills a tree as an archive of 40,000 directories with 24 files
// each would.
func millionEntries(tb testing.TB) *Tree {
	tree, src := New(), &tarData{r: bytes.NewReader(nil)}
	for d := range 40000 {
		path := fmt.Sprintf("usr/d%d/directory%d", d%100, d)
		for f := range 24 {
			inode := &Inode{Mode: TypeRegular | 0o644, Size: 1, Content: &tarContent{src, int64(f)}}
			if err := tree.put(fmt.Sprintf("%s/some-file-%d.so", path, f), inode); err != nil {
				tb.Fatal(err)
			}
		}
	}
	tree.Freeze()
	return tree
}

// maxTreeBytes is what a million entries may take.
const maxTreeBytes = 250e6

func BenchmarkTreeMemory(b *testing.B) {
	for b.Loop() {
		before := heap()
		tree := millionEntries(b)
		used := heap() - before
		entries := 0
		for range tree.All() {
			entries++
		}
		b.ReportMetric(float64(used)/float64(entries), "B/entry")
		if used > maxTreeBytes {
			b.Errorf("%d entries take %d bytes, expected at most %.0f", entries, used, maxTreeBytes)
		}
	}
}
