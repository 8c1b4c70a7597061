package health

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// scrub scrubs an image; the kernel says what is expected.
func scrub(t *testing.T, image string, readOnly bool, expect ...string) *Scrub {
	t.Helper()
	options := imgtest.MountOptions{Expect: expect}
	if readOnly {
		options.Options = []string{"ro"}
	}
	m := imgtest.MountImage(t, image, options)
	var last int64
	s, err := RunScrub(t.Context(), m.Dir, readOnly, func(done, total int64) {
		if done < last || done > total {
			t.Errorf("progress: %d of %d after %d", done, total, last)
		}
		last = done
	})
	must(t, err)
	m.Unmount(t)
	if last != s.Bytes || s.Bytes < 3<<20 {
		t.Errorf("progress ended at %d; %d bytes were read", last, s.Bytes)
	}
	return s
}

func TestClean(t *testing.T) {
	image := newImage(t)
	if r := checkImage(t, image); r.Verdict != OK || r.Found != 0 || r.Files == nil || r.Bytes < 3<<20 {
		t.Errorf("%+v", r)
	}
	for _, readOnly := range []bool{true, false} {
		if s := scrub(t, image, readOnly); s.Verdict != OK || s.ReadOnly != readOnly {
			t.Errorf("%+v", s)
		}
	}
	second, err := BtrfsCheck(t.Context(), "btrfs", image)
	if err != nil || !second.Clean || !strings.Contains(second.Text, "no error found") {
		t.Errorf("%+v, %v", second, err)
	}
}

// TestData damages a sector of a file, which a snapshot has too, and one of a
// compressed file: both name the files as the kernel does.
func TestData(t *testing.T) {
	image := newImage(t)
	d := open(t, image)
	d.flip(t, d.at(t, "@home/alice/big", 1<<20+5))
	d.flip(t, d.at(t, "@home/alice/packed", 131072))
	r := checkImage(t, image)
	const want = "@home:alice/big[{1048576 4096}] @home:alice/packed[{131072 110592}]"
	if r.Verdict != Failing || r.Lost != 2*4096 || r.FileNum != 4 || r.Healable != 0 || r.Blocks != 0 || !strings.Contains(r.names(), want) || !strings.Contains(r.names(), "before:alice/big[{1048576 4096}]") {
		t.Errorf("%+v\n%s; want %s", r, r.names(), want)
	}
	for _, readOnly := range []bool{true, false} {
		s := scrub(t, image, readOnly, `path: alice/big\)`, `path: alice/packed\)`, "unable to fixup", "errs: ")
		if s.Verdict != Failing || s.Csum != 2 || s.Uncorrectable != 2 || s.Corrected != 0 {
			t.Errorf("read-only %v: %+v", readOnly, s)
		}
	}
}

// TestOneCopy damages a tree block in one copy: a scrub that may not write says so,
// one that may heals it.
func TestOneCopy(t *testing.T) {
	image := newImage(t)
	d := open(t, image)
	d.flip(t, d.leaf(t)[0]+1000)
	node := int64(d.fs.Super().NodeSize)
	if r := checkImage(t, image); r.Verdict != Warn || r.Healable != node || r.Lost != 0 || r.Blocks != 0 || len(r.Findings) == 0 || !strings.Contains(r.Reason, "heals") {
		t.Errorf("%+v", r)
	}
	before, err := os.ReadFile(image)
	must(t, err)
	if s := scrub(t, image, true, "tree block .* has bad csum", "fixed up error"); s.Verdict != Warn || s.Csum+s.Verify == 0 || s.Corrected != 0 || s.Uncorrectable != 0 {
		t.Errorf("read-only: %+v", s)
	}
	after, err := os.ReadFile(image)
	must(t, err)
	if string(before) != string(after) {
		t.Error("a scrub that may not write has written")
	}
	if s := scrub(t, image, false, "tree block .* has bad csum", "fixed up error"); s.Verdict != Warn || s.Corrected == 0 || s.Uncorrectable != 0 {
		t.Errorf("%+v", s)
	}
	if r := checkImage(t, image); r.Verdict != OK {
		t.Errorf("healed: %+v", r)
	}
}

// TestBothCopies damages a tree block in both copies.
func TestBothCopies(t *testing.T) {
	image := newImage(t)
	d := open(t, image)
	for _, at := range d.leaf(t) {
		d.flip(t, at+1000)
	}
	if r := checkImage(t, image); r.Verdict != Failing || r.Blocks != 1 || r.Lost != 0 || r.Healable != 0 {
		t.Errorf("%+v", r)
	}
	if s := scrub(t, image, false, "tree block .* has bad csum", "unable to fixup", "header error"); s.Verdict != Failing || s.Uncorrectable == 0 || s.Corrected != 0 {
		t.Errorf("%+v", s)
	}
	second, err := BtrfsCheck(t.Context(), "btrfs", image)
	if err != nil || second.Clean {
		t.Errorf("%+v, %v", second, err)
	}
}

func TestScrubRefused(t *testing.T) {
	imgtest.NeedRoot(t)
	if _, err := RunScrub(t.Context(), "/proc", true, nil); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "is no mounted btrfs") {
		t.Error(err)
	}
	if _, err := RunScrub(t.Context(), t.TempDir()+"/x", true, nil); fault.ClassOf(err) != fault.Input {
		t.Error(err)
	}
	dir := imgtest.Mount(t, newImage(t), "ro")
	if _, err := RunScrub(t.Context(), dir, false, nil); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "is mounted read-only") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := RunScrub(ctx, dir, true, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := BtrfsCheck(t.Context(), "no-such-program", dir); fault.ClassOf(err) != fault.Input {
		t.Error(err)
	}
	if _, err := CheckBtrfs(t.Context(), strings.NewReader("x"), 1, true, nil); fault.ClassOf(err) != fault.Input {
		t.Error(err)
	}
}

func TestDamagesLimit(t *testing.T) {
	for _, tt := range []struct {
		n    int
		over bool
	}{{maxBad - 1, false}, {maxBad, false}, {maxBad + 1, true}} {
		d := damages{copies: make(map[ondisk.Logical]copies, maxBad)}
		for i := range tt.n {
			d.add(readerDamage(i))
		}
		d.add(readerDamage(0)) // is known already
		if d.over != tt.over || len(d.copies) != min(tt.n, maxBad) {
			t.Errorf("%d places: over %v, %d kept", tt.n, d.over, len(d.copies))
		}
	}
}

func TestTail(t *testing.T) {
	for _, n := range []int{maxTail - 1, maxTail, maxTail + 1, 3 * maxTail} {
		var out tail
		for range n {
			out.Write([]byte("x"))
		}
		out.Write([]byte(strings.Repeat("y", n)))
		if len(out.b) > maxTail || !strings.HasSuffix(out.String(), "yyy") {
			t.Errorf("%d bytes: %d kept", n, len(out.b))
		}
	}
}
