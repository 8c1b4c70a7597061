package identity_test

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/btrfs/identity"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// edit is an edit of a file in @.
func edit(name, from, to string) identity.Edit {
	return identity.Edit{Path: "@/" + name, Old: from, New: to}
}

// texts writes a file system whose files hold texts, raw where their names
// begin with "raw", and some that are no files.
func texts(t *testing.T, files map[string]string, p btrfs.Params) *imgtest.MemDisk {
	t.Helper()
	tree := fstree.New()
	for name, text := range files {
		if in := add(t, tree.Root(), name, text); strings.HasPrefix(name, "raw") {
			in.Content = fstree.Raw{Content: in.Content}
		}
	}
	for name, in := range map[string]*fstree.Inode{
		"dir":  {Mode: fstree.TypeDir | 0o755},
		"link": {Mode: fstree.TypeSymlink | 0o777, Link: "raw", Size: 3},
		"here": {Mode: fstree.TypeSymlink | 0o777, Link: ".", Size: 1},
		"hole": {Mode: fstree.TypeRegular | 0o644, Size: 5000},
	} {
		if _, err := tree.Root().Add(name, in); err != nil {
			t.Fatal(err)
		}
	}
	if raw := tree.Lookup("raw"); raw != nil {
		if _, err := tree.Root().Add("rawlink", raw.Inode); err != nil {
			t.Fatal(err)
		}
	}
	tree.Freeze()
	return write(t, tree, oldSeed, p)
}

// TestEdits replaces texts at the edges of extents and sectors, several at once,
// and through two names of a file.
func TestEdits(t *testing.T) {
	const s = ondisk.SectorSize
	at := func(n int, text string) string { return strings.Repeat(".", n) + text }
	tests := []struct {
		name, text string
		edits      []identity.Edit
		want       string
	}{
		{"all of it", "one", []identity.Edit{edit("raw", "one", "two")}, "two"},
		{"several times", "one one", []identity.Edit{edit("raw", "one", "two")}, "two two"},
		{"without overlap", "aaaaa", []identity.Edit{edit("raw", "aa", "bc")}, "bcbca"},
		{"exchanged", "one two", []identity.Edit{edit("raw", "one", "two"), edit("raw", "two", "one")}, "two one"},
		{"beside each other", "onetwo", []identity.Edit{edit("raw", "one", "two"), edit("raw", "two", "six")}, "twosix"},
		{"two names", "one two", []identity.Edit{edit("raw", "one", "six"), edit("rawlink", "two", "ten")}, "six ten"},
		{"to itself", "one", []identity.Edit{edit("raw", "one", "one")}, "one"},
		{"start of a sector", at(s, "one") + at(s, ""), []identity.Edit{edit("raw", "one", "two")}, at(s, "two") + at(s, "")},
		{"end of a sector", at(s-3, "one") + at(s, ""), []identity.Edit{edit("raw", "one", "two")}, at(s-3, "two") + at(s, "")},
		{"two sectors", at(s-1, "one") + at(s, ""), []identity.Edit{edit("raw", "one", "two")}, at(s-1, "two") + at(s, "")},
		{"three sectors", at(s-1, at(s, "one")), []identity.Edit{edit("raw", at(s, "one"), at(s, "two"))}, at(s-1, at(s, "two"))},
		{"end of the file", at(2*s, "one"), []identity.Edit{edit("raw", "one", "two")}, at(2*s, "two")},
		{"largest", at(1<<20-3, "one"), []identity.Edit{edit("raw", "one", "two")}, at(1<<20-3, "two")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			disk := texts(t, map[string]string{"raw": test.text}, btrfs.Params{Compression: btrfs.Compression{Level: 3}})
			target := copyAs(t, disk, prepare(t, disk, test.edits...), 1<<20)
			isClean(t, target)
			if got := textOf(t, target, "@/raw"); got != test.want {
				t.Errorf("got %d bytes, ending in %q; want ending in %q", len(got), got[max(0, len(got)-20):], test.want[max(0, len(test.want)-20):])
			}
		})
	}
}

// TestEditsRefused gives edits that cannot be made.
func TestEditsRefused(t *testing.T) {
	long := strings.Repeat("compresses ", 500)
	disk := texts(t, map[string]string{
		"raw": "one two", "rawlarge": strings.Repeat("x", 1<<20+1),
		"packed": long[:1000], "packedlong": long, "shared1": long + "shared", "shared2": long + "shared",
	}, btrfs.Params{Compression: btrfs.Compression{Level: 3}})
	plain := texts(t, map[string]string{"shared1": long, "shared2": long, "raw": "one " + long, "repeated": strings.Repeat(".", 128<<10-4) + "text" + strings.Repeat(".", 128<<10-4) + "text", "other": strings.Repeat(".", 256<<10)},
		btrfs.Params{Snapshots: []btrfs.Snapshot{{Source: "@", Path: "snapshot"}}})
	tests := []struct {
		name  string
		disk  *imgtest.MemDisk
		class fault.Class
		edits []identity.Edit
		want  string
	}{
		{"empty", disk, fault.Usage, []identity.Edit{edit("raw", "", "")}, "equal length"},
		{"longer", disk, fault.Usage, []identity.Edit{edit("raw", "one", "three")}, "equal length"},
		{"no such text", disk, fault.Input, []identity.Edit{edit("raw", "six", "ten")}, `@/raw: text "six" is not in it`},
		{"gone by the first", disk, fault.Input, []identity.Edit{edit("raw", "one", "six"), edit("raw", "six", "ten")}, `text "six" is not in it`},
		{"overlap", disk, fault.Input, []identity.Edit{edit("raw", "one t", "one s"), edit("raw", "two", "six")}, "two edits change the text at byte 4"},
		{"no such file", disk, fault.Input, []identity.Edit{edit("none", "one", "two")}, "@/none: "},
		{"no such folder", disk, fault.Input, []identity.Edit{edit("none/raw", "one", "two")}, "@/none/raw: "},
		{"top level", disk, fault.Input, []identity.Edit{{Path: "/", Old: "x", New: "y"}}, ""},
		{"directory", disk, fault.Input, []identity.Edit{edit("dir", "one", "two")}, "not a regular file"},
		{"symlink", disk, fault.Input, []identity.Edit{edit("link", "one", "two")}, "not a regular file"},
		{"behind a symlink", disk, fault.Input, []identity.Edit{edit("here/raw", "one", "two")}, "@/here is not a directory"},
		{"behind a file", disk, fault.Input, []identity.Edit{edit("raw/raw", "one", "two")}, "@/raw is not a directory"},
		{"too large", disk, fault.Input, []identity.Edit{edit("rawlarge", "x", "y")}, "1048577 bytes, expected at most 1048576"},
		{"compressed in the tree", disk, fault.Input, []identity.Edit{edit("packed", "compress", "pressure")}, "@/packed: is stored compressed"},
		{"compressed", disk, fault.Input, []identity.Edit{edit("packedlong", "compress", "pressure")}, "@/packedlong: is stored compressed"},
		{"shared and compressed", disk, fault.Input, []identity.Edit{edit("shared1", "shared", "common")}, "is stored compressed"},
		{"shared", plain, fault.Input, []identity.Edit{edit("shared1", "compress", "pressure")}, "@/shared1: is shared with another file"},
		{"in a snapshot", plain, fault.Input, []identity.Edit{edit("raw", "one", "two")}, "@/raw: is shared with another file or a snapshot"},
		{"shared with itself", plain, fault.Input, []identity.Edit{edit("repeated", "text", "TEXT")}, "are one"},
		{"hole", disk, fault.Input, []identity.Edit{edit("hole", "\x00\x00", "ab")}, "text in a hole"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { refused(t, test.disk, test.class, test.want, test.edits...) })
	}
}

// TestEditOfDamage: text whose sector has a wrong checksum, or of which one is
// not there.
func TestEditOfDamage(t *testing.T) {
	disk := write(t, variant{fstab: 10_000}.tree(t, oldSeed), oldSeed, btrfs.Params{})
	damaged := disk.Clone()
	for at := range editedSectors(t, disk) {
		b := make([]byte, ondisk.SectorSize)
		move(t, disk, damaged, b, at)
		b[100] ^= 1
		if _, err := damaged.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, damaged, fault.Input, "wrong crc32c checksum", fstabEdits...)
	tamper(t, disk, ondisk.CsumTree, func(leaf []byte, items []ondisk.Item) { lastKey(leaf, items)[:1][0]-- })
	refused(t, disk, fault.Input, "no checksum", fstabEdits...)
}
