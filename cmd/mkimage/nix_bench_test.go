package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixcache"
)

// BenchmarkNix builds images of NixOS closures out of a binary cache, each in turn with
// what one would do by hand: nix copy into an empty store, and mkfs.btrfs of that.
func BenchmarkNix(b *testing.B) {
	imgtest.NeedRoot(b)
	imgtest.Need(b, "nix", "mkfs.btrfs", "time")
	for _, files := range []int{50_000, 500_000} {
		b.Run(fmt.Sprint(files), func(b *testing.B) { benchmarkNix(b, files) })
	}
}

func benchmarkNix(b *testing.B, files int) {
	dir := b.TempDir()
	mkimage := program(b, dir)
	objects, err := nixcache.System("26.05")
	if err != nil {
		b.Fatal(err)
	}
	top := &objects[len(objects)-1]
	more := packages(files)
	for _, o := range more {
		top.References = append(top.References, o.Name)
	}
	objects = append(objects, more...)
	if err := nixcache.Write(filepath.Join(dir, "cache"), "zstd", objects); err != nil {
		b.Fatal(err)
	}
	system := nixcache.Path(nixcache.Toplevel("26.05")).String()
	var own, peer, memory float64
	for b.Loop() {
		image := filepath.Join(dir, "own.img")
		took, peak := measured(b, mkimage, "build", "bandit-minimal", "-q", "--source", "cache:"+filepath.Join(dir, "cache")+"#"+system,
			"--set", `nix.trusted-public-keys=["`+nixcache.Key()+`"]`, "--cache-dir", filepath.Join(dir, "kept"), "-o", image)
		own, memory = own+took, max(memory, peak)
		if err := os.RemoveAll(filepath.Join(dir, "kept")); err != nil {
			b.Fatal(err)
		}
		store := filepath.Join(dir, "store")
		copied, _ := measured(b, "env", "NIX_CONFIG=build-users-group =\nsubstituters =\nexperimental-features = nix-command\ntrusted-public-keys = "+nixcache.Key(),
			"nix", "copy", "--from", "file://"+filepath.Join(dir, "cache"), "--to", store, system)
		made, _ := measured(b, "mkfs.btrfs", "-q", "-f", "--rootdir", store, "--compress", "zstd:3", filepath.Join(dir, "peer.img"))
		peer += copied + made
		for _, name := range []string{image, store, filepath.Join(dir, "peer.img")} {
			if err := os.RemoveAll(name); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(own/float64(b.N), "s/own")
	b.ReportMetric(peer/float64(b.N), "s/peer")
	b.ReportMetric(own/peer, "of-peer")
	b.ReportMetric(memory, "MiB-peak")
}

// packages are objects of a hundred files each, as most packages have: many small ones,
// some of 100 kB.
func packages(files int) (objects []nixcache.Object) {
	const each = 100
	for i := range files / each {
		o := nixcache.Object{Name: fmt.Sprintf("package-%d-1.0", i), Files: map[string]nixcache.File{}}
		for j := range each {
			size := 200 << (j % 6)
			if j == 0 {
				size = 100_000
			}
			text := bytes.Repeat(fmt.Appendf(nil, "package %d, file %d: %x\n", i, j, i*j*7919), 1+size/20)
			o.Files[fmt.Sprintf("share/part-%d/file-%d.txt", j%7, j)] = nixcache.File{Content: text[:size]}
		}
		objects = append(objects, o)
	}
	return objects
}

// measured runs a program, and returns the seconds that it took and its peak of memory in
// MiB. That is taken by time(1), for what a child begins with is what its parent has.
func measured(b *testing.B, args ...string) (seconds, peak float64) {
	b.Helper()
	name := filepath.Join(b.TempDir(), "peak")
	cmd := exec.Command("time", append([]string{"--format=%M", "--output=" + name}, args...)...)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%q: %v\n%s", args, err, out)
	}
	took := time.Since(began)
	text, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	kib, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	if err != nil {
		b.Fatal(err)
	}
	return took.Seconds(), kib / 1024
}
