package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/source"
	"github.com/6FaNcY9/mkimage/builder/sparse"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// planOf returns the plan of a built-in profile, on another layout if one is
// named.
func planOf(t testing.TB, profile, layout string) *plan.Plan {
	t.Helper()
	p, _, err := profiles.Load().Resolve(profile, nil)
	if err != nil {
		t.Fatal(err)
	}
	if layout != "" {
		p.Layout = layout
	}
	l, _, err := layouts.Load().Resolve(p.Layout, nil)
	if err != nil {
		t.Fatal(err)
	}
	made, err := plan.Make(p, l, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// writeReference makes an image of the reference userland.
func writeReference(t testing.TB, p *plan.Plan, workers int) (string, *Result) {
	t.Helper()
	u := userland.Reference(t)
	src, err := source.Open(t.Context(), source.Spec{Kind: source.Tar, Value: u.Tar}, source.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	name := filepath.Join(t.TempDir(), "disk.img")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	result, err := Write(t.Context(), Target{f, f, f.Truncate}, p, Inputs{Tree: src.Tree, Digest: "test", Version: "test", Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	return name, result
}

// digest returns a text that says what a file holds, of which holes are not read.
func digest(t testing.TB, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	chunks, err := manifest.Digest(t.Context(), f, info.Size(), manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(fmt.Append(nil, info.Size(), chunks))
	return hex.EncodeToString(sum[:])
}

// part copies what is not zeros of a partition into a file of its own, for
// programs that know no offsets.
func part(t testing.TB, image string, start, size int64) string {
	t.Helper()
	in, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(t.TempDir(), "part"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.Truncate(size); err != nil {
		t.Fatal(err)
	}
	buf, zeros := make([]byte, 1<<20), make([]byte, 1<<20)
	holes := sparse.Of(in, start+size)
	for at := int64(0); at < size; at += int64(len(buf)) {
		b := buf[:min(int64(len(buf)), size-at)]
		if hole, err := holes.Covers(start+at, int64(len(b))); err != nil || hole {
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		if _, err := in.ReadAt(b, start+at); err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(b, zeros[:len(b)]) {
			continue
		}
		if _, err := out.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
	}
	return out.Name()
}

// TestReference makes an image of a whole system, which the programs of others
// find in order, and makes it again with another number of workers.
func TestReference(t *testing.T) {
	imgtest.NeedRoot(t) // for the reference userland
	imgtest.Need(t, "sgdisk", "fsck.fat")
	p := planOf(t, "bandit-minimal", "")
	name, result := writeReference(t, p, 1)
	again, _ := writeReference(t, p, 3)
	if a, b := digest(t, name), digest(t, again); a != b {
		t.Errorf("one worker gives %s, three give %s", a, b)
	}
	out, err := exec.CommandContext(t.Context(), "sgdisk", "-v", name).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "No problems found") {
		t.Errorf("sgdisk: %v\n%s", err, out)
	}
	esp := result.Manifest.Partition("esp")
	if out, err := exec.CommandContext(t.Context(), "fsck.fat", "-n", part(t, name, esp.Start, esp.Size)).CombinedOutput(); err != nil {
		t.Errorf("fsck.fat: %v\n%s", err, out)
	}
	root := result.Manifest.Partition("root")
	imgtest.BtrfsCheck(t, part(t, name, root.Start, root.Size))
}
