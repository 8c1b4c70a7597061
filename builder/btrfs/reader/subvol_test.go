package reader_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestSubvolumes compares lists, nested subvolumes, snapshots of their parents
// and the default subvolume with the kernel's.
func TestSubvolumes(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "btrfs", "sh")
	img := mkfs(t, 512<<20)
	dir, unmount := mount(t, img, "")
	run(t, "sh", "-ec", `cd "$0"
		btrfs -q subvolume create @root; echo one > @root/file
		mkdir @root/many; ( cd @root/many; seq 600 | xargs touch ) # so that the tree has nodes, and snapshots share leaves
		mkdir -p @root/deep/er
		btrfs -q subvolume create @root/deep/er/nested; echo two > @root/deep/er/nested/file
		btrfs -q subvolume create @root/deep/er/nested/inner; echo three > @root/deep/er/nested/inner/file
		mkdir snapshots; btrfs -q subvolume snapshot -r @root snapshots/first
		echo changed > @root/file
		btrfs -q subvolume create gone; echo x > gone/x; btrfs -q subvolume delete gone
		btrfs -q subvolume snapshot @root/deep/er/nested @root/second
		mv @root/deep/er/nested/inner @root/moved
		btrfs -q subvolume set-default @root
		ln -s deep/er/nested/../../../second/file @root/through
		sync`, dir)
	want := listSubvolumes(run(t, "btrfs", "subvolume", "list", "-p", dir))
	unmount()
	f := open(t, img)
	list, err := f.Subvolumes()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range list {
		got[s.Path] = fmt.Sprint(s.ID, " ", s.ParentID)
		if s.ReadOnly != (s.Path == "snapshots/first") {
			t.Errorf("%s: ReadOnly = %v", s.Path, s.ReadOnly)
		}
		isSnapshot := s.Path == "snapshots/first" || s.Path == "@root/second"
		if s.ParentUUID.IsZero() == isSnapshot || s.UUID.IsZero() || s.Otime.IsZero() {
			t.Errorf("%s: UUID %v, parent %v, otime %v", s.Path, s.UUID, s.ParentUUID, s.Otime)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("subvolumes differ (-kernel +reader):\n%s", diff)
	}
	if id, err := f.DefaultSubvolume(); err != nil || fmt.Sprint(id) != strings.Fields(want["@root"])[0] {
		t.Errorf("DefaultSubvolume() = %d, %v; want that of %v", id, err, want["@root"])
	}
	dir, unmount = mount(t, img, "ro,subvolid=5")
	if n := compareTrees(t, volume(t, f, "/"), dir); n < 1200 {
		t.Errorf("compared %d files; want at least 1200", n)
	}
	// WalkDir goes into nested subvolumes, so each alone, and absolute paths.
	for path := range got {
		compareTrees(t, volume(t, f, path), filepath.Join(dir, path))
	}
	file, err := volume(t, f, "@root").Open("through")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(file); err != nil || string(text) != "two\n" {
		t.Errorf("through a symlink and up from a nested subvolume: %q, %v; want %q", text, err, "two\n")
	}
	if _, err := f.Subvolume("gone"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Subvolume(deleted) = %v; want fs.ErrNotExist", err)
	}
	unmount()
}

// listSubvolumes parses the output of btrfs subvolume list -p.
func listSubvolumes(text string) map[string]string {
	list := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^ID (\d+) .*parent (\d+) .*path (.*)$`).FindAllStringSubmatch(text, -1) {
		list[m[3]] = m[1] + " " + m[2]
	}
	return list
}

// TestManyChunks reads after a balance and after chunks came and went, so that
// logical and physical addresses have nothing to do with each other.
func TestManyChunks(t *testing.T) {
	imgtest.NeedRoot(t)
	img := mkfs(t, 1<<30)
	dir, unmount := mount(t, img, "compress=zstd")
	populate(t, dir)
	for i := range 6 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("fill-%d", i)), []byte(strings.Repeat(fmt.Sprintf("%08d", i*7919), 4<<20)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "sh", "-ec", `cd "$0"; sync; rm fill-1 fill-3; btrfs -q balance start --full-balance .; btrfs -q balance start -dusage=100 .; sync`, dir)
	unmount()
	dir, _ = mount(t, img, "ro")
	compareTrees(t, volume(t, open(t, img), ""), dir)
}

// TestDirtyLog copies a file system while it is mounted, right after an fsync:
// the log tree is not replayed, and what was committed is read.
func TestDirtyLog(t *testing.T) {
	imgtest.NeedRoot(t)
	img := mkfs(t, 256<<20)
	dir, _ := mount(t, img, "commit=300")
	if err := os.WriteFile(filepath.Join(dir, "committed"), text(50_000), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "btrfs", "filesystem", "sync", dir)
	run(t, "sh", "-ec", `dd if=/dev/zero of="$0/logged" bs=4k count=5 conv=fsync status=none; cp --sparse=always "$1" "$1.copy"`, dir, img)
	f := open(t, img+".copy")
	if !f.LogDirty() {
		t.Error("LogDirty() = false; want true")
	}
	v := volume(t, f, "")
	if got, err := v.ReadFile("committed"); err != nil || string(got) != string(text(50_000)) {
		t.Errorf("committed: %d bytes, %v; want 50000", len(got), err)
	}
	if _, err := v.Stat("logged"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat(logged) = %v; want fs.ErrNotExist", err)
	}
}

// TestMetadataUUID reads a file system whose fsid was changed without a
// rewrite: blocks carry the old one.
func TestMetadataUUID(t *testing.T) {
	imgtest.Need(t, "btrfstune")
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "file"), text(5000), 0o600); err != nil {
		t.Fatal(err)
	}
	img := mkfs(t, 128<<20, "--rootdir", source)
	run(t, "btrfstune", "-m", img)
	f := open(t, img)
	if f.Super().MetadataUUID == f.Super().FSID {
		t.Fatal("btrfstune left both UUIDs equal")
	}
	if got, err := volume(t, f, "").ReadFile("file"); err != nil || string(got) != string(text(5000)) {
		t.Errorf("file: %d bytes, %v; want 5000", len(got), err)
	}
}
