package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/rescue/health"
)

// damage changes a byte of the data of a file of the image's system, and returns its
// subvolume and path.
func damage(t *testing.T, image string) (subvolume, name string) {
	t.Helper()
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var root struct {
		Systems []struct {
			Root struct{ Start, Size int64 } `json:"root"`
		} `json:"systems"`
	}
	if err := json.Unmarshal([]byte(mustRescue(t, "inventory", "--json", "--image", image)), &root); err != nil {
		t.Fatal(err)
	}
	start := root.Systems[0].Root.Start
	part := section{f, start, root.Systems[0].Root.Size}
	fs, err := reader.Open(part, part.size)
	if err != nil {
		t.Fatal(err)
	}
	volume, err := fs.Subvolume("@")
	if err != nil {
		t.Fatal(err)
	}
	at, name := firstData(t, volume, ".")
	if name == "" {
		t.Fatal("no file of the system has data of its own")
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], start+at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0xff
	if _, err := f.WriteAt(b[:], start+at); err != nil {
		t.Fatal(err)
	}
	return "@", name
}

// section is a part of a file.
type section struct {
	f           *os.File
	start, size int64
}

func (s section) ReadAt(p []byte, at int64) (int, error) { return s.f.ReadAt(p, s.start+at) }

// firstData returns where the data of a file below a directory is, and the name of that.
func firstData(t *testing.T, v *reader.Volume, dir string) (int64, string) {
	t.Helper()
	entries, err := v.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir():
			if at, found := firstData(t, v, name); found != "" {
				return at, found
			}
		case e.Type().IsRegular():
			extents, err := v.Extents(name)
			if err == nil && len(extents) > 0 && extents[0].Kind == reader.ExtentData {
				return int64(extents[0].Physical), name
			}
		}
	}
	return 0, ""
}

func TestCheckAndSave(t *testing.T) {
	image, _ := laptop(t)
	var found checked
	if err := json.Unmarshal([]byte(mustRescue(t, "check", "--data", "--json", "--image", image)), &found); err != nil || found.Verdict != health.OK || found.Btrfs.Bytes == 0 {
		t.Fatalf("clean: %v, %+v", err, found.Btrfs)
	}
	subvolume, name := damage(t, image)
	before, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	if out := mustRescue(t, "check", "--image", image); !strings.Contains(out, "All in all: ok") {
		t.Errorf("without --data:\n%s", out)
	}
	out, errs, code := rescue(t, "check", "--data", "--image", image)
	if code != exitDamage || !strings.Contains(out, "lost     "+subvolume+"/"+name) || !strings.Contains(out, "All in all: failing") {
		t.Errorf("code %d:\n%s%s", code, out, errs)
	}
	if after, err := os.ReadFile(image); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the image was changed: %v", err)
	}

	dir := t.TempDir()
	copied := filepath.Join(dir, "copy.img")
	for again := range 2 { // the second time there is nothing to do
		out, errs, code := rescue(t, "save", "disk", image, copied)
		if code != 0 || !strings.Contains(out, "rescued") || strings.Contains(errs, "16 of 16 blocks compared, 0 differ") != (again == 1) {
			t.Errorf("code %d, output:\n%s%s", code, out, errs)
		}
	}
	if after, err := os.ReadFile(copied); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the copy is another: %v", err)
	}
	if os.Getuid() != 0 {
		return // owners are copied
	}
	out, errs, code = rescue(t, "save", "files", "--image", copied, "--subvolume", subvolume, filepath.Join(dir, "files"))
	if code != exitDamage || !strings.Contains(out, "lost     "+name+": parts of it are damaged") {
		t.Errorf("code %d:\n%s%s", code, out, errs)
	}
	out, errs, code = rescue(t, "save", "files", "--image", copied, "--subvolume", subvolume, filepath.Join(dir, "files"))
	if code != exitDamage || !strings.Contains(out, "were there already") || !strings.Contains(errs, "going on") || !strings.Contains(out, "lost     "+name+": parts of it are damaged") {
		t.Errorf("again: code %d:\n%s%s", code, out, errs)
	}
	for _, where := range [][]string{{dir}, {filepath.Join(dir, "files"), "--from", "x"}} {
		args := append([]string{"save", "files", "--image", copied, "--subvolume", subvolume}, where...)
		if _, errs, code := rescue(t, args...); code != int(fault.Target) || !strings.Contains(errs, "name a new directory") {
			t.Errorf("%q: code %d: %s", where, code, errs)
		}
	}
}

func TestCheckAndSaveRefused(t *testing.T) {
	image, _ := laptop(t)
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		args []string
		code fault.Class
		want string
	}{
		{"heal without a scrub", []string{"check", "--heal"}, fault.Usage, "--scrub --heal"},
		{"no sample", []string{"check", "--backup", "--sample", "0"}, fault.Usage, "from 1 to 100"},
		{"too large a sample", []string{"check", "--backup", "--sample", "101"}, fault.Usage, "from 1 to 100"},
		{"backup and data", []string{"check", "--backup", "--data"}, fault.Usage, "are alone"},
		{"no backup", []string{"check", "--backup", "--image", image}, fault.Target, "repository"},
		{"btrfs check of an image", []string{"check", "--second", "--image", image}, fault.Input, "reads devices alone"},
		{"save of nothing", []string{"save"}, fault.Usage, "expected disk or files"},
		{"save of no disk", []string{"save", "disk", "/dev/null", dir + "/x"}, fault.Input, "is neither a disk nor a file"},
		{"save over the image", []string{"save", "disk", image, image}, fault.Target, "exists"},
		{"consent for a file", []string{"save", "disk", image, dir + "/x", "--erase", "y"}, fault.Usage, "are for disks"},
		{"retries", []string{"save", "disk", image, dir + "/x", "--retries", "101"}, fault.Usage, "expected 0 to 100"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, errs, code := rescue(t, tt.args...)
			if code != int(tt.code) || !strings.Contains(errs, tt.want) {
				t.Errorf("code %d; want %d and %q:\n%s%s", code, tt.code, tt.want, out, errs)
			}
		})
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v is left", err, left)
	}
}
