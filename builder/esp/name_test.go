package esp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestShortNames shows which short names the names of a directory get.
func TestShortNames(t *testing.T) {
	tests := []struct {
		name, in string // names separated by slashes
		want     string
	}{
		{"8.3", "BOOTX64.EFI/A/ABCDEFGH.ABC/A!#$%&'().-@^/_`{}~.TXT", "BOOTX64 EFI/A          /ABCDEFGHABC/A!#$%&~1-@^/_`{}~   TXT"},
		{"lower case", "linux.efi/EFI.txt/Efi", "LINUX   EFI/EFI     TXT/EFI        "},
		{"taken by a later one in lower case", "foo bar.txt/foobar~1.txt", "FOOBAR~2TXT/FOOBAR~1TXT"},
		{"taken by an earlier one in lower case", "longna~1/long name", "LONGNA~1   /LONGNA~2   "},
		{"too long", "ABCDEFGHI/A.ABCD/ABCDEFGH.ABCD", "ABCDEF~1   /A~1     ABC/ABCDEF~1ABC"},
		{"kernels", "6.1.0-56-amd64/6.1.0-57-amd64", "61~1    0-5/61~2    0-5"},
		{"dots", ".a/..a/a.b.c/a..b", "A~1        /A~2        /AB~1    C  /A~1     B  "},
		{"spaces", "a b/ a/A.B C", "AB~1       /A~1        /A~1     BC "},
		{"odd characters", "a+b/ä/世界.txt/+", "A_B~1      /_~1        /__~1    TXT/_~2        "},
		{"nothing left", ".+/. a", "_~1        /A~1        "},
		{"number is taken", "ABCDEF~1/abcdefghi/ABCDEF~2/abcdefghij", "ABCDEF~1   /ABCDEF~3   /ABCDEF~2   /ABCDEF~4   "},
		{"taken by a later one", "aaaaaaaaaa/AAAAAA~1", "AAAAAA~2   /AAAAAA~1   "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			names := strings.Split(test.in, "/")
			var children []*fstree.Entry
			for _, n := range names {
				children = append(children, &fstree.Entry{Name: n})
			}
			a := newAliases(children)
			var got []string
			for _, n := range names {
				s := a.alias(n)
				got = append(got, string(s[:]))
			}
			if s := strings.Join(got, "/"); s != test.want {
				t.Errorf("short names of %s:\n%s; want\n%s", test.in, s, test.want)
			}
		})
	}
}

// TestAliasesCollide gives thousands of names with the same beginning their
// short names.
func TestAliasesCollide(t *testing.T) {
	a := newAliases(nil)
	seen := map[shortName]bool{}
	for i := range 120_000 {
		s := a.alias(fmt.Sprintf("a very long name %d.conf", i))
		if seen[s] || !strings.Contains(string(s[:8]), "~") || string(s[8:]) != "CON" {
			t.Fatalf("alias %d is %q, seen before: %v", i, s, seen[s])
		}
		seen[s] = true
	}
	for _, want := range []string{"AVERYL~1CON", "AVERYL~9CON", "AVERY~10CON", "AVERY~99CON", "AVER~100CON", "AV~99999CON", "A~100000CON"} {
		if !seen[shortName([]byte(want))] {
			t.Errorf("nobody has the alias %q", want)
		}
	}
}

func TestWideDirectory(t *testing.T) {
	tree := fstree.New()
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 600 {
		addFile(t, tree.Root(), fmt.Sprintf("kernel-6.%d.%d-generic.conf", i, rng.Uint32()), "x")
		addFile(t, tree.Root(), fmt.Sprintf("KERNEL~%d.CON", i), "y")
	}
	tree.Freeze()
	d, r := write(t, tree, params(testSize))
	verify(t, d, r, tree)
}

// TestNameLengths writes names of all lengths around the limits of the parts
// of a long name.
func TestNameLengths(t *testing.T) {
	files := map[string]string{}
	for _, n := range []int{1, 2, 8, 9, 11, 12, 13, 14, 25, 26, 27, 39, 40, 254, 255} {
		files[strings.Repeat("n", n)] = fmt.Sprint(n)
		files["d/"+strings.Repeat("ä", n)] = fmt.Sprint(n)
		if n%2 == 0 {
			files["s/"+strings.Repeat("\U0001f600", n/2)] = fmt.Sprint(n)
		}
	}
	tree := treeOf(t, files)
	d, r := write(t, tree, params(testSize))
	fsck(t, d.File(t), r)
	readBack(t, d, tree)
}

func TestRefusedNames(t *testing.T) {
	long := strings.Repeat("\U0001f600", 127)
	tests := []struct{ name, in, want string }{
		{"255 units", long + "x", ""},
		{"256 units", long + "xy", "a name of 256 UTF-16 units, expected at most 255"},
		{"256 bytes", strings.Repeat("ä", 128), ""},
		{"control", "a\x1f", `'\x1f' is not allowed`},
		{"newline", "a\nb", `'\n' is not allowed`},
		{"delete", "a\x7f", ""},
		{"quote", `a"`, `'"' is not allowed`},
		{"star", "a*", "'*' is not allowed"},
		{"colon", "a:b", "':' is not allowed"},
		{"less", "a<b", "'<' is not allowed"},
		{"more", "a>b", "'>' is not allowed"},
		{"question", "a?b", "'?' is not allowed"},
		{"backslash", `a\b`, `'\\' is not allowed`},
		{"bar", "a|b", "'|' is not allowed"},
		{"padding", "a\uffff", `'\uffff' is not allowed`},
		{"dot at the end", "a.", "cannot end with '.'"},
		{"space at the end", "a ", "cannot end with ' '"},
		{"dots", "...", "cannot end with '.'"},
		{"not UTF-8", "a\xff", "the name is not UTF-8"},
		{"allowed", "a+,;=[]b 'c' {d} ~é", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree := fstree.New()
			addFile(t, tree.Root(), test.in, "x")
			d := imgtest.NewMemDisk(testSize)
			r, err := Write(context.Background(), d, tree, params(testSize))
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				fsck(t, d.File(t), r)
				readBack(t, d, tree)
				return
			}
			if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), test.want) || d.Calls > 0 {
				t.Errorf("Write: %v, %d writes; want %q and none", err, d.Calls, test.want)
			}
		})
	}
}

func TestRefusedTrees(t *testing.T) {
	file := func(size int64) *fstree.Inode { return &fstree.Inode{Mode: fstree.TypeRegular, Size: size} }
	tests := []struct {
		name string
		add  map[string]*fstree.Inode
		want string
	}{
		{"case", map[string]*fstree.Inode{"Readme": file(0), "README": file(0)}, "Readme: FAT32 cannot hold it beside README, the names differ in case only"},
		{"case of others", map[string]*fstree.Inode{"ÄΣ": file(0), "äς": file(0)}, "differ in case only"},
		{"symlink", map[string]*fstree.Inode{"l": {Mode: fstree.TypeSymlink, Link: "x", Size: 1}}, "l: FAT32 cannot hold it: it is a symlink"},
		{"device", map[string]*fstree.Inode{"null": {Mode: fstree.TypeChar}}, "it is a character device"},
		{"fifo", map[string]*fstree.Inode{"f": {Mode: fstree.TypeFIFO}}, "it is a FIFO"},
		{"4 GiB", map[string]*fstree.Inode{"f": file(1 << 32)}, "a file of 4294967296 bytes, expected at most 4294967295"},
		{"negative", map[string]*fstree.Inode{"f": file(-1)}, "a regular file of -1 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree := fstree.New()
			for name, inode := range test.add {
				if _, err := tree.Root().Add(name, inode); err != nil {
					t.Fatal(err)
				}
			}
			d := imgtest.NewMemDisk(testSize)
			_, err := Write(context.Background(), d, tree, params(testSize))
			if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), test.want) || d.Calls > 0 {
				t.Errorf("Write: %v, %d writes; want %q and none", err, d.Calls, test.want)
			}
		})
	}
}

// TestDirectoryLimit fills a directory to its 65536 entries, and over.
func TestDirectoryLimit(t *testing.T) {
	tree := fstree.New()
	dir, err := tree.MkdirAll("dir", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxDirSlots - 2 { // "." and ".."
		addFile(t, dir, fmt.Sprintf("%08X", i), "")
	}
	d, _ := write(t, tree, params(testSize)) // fsck.fat takes minutes for it
	f, err := reader.Open(d, d.Size())
	if err != nil {
		t.Fatal(err)
	}
	if problems := f.Check(context.Background()); len(problems) > 0 {
		t.Errorf("problems: %.10v", problems)
	}
	if entries, err := f.ReadDir("dir"); err != nil || len(entries) != maxDirSlots-2 {
		t.Errorf("%d entries, %v; want %d", len(entries), err, maxDirSlots-2)
	}
	addFile(t, dir, "ONEMORE", "")
	_, err = Write(context.Background(), d, tree, params(testSize))
	if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "dir: FAT32 cannot hold it: its names take 65537 directory entries, expected at most 65536") {
		t.Errorf("Write: %v; want a directory that is too large", err)
	}
}
