package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
)

// withSnapshots makes a disk whose system has snapshots of the home and of its root.
func withSnapshots(t *testing.T) string {
	t.Helper()
	s, err := smalldisk.New(loader.SystemdBoot)
	if err != nil {
		t.Fatal(err)
	}
	if err := loader.Put(s.Source, "etc/hostname", []byte("demo\n"), s.Plan.Epoch); err != nil {
		t.Fatal(err)
	}
	s.Params = func(p *btrfs.Params) {
		p.Free = 64 << 20
		p.Snapshots = append(p.Snapshots, btrfs.Snapshot{Source: "@", Path: "@.before"}, btrfs.Snapshot{Source: "@home", Path: "@home/.snapshots/monday"})
	}
	image := filepath.Join(t.TempDir(), "laptop.img")
	if _, err := s.Assemble(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	return image
}

// rescue runs the program and returns what it prints and its exit code.
func rescue(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), code
}

// mustRescue runs the program, which must end well, and returns its standard output.
func mustRescue(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := rescue(t, args...)
	if code != 0 {
		t.Fatalf("%q: code %d:\n%s%s", args, code, out, errs)
	}
	return out
}

func inventoryOf(t *testing.T, image string) (inv inventory.Inventory) {
	t.Helper()
	if err := json.Unmarshal([]byte(mustRescue(t, "inventory", "--json", "--image", image)), &inv); err != nil {
		t.Fatal(err)
	}
	return inv
}

// rootOf copies the root partition of an image to a file.
func rootOf(t *testing.T, image string) string {
	t.Helper()
	in, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(t.TempDir(), "root.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	at := inventoryOf(t, image).Systems[0].Root
	if _, err := io.Copy(out, io.NewSectionReader(in, at.Start, at.Size)); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}

func TestRollback(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "btrfs")
	image := withSnapshots(t)
	if out := mustRescue(t, "rollback", "--list", "--image", image); !strings.Contains(out, "snapshot  @.before") {
		t.Errorf("list:\n%s", out)
	}
	before, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"@.before", "--dry-run"}, {"@.before"}, {"@.none", "--yes"}, {"--yes"}, {"@.before", "--yes", "--subvolume", "@none"}} {
		_, errs, code := rescue(t, append([]string{"rollback", "--image", image}, args...)...)
		if dry := args[len(args)-1] == "--dry-run"; dry != (code == 0) || !dry && !strings.Contains(errs, "hint: ") {
			t.Errorf("%q: code %d\n%s", args, code, errs)
		}
	}
	if after, err := os.ReadFile(image); err != nil || !bytes.Equal(before, after) {
		t.Fatalf("the image was changed: %v", err)
	}

	var done rolledBack
	if err := json.Unmarshal([]byte(mustRescue(t, "rollback", "@.before", "--yes", "--json", "--image", image)), &done); err != nil {
		t.Fatal(err)
	}
	if done.Subvolume != "@" || done.Snapshot != "@.before" || !strings.HasPrefix(done.Old, "@.old-r") {
		t.Errorf("done: %+v", done)
	}
	imgtest.BtrfsCheck(t, rootOf(t, image), "original")
	// What was replaced is there to go back to.
	if out := mustRescue(t, "rollback", done.Old, "--yes", "--image", image); !strings.Contains(out, "@ is what "+done.Old+" was") {
		t.Errorf("output:\n%s", out)
	}
}

// TestRollbackByID refuses what would be mounted as before.
func TestRollbackByID(t *testing.T) {
	of := inventory.Subvolume{Path: "@home", ID: 257}
	for option, want := range map[string]bool{"subvolid=257": true, "subvolid=258": false, "subvolid=2570": false, "subvol=/@home": false} {
		for _, here := range []bool{true, false} {
			s := &inventory.System{Mounts: []inventory.Mount{{Line: 3, Here: here, Options: []string{"noatime", option}}}}
			if err := namedByID(s, of); (err != nil) != (want && here) {
				t.Errorf("%s, here %v: %v", option, here, err)
			}
		}
	}
}

// TestSwapfile makes the swapfile anew, and refuses where a session sleeps in it.
func TestSwapfile(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "btrfs")
	image := withSnapshots(t)
	before := inventoryOf(t, image).Systems[0]
	if before.Swapfile == nil {
		t.Fatal("there is no swapfile to begin with")
	}
	if out := mustRescue(t, "swapfile", "--image", image, "--dry-run", "--size", "1048576", "--json"); out != "" {
		t.Errorf("a dry run printed:\n%s", out)
	}
	var done swapped
	if err := json.Unmarshal([]byte(mustRescue(t, "swapfile", "--image", image, "--yes", "--size", "1048576", "--json")), &done); err != nil {
		t.Fatal(err)
	}
	after := inventoryOf(t, image).Systems[0].Swapfile
	if after.Size != 1<<20 || after.Offset != done.Offset || after.Problem != "" || after.UUID != before.Swapfile.UUID || done.Size != after.Size {
		t.Errorf("swapfile %+v, told %+v; before %+v", after, done, before.Swapfile)
	}
	imgtest.BtrfsCheck(t, rootOf(t, image), "original")
	for _, tt := range []struct {
		size string
		code fault.Class
		want string
	}{{"1EB", fault.Config, "expected"}, {"1073741824", fault.Target, "hint: --size BYTES"}} {
		if _, errs, code := rescue(t, "swapfile", "--image", image, "--yes", "--size", tt.size); code != int(tt.code) || !strings.Contains(errs, tt.want) {
			t.Errorf("--size %s: code %d\n%s", tt.size, code, errs)
		}
	}
	page := swaparea.New(1<<20, ids.UUID{1}, "")
	copy(page[len(page)-len(swaparea.Signature):], swaparea.HibernateSignature+"\x00")
	write(t, image, before.Root.Start+after.Offset*swaparea.PageSize, page)
	for _, args := range [][]string{{"swapfile", "--size", "1048576"}, {"rollback", "@.before"}, {"enter", "--", "true"}} {
		if _, errs, code := rescue(t, append([]string{args[0], "--image", image, "--yes"}[:3:3], args[1:]...)...); code != int(fault.Target) || !strings.Contains(errs, "a session sleeps") {
			t.Errorf("%q: code %d\n%s", args, code, errs)
		}
	}
}

// TestBootTable loses the first copy of the table of partitions.
func TestBootTable(t *testing.T) {
	image, manifest := laptop(t)
	want := readTable(t, image)
	if out := mustRescue(t, "boot", "--image", image, "--manifest", manifest, "--yes"); !strings.Contains(out, "is as it should be") {
		t.Errorf("of a disk that starts:\n%s", out)
	}
	erase(t, image, 0, 64<<10)
	if _, errs, code := rescue(t, "boot", "--image", image, "--manifest", manifest); code != int(fault.Usage) || !strings.Contains(errs, "--yes") {
		t.Errorf("unasked: code %d\n%s", code, errs)
	}
	out := mustRescue(t, "boot", "--image", image, "--manifest", manifest, "--yes")
	if got := readTable(t, image); !strings.Contains(out, "done: ") || cmp.Diff(want, got) != "" {
		t.Errorf("the table is %+v, expected %+v:\n%s", got, want, out)
	}
}

func readTable(t *testing.T, image string) *gpt.Table {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	table, _, err := gpt.Read(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func erase(t *testing.T, image string, at, n int64) {
	t.Helper()
	write(t, image, at, make([]byte, n))
}

func write(t *testing.T, image string, at int64, data []byte) {
	t.Helper()
	f, err := os.OpenFile(image, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, at); err != nil {
		t.Fatal(err)
	}
}
