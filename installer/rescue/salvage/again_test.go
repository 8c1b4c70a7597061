package salvage

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// again copies to a directory that has a copy.
func again(t *testing.T, image, to string) *Report {
	t.Helper()
	root, err := os.OpenRoot(to)
	check(t, err)
	defer root.Close()
	var last int64
	report, err := Copy(t.Context(), Request{FS: open(t, image), To: root, Progress: func(done int64) { last = max(last, done) }})
	check(t, err)
	if last < report.Bytes {
		t.Errorf("progress ended at %d of %d bytes", last, report.Bytes)
	}
	return report
}

// patch writes bytes into a file.
func patch(t *testing.T, name string, at int64, p []byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	check(t, err)
	_, err = f.WriteAt(p, at)
	check(t, err, f.Close())
}

// TestAgain goes on with what an interrupted run, a power cut, or somebody else has
// left.
func TestAgain(t *testing.T) {
	image := newImage(t, home(t))
	const s = ondisk.SectorSize
	other := errOther.Error()
	for _, tt := range []struct {
		name  string
		left  func(dir string)
		lost  string // path
		left2 bool   // the copy is not as the whole one
	}{
		{name: "all", left: func(string) {}},
		{name: "a part", left: func(dir string) {
			check(t, os.RemoveAll(dir+"/bob"), os.Remove(dir+"/alice/big"), os.Remove(dir+"/alice/same"), os.Remove(dir+"/alice/link"))
		}},
		{name: "an empty file", left: func(dir string) { check(t, os.Truncate(dir+"/alice/big", 0)) }},
		{name: "zeros in a file", left: func(dir string) { patch(t, dir+"/alice/big", s, make([]byte, 5*s)) }},
		{name: "zeros at the end of a file", left: func(dir string) { patch(t, dir+"/bob/007", 0, make([]byte, 1500)) }},
		{name: "a byte is another", left: func(dir string) { patch(t, dir+"/bob/007", 1499, []byte("!")) }, lost: "bob/007", left2: true},
		{name: "a byte in a hole", left: func(dir string) { patch(t, dir+"/alice/sparse", 1<<20, []byte("!")) }, lost: "alice/sparse", left2: true},
		{name: "one byte too short", left: func(dir string) { check(t, os.Truncate(dir+"/bob/007", 1499)) }, lost: "bob/007", left2: true},
		{name: "one byte too long", left: func(dir string) { check(t, os.Truncate(dir+"/bob/007", 1501)) }, lost: "bob/007", left2: true},
		{name: "another link", left: func(dir string) {
			check(t, os.Remove(dir+"/alice/link"), os.Symlink("x", dir+"/alice/link"))
		}, lost: "alice/link", left2: true},
		{name: "a link out of the copy", left: func(dir string) {
			check(t, os.RemoveAll(dir+"/bob"), os.Symlink("/etc", dir+"/bob"))
		}, lost: "bob", left2: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			whole, dir := salvage(t, image, "")
			want := list(t, dir)
			tt.left(dir)
			before := list(t, dir)
			report := again(t, image, dir)
			losses := []Loss{}
			if tt.lost != "" {
				losses = []Loss{{Path: tt.lost, What: other}}
			}
			if diff := cmp.Diff(losses, report.Losses); diff != "" {
				t.Errorf("losses (-want +got):\n%s", diff)
			}
			if tt.left2 {
				want = before
			} else if report.Files != whole.Files || report.Bytes != whole.Bytes {
				t.Errorf("%d files, %d bytes; want %d, %d", report.Files, report.Bytes, whole.Files, whole.Bytes)
			}
			if diff := cmp.Diff(want, list(t, dir)); diff != "" && !strings.Contains(tt.name, "link") {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestAgainDamaged runs before and after some sectors get damaged: what the first run
// has read stays, and is told; what the second reads more, it fills in.
func TestAgainDamaged(t *testing.T) {
	dir := home(t)
	image := newImage(t, dir)
	v, err := open(t, image).Subvolume("")
	check(t, err)
	extents, err := v.Extents("alice/big")
	check(t, err)
	at := extents[0].Physical + 5*ondisk.SectorSize
	want, err := os.ReadFile(filepath.Join(dir, "alice/big"))
	check(t, err)
	lost := []Loss{{Path: "alice/big", What: errLeft.Error(), Ranges: []Range{{5 * ondisk.SectorSize, ondisk.SectorSize}}}}
	same := func(to string) {
		t.Helper()
		if got, err := os.ReadFile(filepath.Join(to, "alice/big")); err != nil || !bytes.Equal(got, want) {
			t.Errorf("alice/big is not as it was: %v", err)
		}
	}
	_, to := salvage(t, image, "")
	flip(t, image, at)
	if diff := cmp.Diff(lost, again(t, image, to).Losses); diff != "" {
		t.Errorf("losses (-want +got):\n%s", diff)
	}
	same(to)
	_, to = salvage(t, image, "")
	flip(t, image, at)
	if report := again(t, image, to); report.Lost != 0 {
		t.Errorf("losses: %v", report.Losses)
	}
	same(to)
}

// cached has in its cache what a failing disk has not kept.
type cached struct {
	rooted
	t     *testing.T
	lost  string // base name of a file, whose first sector is zeros on the disk
	asked *bool  // for that file
}

func (c cached) Fresh(f *os.File) {
	if filepath.Base(f.Name()) == c.lost {
		*c.asked = true
		patch(c.t, f.Name(), 0, make([]byte, ondisk.SectorSize))
	}
	c.rooted.Fresh(f)
}

// TestAgainReadsDisk compares what the disk has, and not what the kernel remembers of it.
func TestAgainReadsDisk(t *testing.T) {
	dir := home(t)
	image := newImage(t, dir)
	_, to := salvage(t, image, "")
	root, err := os.OpenRoot(to)
	check(t, err)
	defer root.Close()
	asked := false
	report, err := salvageTo(t.Context(), Request{FS: open(t, image), To: root}, cached{rooted{root}, t, "big", &asked})
	check(t, err)
	want, err := os.ReadFile(filepath.Join(dir, "alice/big"))
	check(t, err)
	if got, err := os.ReadFile(filepath.Join(to, "alice/big")); !asked || err != nil || !bytes.Equal(got, want) || report.Lost != 0 {
		t.Errorf("alice/big is not as it was, or the cache of it was kept: %v, %v", err, report.Losses)
	}
}

// TestDotsElsewhere goes on in a file system that tells "x." and "x" apart, with an "x" of
// somebody else.
func TestDotsElsewhere(t *testing.T) {
	dir := home(t)
	check(t, os.WriteFile(filepath.Join(dir, "x."), []byte("dot"), 0o600))
	to := t.TempDir()
	check(t, os.WriteFile(filepath.Join(to, "x"), []byte("other"), 0o600))
	again(t, newImage(t, dir), to)
	for name, want := range map[string]string{"x": "other", "x.": "dot"} {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestOpenFolder(t *testing.T) {
	of := Origin{FileSystem: "f", Subvolume: "/@home", From: "/"}
	for _, tt := range []struct {
		name, mark string
		more       bool // there is something else
		again      bool
		want       string
	}{
		{"empty", "", false, false, ""},
		{"a mark alone", "{", false, false, ""},
		{"a copy", `{"file_system":"f","subvolume":"/@home","from":"/"}`, true, true, ""},
		{"something else", "", true, false, "is not empty, and has no copy"},
		{"another subvolume", `{"file_system":"f","subvolume":"/@","from":"/"}`, true, false, "has a copy of / of /@, file system f; expected one of / of /@home"},
		{"another file system", `{"file_system":"g","subvolume":"/@home","from":"/"}`, true, false, "file system g"},
		{"a torn mark", "{", true, false, "does not say what the copy is of"},
		{"at the limit", strings.Repeat(" ", maxMark-51) + `{"file_system":"f","subvolume":"/@home","from":"/"}`, true, true, ""},
		{"one below the limit", strings.Repeat(" ", maxMark-52) + `{"file_system":"f","subvolume":"/@home","from":"/"}`, true, true, ""},
		{"one above the limit", strings.Repeat(" ", maxMark-50) + `{"file_system":"f","subvolume":"/@home","from":"/"}`, true, false, "has more than 65536 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "copy")
			check(t, os.Mkdir(dir, 0o755))
			if tt.mark != "" {
				check(t, os.WriteFile(filepath.Join(dir, markName), []byte(tt.mark), 0o600))
			}
			if tt.more {
				check(t, os.WriteFile(filepath.Join(dir, "x"), nil, 0o600))
			}
			root, again, err := OpenFolder(dir, of)
			if tt.want != "" {
				if root != nil || fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), tt.want) || fault.HintOf(err) == "" {
					t.Errorf("class %d, %v", fault.ClassOf(err), err)
				}
				return
			}
			check(t, err, root.Close())
			if again != tt.again {
				t.Errorf("again: %v; want %v", again, tt.again)
			}
			check(t, os.WriteFile(filepath.Join(dir, "x"), nil, 0o600))
			root, again, err = OpenFolder(dir, of)
			if check(t, err); !again {
				t.Error("the next run does not go on")
			}
			check(t, root.Close())
		})
	}
}
