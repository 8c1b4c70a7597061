package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/manifest"
)

// killPoints is at how many moments of a build, evenly spread, it is killed.
const killPoints = 20

// killStep is the step in which a test goes through killPoints. What a build of any
// form does is what one of a raw image does, until it gives the form: those of
// other forms are killed at every third moment.
func killStep(output string) int {
	if filepath.Ext(output) != ".img" && !imgtest.Full() {
		return 3
	}
	return imgtest.Stride(3)
}

// smallBuild runs builds of one small system in a folder.
type smallBuild struct {
	t       *testing.T
	program string
	dir     string // working directory; the system is its "system"
	env     []string
}

func newSmallBuild(t *testing.T) *smallBuild {
	t.Helper()
	imgtest.NeedSystem(t)
	b := &smallBuild{t: t, dir: t.TempDir()}
	b.program = program(t, t.TempDir())
	if err := imgtest.System(filepath.Join(b.dir, "system")); err != nil {
		t.Fatal(err)
	}
	return b
}

// command is a build of the output, which ends when ctx does, by SIGKILL.
func (b *smallBuild) command(ctx context.Context, output string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.program, "build", "bandit-minimal", "--quiet", "--source", "dir:system", "--owner", "0:0",
		"--cache-dir", "cache", "-o", output)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), b.env...)
	return cmd
}

// build makes the output and fails the test when that does not succeed.
func (b *smallBuild) build(output string) {
	b.t.Helper()
	if out, err := b.command(b.t.Context(), output).CombinedOutput(); err != nil {
		b.t.Fatalf("%s: %v\n%s", output, err, out)
	}
}

// digest returns a text that says what a file holds, "" when there is none.
// Holes of an image are not read.
func (b *smallBuild) digest(name string) string {
	b.t.Helper()
	f, err := os.Open(filepath.Join(b.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		b.t.Fatal(err)
	}
	chunks, err := manifest.Digest(b.t.Context(), f, info.Size(), manifest.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprintf("%d bytes: %v", info.Size(), chunks)
}

// partials returns the files that a build left under a temporary name.
func (b *smallBuild) partials() []string {
	b.t.Helper()
	names, err := filepath.Glob(filepath.Join(b.dir, "*"+partialSuffix))
	if err != nil {
		b.t.Fatal(err)
	}
	return names
}

// killed starts a build, kills it after a while and reports whether it was
// still running then.
func (b *smallBuild) killed(after time.Duration, output string) bool {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), after)
	defer cancel()
	err := b.command(ctx, output).Run()
	if err != nil && ctx.Err() == nil {
		b.t.Fatalf("%s: %v before it was killed", output, err)
	}
	return err != nil
}

// TestBuildKilled kills builds at moments all over their time. The output is
// then missing, or complete; with an older image under its name it is that one
// or the new one. The next run succeeds and leaves nothing else.
func TestBuildKilled(t *testing.T) {
	imgtest.Need(t, "qemu-img")
	shared := newSmallBuild(t)
	for _, output := range []string{"disk.img", "disk.img.zst", "disk.qcow2"} {
		t.Run(output, func(t *testing.T) {
			b := *shared
			b.t = t
			b.build(output) // the first has cold caches
			began := time.Now()
			b.build(output)
			whole := time.Since(began)
			good, described := b.digest(output), b.digest(output+manifest.Suffix)
			caught, tried := 0, 0
			for i := killStep(output) / 2; i < killPoints; i += killStep(output) {
				tried++
				name, before := filepath.Join(b.dir, output), ""
				if err := errors.Join(os.RemoveAll(name), os.RemoveAll(name+manifest.Suffix)); err != nil {
					t.Fatal(err)
				}
				if i%2 == 1 {
					if err := os.WriteFile(name, []byte("an older image"), 0o644); err != nil {
						t.Fatal(err)
					}
					before = b.digest(output)
				}
				if b.killed(whole*time.Duration(i)/killPoints, output) {
					caught++
				}
				got := b.digest(output)
				if got != before && got != good {
					t.Errorf("killed at %d/%d: neither what was there nor the complete image", i, killPoints)
				}
				if got == good && b.digest(output+manifest.Suffix) != described {
					t.Errorf("killed at %d/%d: the image has its name before its manifest has", i, killPoints)
				}
			}
			t.Logf("a build takes %v; %d of %d were still running when they were killed", whole, caught, tried)
			if caught < tried/2 {
				t.Errorf("%d of %d builds were still running when they were killed", caught, tried)
			}
			b.build(output)
			if left := b.partials(); b.digest(output) != good || len(left) > 0 {
				t.Errorf("the next run: equal to the first %t, left %v", b.digest(output) == good, left)
			}
		})
	}
}
