package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// writeSmall makes an image of a small system that change may alter before.
func writeSmall(t testing.TB, p *plan.Plan, in Inputs, change func(dir string)) (string, *Result, error) {
	t.Helper()
	imgtest.NeedSystem(t)
	dir := filepath.Join(t.TempDir(), "system")
	if err := imgtest.System(dir); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(dir)
	}
	src, err := source.Open(t.Context(), source.Spec{Kind: source.Dir, Value: dir}, source.Options{Owner: &fstree.Owner{}})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in.Tree, in.Version = src.Tree, "test"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if c, ok := in.Progress.(*canceller); ok {
		c.cancel = cancel
	}
	result, err := Write(ctx, Target{f, f, f.Truncate}, p, in)
	return f.Name(), result, err
}

// canceller cancels a run when it comes to a stage, and notes all stages.
type canceller struct {
	at     builder.Stage
	cancel func()
	stages []builder.Stage
}

// Report implements builder.Progress.
func (c *canceller) Report(stage builder.Stage, _, _ int64) {
	if len(c.stages) == 0 || c.stages[len(c.stages)-1] != stage {
		c.stages = append(c.stages, stage)
	}
	if stage == c.at {
		c.cancel()
	}
}

// TestResult checks what a build says of itself against the plan.
func TestResult(t *testing.T) {
	p := planOf(t, "bandit-minimal", "")
	name, r, err := writeSmall(t, p, Inputs{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Size() != r.Size || r.Table.DiskSize != r.Size || r.Manifest.Image.Size != r.Size {
		t.Errorf("file %v, result %d, table %d, manifest %d: want one size (%v)", info.Size(), r.Size, r.Table.DiskSize, r.Manifest.Image.Size, err)
	}
	root := p.Partition(plan.RoleRoot)
	if got := r.Root.FSID.String(); got != root.FSID {
		t.Errorf("fsid %s; the plan says %s", got, root.FSID)
	}
	if got := r.ESP.UUID; got != p.Partition(plan.RoleESP).FSID {
		t.Errorf("ESP %s; the plan says %s", got, p.Partition(plan.RoleESP).FSID)
	}
	if len(r.Kernels) != 1 || r.Kernels[0].Version != "6.1.0" || len(r.Manifest.Inputs.Kernels) != 1 {
		t.Errorf("kernels %v, in the manifest %v; want 6.1.0", r.Kernels, r.Manifest.Inputs.Kernels)
	}
	if r.Manifest.Swapfile == nil || r.Manifest.Swapfile.ResumeOffset == 0 {
		t.Errorf("swapfile %v; want one with an offset", r.Manifest.Swapfile)
	}
}

// TestSizes makes the smallest disk, and disks of a size that is asked for.
func TestSizes(t *testing.T) {
	p := planOf(t, "bandit-minimal", "")
	_, least, err := writeSmall(t, p, Inputs{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{least.Size - 512<<20, least.Size, least.Size + 1<<30} {
		asked, err := plan.Make(p.Profile, p.Layout, plan.Options{Size: size})
		if err != nil {
			t.Fatal(err)
		}
		if _, r, err := writeSmall(t, asked, Inputs{}, nil); err != nil || r.Size != size {
			t.Errorf("size %d: %v, %v", size, r, err)
		}
	}
	small, err := plan.Make(p.Profile, p.Layout, plan.Options{Size: least.Size - 940<<20})
	if err != nil {
		t.Fatal(err)
	}
	noise := func(dir string) { // more than that leaves
		if err := os.WriteFile(filepath.Join(dir, "home/noise"), halfRandom(400<<20), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := writeSmall(t, small, Inputs{}, noise); fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "needs") {
		t.Errorf("too small: %v; want a target error that says what is needed", err)
	}
}

// TestRefused are builds that end before the long part of the work.
func TestRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(dir string)
		class  fault.Class
		text   string
	}{
		{"no kernel", func(dir string) { os.Remove(filepath.Join(dir, "boot/vmlinuz-6.1.0")) }, fault.Input, "6.1.0"},
		{"no boot loader", func(dir string) { os.RemoveAll(filepath.Join(dir, "usr/lib/systemd/boot")) }, fault.Input, "systemd-boot"},
		{"ESP too small", func(dir string) { os.Truncate(filepath.Join(dir, "boot/vmlinuz-6.1.0"), 200<<20) }, fault.Target, "linux"},
		{"no module", func(dir string) { os.Truncate(filepath.Join(dir, "usr/lib/modules/6.1.0/modules.builtin"), 0) }, fault.Input, "nvme"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			progress := &canceller{}
			p := planOf(t, "bandit-minimal", "")
			p.Layout.ESP.Size = 128 << 20
			p, err := plan.Make(p.Profile, p.Layout, plan.Options{})
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = writeSmall(t, p, Inputs{Progress: progress}, test.change)
			if err == nil || fault.ClassOf(err) != test.class || !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v of class %d; want class %d and %q", err, fault.ClassOf(err), test.class, test.text)
			}
			for _, stage := range progress.stages {
				if stage == builder.StageWrite {
					t.Error("found only after the root file system was written")
				}
			}
		})
	}
}

// changed is the content of a file that was seen to change while it was open.
type changed struct{ fstree.Content }

var errChanged = errors.New("changed while it was read")

// Open implements fstree.Content.
func (c changed) Open(e *fstree.Entry) (fstree.File, error) {
	f, err := c.Content.Open(e)
	return changedFile{f}, err
}

type changedFile struct{ fstree.File }

// Close implements fstree.File.
func (f changedFile) Close() error { return errors.Join(f.File.Close(), errChanged) }

// TestKernelChanged does not take the digest of a kernel that changed.
func TestKernelChanged(t *testing.T) {
	image, err := fstree.New().Root().Add("vmlinuz", &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: 1, Content: changed{fstree.Bytes("x")}})
	if err != nil {
		t.Fatal(err)
	}
	b := &build{boot: []loader.Kernel{{Version: "6.1.0", Image: image}}}
	if _, err := b.digests(); !errors.Is(err, errChanged) || !strings.HasPrefix(err.Error(), "kernel 6.1.0: ") {
		t.Errorf("digests: %v; want kernel 6.1.0 to have changed", err)
	}
}

// TestNixOS makes an image of a source that makes its /etc when it boots.
func TestNixOS(t *testing.T) {
	store := func(dir string) {
		if err := os.Remove(filepath.Join(dir, "usr/lib/systemd/systemd")); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "nix/store/x-nixos-system"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p := planOf(t, "bandit-minimal", "")
	if _, _, err := writeSmall(t, p, Inputs{}, store); err != nil {
		t.Error(err)
	}
}

// TestCancelled ends at every stage when the run is cancelled there.
func TestCancelled(t *testing.T) {
	whole := &canceller{}
	p := planOf(t, "bandit-minimal", "")
	if _, _, err := writeSmall(t, p, Inputs{Progress: whole}, nil); err != nil {
		t.Fatal(err)
	}
	if len(whole.stages) < 6 {
		t.Fatalf("stages %v: want at least six", whole.stages)
	}
	for _, stage := range whole.stages {
		if _, _, err := writeSmall(t, p, Inputs{Progress: &canceller{at: stage}}, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at %s: %v", stage, err)
		}
	}
}
