package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// BenchmarkUpdate builds the reference userland, and with one program changed, as
// an upgrade does, the same like the image before. It writes the latter to a loop
// device in turn with dd, in full, and as an update of what has the former.
func BenchmarkUpdate(b *testing.B) {
	imgtest.NeedRoot(b)
	imgtest.Need(b, "losetup", "dd", "cp")
	dir := b.TempDir()
	run := func(args ...string) string {
		b.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Stderr = dir, os.Stderr
		out, err := cmd.Output()
		if err != nil {
			b.Fatalf("%q: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	timed := func(args ...string) float64 {
		b.Helper()
		began := time.Now()
		run(args...)
		took := time.Since(began)
		run("sync")
		return took.Seconds()
	}
	mkimage := program(b, dir)
	reference := imgtest.Reference(b).Dir
	upgraded := filepath.Join(filepath.Dir(reference), "upgraded", filepath.Base(reference)) // a source goes by its last name
	if err := os.Mkdir(filepath.Dir(upgraded), 0o755); err != nil {
		b.Fatal(err)
	}
	run("cp", "-al", reference, upgraded) // on the same file system
	b.Cleanup(func() { os.RemoveAll(filepath.Dir(upgraded)) })
	upgrade(b, filepath.Join(upgraded, "usr/bin/bash"))
	run(mkimage, "build", "bandit-minimal", "-q", "--source", "dir:"+reference, "-o", "old.img")
	run(mkimage, "build", "bandit-minimal", "-q", "--source", "dir:"+upgraded, "--like", "old.img", "-o", "new.img")
	run("cp", "--sparse=always", "old.img", "disk")
	device := run("losetup", "--find", "--show", filepath.Join(dir, "disk"))
	b.Cleanup(func() { run("losetup", "--detach", device) })
	name := filepath.Base(device)
	write := []string{mkimage, "write", "-q", "new.img", "--target", device, "--serial", name, "--erase", name}
	var dd, full, update float64
	for b.Loop() {
		dd += timed("dd", "if="+filepath.Join(dir, "old.img"), "of="+device, "bs=4M", "conv=fsync", "status=none")
		full += timed(write...)
		run("dd", "if="+filepath.Join(dir, "old.img"), "of="+device, "bs=4M", "conv=fsync", "status=none")
		update += timed(append(write, "--update")...)
	}
	n := float64(b.N)
	b.ReportMetric(dd/n, "s/dd")
	b.ReportMetric(full/n, "s/full")
	b.ReportMetric(update/n, "s/update")
	b.ReportMetric(update/full, "of-full")
	b.ReportMetric(full/dd, "full-of-dd")
}

// upgrade replaces a program with another that is ten thousand bytes longer.
func upgrade(b *testing.B, name string) {
	b.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.Remove(name); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(name, append(content[:len(content):len(content)], content[:10_000]...), 0o755); err != nil {
		b.Fatal(err)
	}
}
