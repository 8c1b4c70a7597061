package esp

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

const testSize = 40 << 20

var epoch = time.Date(2025, 3, 4, 5, 6, 8, 0, time.UTC)

func params(size int64) Params {
	return Params{Size: size, Label: "ESP", Serial: 0x1234abcd, Timestamp: epoch}
}

// treeOf makes a tree of files; a name with a slash at its end is a directory.
func treeOf(t testing.TB, files map[string]string) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	for name, content := range files {
		dir := filepath.Dir(name)
		if strings.HasSuffix(name, "/") {
			dir = name
		}
		parent, err := tree.MkdirAll(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		if dir != name {
			addFile(t, parent, filepath.Base(name), content)
		}
	}
	tree.Freeze()
	return tree
}

func addFile(t testing.TB, parent *fstree.Entry, name, content string) {
	t.Helper()
	inode := &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: int64(len(content)), Content: fstree.Bytes(content)}
	inode.SetMTime(epoch.Add(-time.Hour))
	if _, err := parent.Add(name, inode); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, tree *fstree.Tree, p Params) (*imgtest.MemDisk, *Result) {
	t.Helper()
	d := imgtest.NewMemDisk(p.Size)
	r, err := Write(context.Background(), d, tree, p)
	if err != nil {
		t.Fatal(err)
	}
	return d, r
}

// fsck runs fsck.fat on an image and fails the test unless it is clean: an
// exit status of 0, and nothing said but the summary with these clusters.
func fsck(t testing.TB, image string, r *Result) {
	t.Helper()
	imgtest.Need(t, "fsck.fat")
	out, err := exec.Command("fsck.fat", "-n", image).CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	// It counts the root not, but the volume label.
	summary := fmt.Sprintf("%s: %d files, %d/%d clusters", image, r.Files+r.Directories, r.Clusters-r.FreeClusters, r.Clusters)
	if err != nil || len(lines) != 2 || lines[1] != summary {
		t.Errorf("fsck.fat: %v\n%s\nexpected\n%s", err, out, summary)
	}
}

// contents returns the files below a directory, and its directories with a
// slash at the end.
func contents(t testing.TB, fsys fs.FS) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if d.IsDir() {
			found[name+"/"] = ""
			return nil
		}
		b, err := fs.ReadFile(fsys, name)
		found[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// treeContents returns what contents finds in a true image of the tree.
func treeContents(t testing.TB, tree *fstree.Tree) map[string]string {
	t.Helper()
	want := map[string]string{}
	for e := range tree.All() {
		switch {
		case e.Parent() == nil:
		case e.IsDir():
			want[e.Path()+"/"] = ""
		default:
			b := make([]byte, e.Size)
			if e.Content != nil {
				f, err := e.Content.Open(e)
				if err != nil {
					t.Fatal(err)
				}
				if n, err := f.ReadAt(b, 0); int64(n) < e.Size {
					t.Fatal(err)
				}
			}
			want[e.Path()] = string(b)
		}
	}
	return want
}

// verify checks an image with fsck.fat and our own reader, and reads it back
// with that and with mtools.
func verify(t testing.TB, d *imgtest.MemDisk, r *Result, tree *fstree.Tree) {
	t.Helper()
	image := d.File(t)
	fsck(t, image, r)
	readBack(t, d, tree)
	imgtest.Need(t, "mcopy")
	if len(tree.Root().Children()) == 0 {
		return
	}
	out := t.TempDir()
	cmd := exec.Command("mcopy", "-s", "-n", "-i", image, "::*", out)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MTOOLS_SKIP_CHECK=1")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mcopy: %v\n%s", err, b)
	}
	want := map[string]string{}
	for name, content := range treeContents(t, tree) {
		want[strings.ReplaceAll(name, "\U0001f600", "__")] = content // mtools knows no surrogates
	}
	if diff := cmp.Diff(want, contents(t, os.DirFS(out))); diff != "" {
		t.Errorf("mcopy (-want +got):\n%.2000s", diff)
	}
}

// readBack checks an image with our reader, and compares what it reads.
func readBack(t testing.TB, d *imgtest.MemDisk, tree *fstree.Tree) {
	t.Helper()
	f, err := reader.Open(d, d.Size())
	if err != nil {
		t.Fatal(err)
	}
	if problems := f.Check(context.Background()); len(problems) > 0 {
		t.Errorf("problems: %.10v", problems)
	}
	if diff := cmp.Diff(treeContents(t, tree), contents(t, f)); diff != "" {
		t.Errorf("reader (-want +got):\n%.2000s", diff)
	}
}

// bootFiles is what an ESP usually holds.
var bootFiles = map[string]string{
	"EFI/BOOT/BOOTX64.EFI":                      strings.Repeat("MZ", 50000),
	"EFI/systemd/systemd-bootx64.efi":           strings.Repeat("MZ", 50000),
	"EFI/Linux/":                                "",
	"loader/loader.conf":                        "timeout 3\n",
	"loader/entries/mkimage-6.1.0-56.conf":      "title a\n",
	"loader/entries/mkimage-6.1.0-57.conf":      "title b\n",
	"debian/6.1.0-56-amd64/linux":               strings.Repeat("k", 1<<20+1),
	"debian/6.1.0-56-amd64/initrd.img":          strings.Repeat("i", 3<<20),
	"debian/6.1.0-57-amd64/linux":               "k2",
	"debian/a.b.c.d":                            "dots",
	"empty":                                     "",
	"ESP/like the label":                        "l",
	"Grüße, 世界 \U0001f600.txt":                  "unicode",
	".hidden":                                   "h",
	"a+b=c.txt":                                 "a",
	"two  spaces and a rather long name.tar.gz": "t",
}

func TestWriteOracles(t *testing.T) {
	tree := treeOf(t, bootFiles)
	for _, sectorSize := range []int64{512, 4096} {
		t.Run(fmt.Sprint(sectorSize), func(t *testing.T) {
			p := params(testSize)
			if p.SectorSize = sectorSize; sectorSize == 4096 {
				p.Size = 300 << 20
			}
			d, r := write(t, tree, p)
			verify(t, d, r, tree)
		})
	}
}

// TestTools asks foreign programs for what is not in the files.
func TestTools(t *testing.T) {
	p := params(300 << 20)
	p.Start = 1 << 20
	d, _ := write(t, treeOf(t, bootFiles), p)
	image := d.File(t)
	tests := []struct {
		name string
		cmd  []string
		want []string
	}{
		{"label", []string{"mlabel", "-i", image, "-s", "::"}, []string{"Volume label is ESP"}},
		{"boot sector", []string{"minfo", "-i", image, "::"}, []string{`banner:"MSWIN4.1"`, "hidden sectors: 2048", "serial number: 1234ABCD",
			"disk label=\"ESP        \"", "backup boot sector=6", "Big fatlen=599", "cluster size: 8 sectors"}},
		{"blkid", []string{"blkid", "-p", image}, []string{`UUID="1234-ABCD"`, `LABEL="ESP"`, `LABEL_FATBOOT="ESP"`, `TYPE="vfat"`, `VERSION="FAT32"`}},
		{"file", []string{"file", image}, []string{"DOS/MBR boot sector", "OEM-ID \"MSWIN4.1\"", "FAT (32 bit)", "hidden sectors 2048", "label: \"ESP"}},
		{"times", []string{"mdir", "-i", image, "-a", "::loader"}, []string{"LOADER~1 CON        10 2025-03-04   4:06  loader.conf", "ENTRIES      <DIR>     1980-01-01   0:00  entries"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			imgtest.Need(t, test.cmd[0])
			cmd := exec.Command(test.cmd[0], test.cmd[1:]...)
			cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
			out, err := cmd.CombinedOutput()
			for _, want := range test.want {
				if err != nil || !strings.Contains(string(out), want) {
					t.Errorf("%v: %v\n%s\nexpected %q", test.cmd, err, out, want)
				}
			}
		})
	}
}

// randomTree makes a tree of names of all kinds.
func randomTree(t testing.TB, rng *rand.Rand, entries int) *fstree.Tree {
	tree := fstree.New()
	dirs := []*fstree.Entry{tree.Root()}
	alphabet := []rune("aAbBZz019 .~-_+=[]äÖß世\U0001f600")
	for range entries {
		var name []rune
		for range 1 + rng.IntN(1+rng.IntN(60)) {
			name = append(name, alphabet[rng.IntN(len(alphabet))])
		}
		text := string(name) + "x"
		parent := dirs[rng.IntN(len(dirs))]
		if rng.IntN(4) == 0 {
			if e, err := parent.Add(text, &fstree.Inode{Mode: fstree.TypeDir | 0o755}); err == nil {
				if checkCase(parent) != nil {
					parent.Remove(e)
				} else {
					dirs = append(dirs, e)
				}
			}
			continue
		}
		size := rng.IntN(1 << rng.IntN(15))
		if parent.Child(text) == nil {
			addFile(t, parent, text, strings.Repeat(string(rune('a'+rng.IntN(26))), size))
			if checkCase(parent) != nil {
				parent.Remove(parent.Child(text))
			}
		}
	}
	tree.Freeze()
	return tree
}

func TestWriteRandom(t *testing.T) {
	for seed := range uint64(8) {
		tree := randomTree(t, rand.New(rand.NewPCG(seed, 1)), 150)
		d, r := write(t, tree, params(testSize))
		verify(t, d, r, tree)
		again, _ := write(t, tree, params(testSize))
		if !again.Equal(d) {
			t.Errorf("seed %d: a second run wrote other bytes", seed)
		}
	}
}
