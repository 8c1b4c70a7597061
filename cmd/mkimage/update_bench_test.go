package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
)

// BenchmarkUpdate writes an image to a loop device in turn with dd, in full, and
// as an update of what has the image before.
func BenchmarkUpdate(b *testing.B) {
	u := newUpdateBench(b)
	var dd, full, update float64
	for b.Loop() {
		dd += u.timed(u.old...)
		full += u.timed(u.write...)
		u.run(u.old...)
		update += u.timed(append(u.write, "--update")...)
	}
	n := float64(b.N)
	b.ReportMetric(dd/n, "s/dd")
	b.ReportMetric(full/n, "s/full")
	b.ReportMetric(update/n, "s/update")
	b.ReportMetric(update/full, "of-full")
	b.ReportMetric(full/dd, "full-of-dd")
}

// updateBench has an image of the reference userland, another with one program
// changed, as an upgrade does, that is like the former, and a disk.
type updateBench struct {
	b          *testing.B
	dir        string
	device     string
	old, write []string // commands that write the former, and the latter
	enter      []string // what runs them, when timed
}

func newUpdateBench(b *testing.B) *updateBench {
	b.Helper()
	imgtest.NeedRoot(b)
	imgtest.Need(b, "losetup", "dd", "cp")
	u := &updateBench{b: b, dir: b.TempDir()}
	mkimage := program(b, u.dir)
	reference := userland.Reference(b).Dir
	upgraded := filepath.Join(filepath.Dir(reference), "upgraded", filepath.Base(reference)) // a source goes by its last name
	if err := os.Mkdir(filepath.Dir(upgraded), 0o755); err != nil {
		b.Fatal(err)
	}
	u.run("cp", "-al", reference, upgraded) // on the same file system
	b.Cleanup(func() { os.RemoveAll(filepath.Dir(upgraded)) })
	upgrade(b, filepath.Join(upgraded, "usr/bin/bash"))
	u.run(mkimage, "build", "bandit-minimal", "-q", "--source", "dir:"+reference, "-o", "old.img")
	u.run(mkimage, "build", "bandit-minimal", "-q", "--source", "dir:"+upgraded, "--like", "old.img", "-o", "new.img")
	u.run("cp", "--sparse=always", "old.img", "disk")
	u.device = u.run("losetup", "--find", "--show", filepath.Join(u.dir, "disk"))
	b.Cleanup(func() { u.run("losetup", "--detach", u.device) })
	name := filepath.Base(u.device)
	u.old = []string{"dd", "if=old.img", "of=" + u.device, "bs=4M", "conv=fsync", "status=none"}
	u.write = []string{mkimage, "write", "-q", "new.img", "--target", u.device, "--serial", name, "--erase", name}
	return u
}

func (u *updateBench) run(args ...string) string {
	u.b.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stderr = u.dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		u.b.Fatalf("%q: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

// timed returns the seconds that a command takes.
func (u *updateBench) timed(args ...string) float64 {
	u.b.Helper()
	began := time.Now()
	u.run(append(u.enter[:len(u.enter):len(u.enter)], args...)...)
	took := time.Since(began)
	u.run("sync")
	return took.Seconds()
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
