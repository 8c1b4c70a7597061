package imgtest

import (
	"os"
	"strings"
	"testing"
)

const (
	cleanStdout = `Opening filesystem to check...
Checking filesystem on x.img
UUID: 7aa3d6d5-7ca6-416f-bec6-12a8d09100f4
found 147456 bytes used, no error found
total csum bytes: 0
total tree bytes: 147456
total fs tree bytes: 32768
total extent tree bytes: 16384
btree space waste bytes: 140530
file data blocks allocated: 0
 referenced 0
`
	cleanStderr = `[1/8] checking log skipped (none written)
[2/8] checking root items
[3/8] checking extents
[4/8] checking free space tree
[5/8] checking fs roots
[6/8] checking csums against data
[7/8] checking root refs
[8/8] checking quota groups skipped (not enabled on this FS)
`
	cleanStderr62 = `[1/7] checking root items
[2/7] checking extents
[3/7] checking free space tree
[4/7] checking fs roots
[5/7] checking csums against data
[6/7] checking root refs done with fs roots in lowmem mode, skipping
[7/7] checking quota groups skipped (not enabled on this FS)
`
	cannotTell = "WARNING: cannot check mount status of x.img, the filesystem could be mounted, continuing because of --force\n"
)

func TestUnlike(t *testing.T) {
	for _, ok := range []struct {
		out      string
		patterns []string
	}{{cleanStdout, checkStdout}, {cleanStderr, checkStderr}, {cleanStderr62, checkStderr}, {cannotTell + cleanStderr, checkStderr}} {
		if p := unlike("x", ok.out, ok.patterns); p != nil {
			t.Errorf("a clean output is refused: %q", p)
		}
		lines := strings.SplitAfter(ok.out, "\n")
		for i := range lines {
			before, after := strings.Join(lines[:i], ""), strings.Join(lines[i:], "")
			if p := unlike("x", before+"WARNING: something\n"+after, ok.patterns); p == nil {
				t.Errorf("a line more, in place %d, is not seen", i)
			}
			if i > 0 && i < len(lines)-1 && !strings.Contains(lines[i], "[1/8]") {
				if p := unlike("x", before+strings.Join(lines[i+1:], ""), ok.patterns); p == nil {
					t.Errorf("line %q less is not seen", lines[i])
				}
				if p := unlike("x", before+strings.TrimSuffix(lines[i], "\n")+" (!)\n"+strings.Join(lines[i+1:], ""), ok.patterns); p == nil && !strings.Contains(lines[i], "Checking filesystem on") {
					t.Errorf("words behind %q are not seen", lines[i])
				}
			}
		}
		if p := unlike("x", "", ok.patterns); p == nil {
			t.Error("no output at all is not seen")
		}
	}
}

// TestBtrfsCheckSeesDamage flips bytes in places that each mode must notice.
func TestBtrfsCheckSeesDamage(t *testing.T) {
	NeedRoot(t)
	image := mkfs(t, 256<<20)
	m := MountImage(t, image, MountOptions{})
	const text = "a text that is long enough not to be inline, found by its first words "
	if err := os.WriteFile(m.Dir+"/f", []byte(strings.Repeat(text, 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	m.Unmount(t)
	BtrfsCheck(t, image)
	whole, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(whole), text)
	tests := []struct {
		name string
		off  int64
	}{{"data", int64(at)}, {"super block", 64<<10 + 100}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			flip(t, image, tt.off)
			defer flip(t, image, tt.off)
			for _, mode := range []string{"original", "lowmem"} {
				if p := btrfsCheck(mode, image); p == nil {
					t.Errorf("mode %s: sees nothing", mode)
				}
			}
		})
	}
	BtrfsCheck(t, image)
}

// flip inverts one byte of a file.
func flip(t *testing.T, path string, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] = ^b[0]
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
}
