package main

import (
	"os"
	"os/exec"
	"strings"
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
