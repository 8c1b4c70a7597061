package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// fileDisk is a file in the place of a disk.
type fileDisk struct{ *os.File }

// Zero implements writer.Disk.
func (f fileDisk) Zero(at, length int64) error {
	_, err := f.WriteAt(make([]byte, length), at)
	return err
}

// DropCache implements writer.Disk.
func (f fileDisk) DropCache() error { return nil }

func command(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// text is a file's content.
func text(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	must(t, err)
	return string(data)
}

// names returns the names in a directory, with spaces between.
func names(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

func contains(text, part string) bool { return strings.Contains(text, part) }

// allocated returns the blocks of 512 bytes that a file has.
func allocated(info os.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks
	}
	return -1
}
