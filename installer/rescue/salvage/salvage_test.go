package salvage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/rehearsal/listtree"
)

func check(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// home has what a home has: text, holes, links, attributes, special files.
func home(t testing.TB) string {
	t.Helper()
	imgtest.NeedRoot(t) // owners are copied
	dir := filepath.Join(t.TempDir(), "home")
	write := func(name string, text []byte) {
		name = filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, text, 0o640))
	}
	big := make([]byte, 3<<20)
	for i := range big {
		big[i] = byte(i * i >> 8)
	}
	write("alice/big", big)
	write("alice/small", []byte("inline"))
	write("alice/empty", nil)
	for i := range 700 {
		write(fmt.Sprintf("bob/%03d", i), bytes.Repeat([]byte{byte(i)}, 1500))
	}
	sparse, err := os.Create(filepath.Join(dir, "alice/sparse"))
	check(t, err, sparse.Truncate(8<<20))
	_, err = sparse.WriteAt([]byte("far"), 5<<20)
	check(t, err, sparse.Close())
	alice := filepath.Join(dir, "alice")
	check(t, os.Link(filepath.Join(alice, "big"), filepath.Join(alice, "same")), os.Symlink("../bob", filepath.Join(alice, "link")),
		unix.Mkfifo(filepath.Join(alice, "fifo"), 0o600), unix.Setxattr(filepath.Join(alice, "small"), "user.note", []byte("\x00x"), 0),
		os.Lchown(filepath.Join(alice, "small"), 1000, 1001), unix.Chmod(filepath.Join(alice, "small"), 0o4751),
		os.Chtimes(filepath.Join(dir, "bob"), unixTime(1e9), unixTime(1e9+7)))
	return dir
}

// newImage makes a btrfs of a directory by other people's program.
func newImage(t testing.TB, dir string) string {
	t.Helper()
	imgtest.Need(t, "mkfs.btrfs")
	image := filepath.Join(t.TempDir(), "disk.img")
	check(t, os.WriteFile(image, nil, 0o600), os.Truncate(image, 256<<20))
	if out, err := exec.Command("mkfs.btrfs", "-q", "--metadata", "dup", "--rootdir", dir, image).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return image
}

func open(t testing.TB, image string) *reader.FS {
	t.Helper()
	f, err := os.Open(image)
	check(t, err)
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	check(t, err)
	fs, err := reader.Open(f, info.Size())
	check(t, err)
	return fs
}

// flip damages a byte of an image.
func flip(t testing.TB, image string, at ondisk.Physical) {
	t.Helper()
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	check(t, err)
	var b [1]byte
	_, err = f.ReadAt(b[:], int64(at))
	check(t, err)
	b[0] ^= 0x55
	_, err = f.WriteAt(b[:], int64(at))
	check(t, err, f.Close())
}

func salvage(t testing.TB, image, from string) (*Report, string) {
	t.Helper()
	to := t.TempDir()
	root, err := os.OpenRoot(to)
	check(t, err)
	defer root.Close()
	var last int64
	report, err := Copy(t.Context(), Request{FS: open(t, image), From: from, To: root, Progress: func(done int64) { last = done }})
	check(t, err)
	if last != report.Bytes {
		t.Errorf("progress ended at %d of %d bytes", last, report.Bytes)
	}
	return report, to
}

// list returns the lines of a tree without those of its top.
func list(t testing.TB, dir string) string {
	t.Helper()
	var out bytes.Buffer
	check(t, listtree.List(&out, dir))
	_, rest, _ := strings.Cut(out.String(), "\n")
	return rest
}

func TestWhole(t *testing.T) {
	dir := home(t)
	image := newImage(t, dir)
	report, to := salvage(t, image, "")
	mounted := imgtest.Mount(t, image, "ro") // mkfs.btrfs keeps seconds alone
	if diff := cmp.Diff(list(t, mounted), list(t, to)); diff != "" {
		t.Errorf("(-home +copy):\n%s", diff)
	}
	if report.Lost != 0 || report.Blocks != 0 || report.Directories != 3 || report.Files != 706 {
		t.Errorf("report: %d lost, %d blocks, %d directories, %d files: %v", report.Lost, report.Blocks, report.Directories, report.Files, report.Losses)
	}
	one, err := os.Stat(filepath.Join(to, "alice/big"))
	check(t, err)
	two, err := os.Stat(filepath.Join(to, "alice/same"))
	check(t, err)
	if !os.SameFile(one, two) {
		t.Error("alice/same is no other name of alice/big")
	}
	_, bob := salvage(t, image, "bob")
	if diff := cmp.Diff(list(t, filepath.Join(mounted, "bob")), list(t, bob)); diff != "" {
		t.Errorf("bob alone (-home +copy):\n%s", diff)
	}
}

// TestData damages two sectors of a file: all of the rest is there.
func TestData(t *testing.T) {
	dir := home(t)
	image := newImage(t, dir)
	v, err := open(t, image).Subvolume("")
	check(t, err)
	extents, err := v.Extents("alice/big")
	check(t, err)
	flip(t, image, extents[0].Physical+5*ondisk.SectorSize)
	flip(t, image, extents[0].Physical+6*ondisk.SectorSize+17)
	flip(t, image, extents[0].Physical+300*ondisk.SectorSize)
	report, to := salvage(t, image, "")
	want := []Loss{{Path: "alice/big", What: errZeros.Error(), Ranges: []Range{{5 * ondisk.SectorSize, 2 * ondisk.SectorSize}, {300 * ondisk.SectorSize, ondisk.SectorSize}}}}
	if diff := cmp.Diff(want, report.Losses); diff != "" || report.Lost != 1 || report.Blocks != 0 {
		t.Errorf("%d lost, %d blocks, losses (-want +got):\n%s", report.Lost, report.Blocks, diff)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "alice/big"))
	check(t, err)
	for _, r := range want[0].Ranges {
		clear(whole[r.Start : r.Start+r.Length])
	}
	got, err := os.ReadFile(filepath.Join(to, "alice/big"))
	check(t, err)
	if !bytes.Equal(whole, got) {
		t.Error("alice/big: another content than the whole one with zeros in these places")
	}
}

// leaves returns the places of the leaves of the top level's tree, each with all
// copies.
func leaves(t testing.TB, fs *reader.FS) (places [][]ondisk.Physical) {
	t.Helper()
	ref, err := fs.RootRef(ondisk.FSTree)
	check(t, err)
	raw, header, err := fs.ReadBlock(ref)
	check(t, err)
	if header.Level != 1 {
		t.Fatalf("tree of level %d, expected 1", header.Level)
	}
	ptrs, err := ondisk.DecodeNode(raw)
	check(t, err)
	for _, p := range ptrs {
		at, err := fs.Copies(p.Block, int64(fs.Super().NodeSize))
		check(t, err)
		places = append(places, at)
	}
	return places
}

// TestTree damages leaves all over the tree but the first, which has the top: one
// copy alone is no loss, both lose some files, and each of them is named, or that its
// directory lacks some names.
func TestTree(t *testing.T) {
	dir := home(t)
	image := newImage(t, dir)
	_, before := salvage(t, image, "")
	for i, copies := range leaves(t, open(t, image)) {
		if i == 0 || i > 6 && i%16 != 0 {
			continue
		}
		if len(copies) != 2 {
			t.Fatalf("leaf %d: %d copies", i, len(copies))
		}
		flip(t, image, copies[0]+200)
		report, to := salvage(t, image, "")
		if diff := cmp.Diff(list(t, before), list(t, to)); diff != "" || report.Lost != 0 || report.Blocks != 0 {
			t.Errorf("leaf %d with one copy damaged: %d lost, %d blocks (-home +copy):\n%s", i, report.Lost, report.Blocks, diff)
		}
		flip(t, image, copies[1]+200)
		report, to = salvage(t, image, "")
		if report.Blocks != 1 || report.Lost == 0 || report.Files < 400 {
			t.Errorf("leaf %d: %d blocks, %d lost, %d files; expected one block, some, and most", i, report.Blocks, report.Lost, report.Files)
		}
		wantTold(t, fmt.Sprintf("leaf %d", i), report, dir, to)
		flip(t, image, copies[0]+200) // and is whole again
		flip(t, image, copies[1]+200)
	}
}

// wantTold wants each file of bob's to be in the copy as it was, or to be told.
func wantTold(t *testing.T, what string, report *Report, dir, to string) {
	t.Helper()
	lost := map[string]bool{}
	for _, l := range report.Losses {
		lost[l.Path] = true
	}
	for i := range 700 {
		name := fmt.Sprintf("bob/%03d", i)
		want, err := os.ReadFile(filepath.Join(dir, name))
		check(t, err)
		got, err := os.ReadFile(filepath.Join(to, name))
		if same := err == nil && bytes.Equal(want, got); !same && !lost[name] && !(lost["bob"] && os.IsNotExist(err)) {
			t.Errorf("%s: %s: is another one, or not there, and not told: %v", what, name, err)
		}
	}
}

func TestRefused(t *testing.T) {
	image := newImage(t, home(t))
	root, err := os.OpenRoot(t.TempDir())
	check(t, err)
	defer root.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name  string
		ctx   context.Context
		r     Request
		class fault.Class
		want  string
	}{
		{"no subvolume", t.Context(), Request{Subvolume: "@home"}, fault.Input, "@home"},
		{"no directory", t.Context(), Request{From: "carol"}, fault.Usage, "carol"},
		{"a file", t.Context(), Request{From: "alice/big"}, fault.Usage, "alice/big: is no directory"},
		{"outside", t.Context(), Request{From: "../x"}, fault.Usage, "x"},
		{"ended", ended, Request{}, fault.Internal, "canceled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.r.FS, tt.r.To = open(t, image), root
			_, err := Copy(tt.ctx, tt.r)
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.class != fault.Internal && fault.ClassOf(err) != tt.class {
				t.Errorf("got %v, class %v; want %q, class %v", err, fault.ClassOf(err), tt.want, tt.class)
			}
		})
	}
}

func unixTime(sec int64) time.Time { return time.Unix(sec, 123456789) }

// TestCopyIsOnDisk: what is told to be copied is on the disk, also while that stays mounted.
func TestCopyIsOnDisk(t *testing.T) {
	from, image := home(t), newImage(t, t.TempDir())
	to, err := os.OpenRoot(imgtest.Mount(t, image))
	check(t, err)
	defer to.Close()
	_, err = Copy(t.Context(), Request{FS: open(t, newImage(t, from)), From: "alice", To: to})
	check(t, err)
	top, err := open(t, image).Subvolume("")
	check(t, err)
	if got, err := top.ReadFile("small"); err != nil || string(got) != "inline" {
		t.Errorf("on the disk: %q, %v", got, err)
	}
}
