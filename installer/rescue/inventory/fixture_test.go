package inventory

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

var update = flag.Bool("update", false, "write the golden files anew")

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testDisk is a disk in a file, that a test may damage.
type testDisk struct {
	t    testing.TB
	name string
	made *manifest.Manifest
	plan *plan.Plan
}

// parts are those of a small system with homes, a snapshot of them, a system that was
// there before, and a swapfile.
func parts(t testing.TB, loaderName string) *smalldisk.Parts {
	t.Helper()
	s, err := smalldisk.New(loaderName)
	must(t, err)
	for name, text := range map[string]string{"etc/hostname": "demo\n", "sbin/init": "program"} {
		must(t, loader.Put(s.Source, name, []byte(text), s.Plan.Epoch))
	}
	s.Params = func(p *btrfs.Params) {
		p.Subvolumes = append(p.Subvolumes, btrfs.Subvolume{Path: "@.old-i1", Empty: true}, btrfs.Subvolume{Path: "@var.new-i2", Empty: true}, btrfs.Subvolume{Path: "@.olden", Empty: true})
		p.Snapshots = append(p.Snapshots, btrfs.Snapshot{Source: "@home", Path: "@home/.snapshots/monday"})
	}
	return s
}

func assemble(t testing.TB, s *smalldisk.Parts) *testDisk {
	t.Helper()
	name := filepath.Join(t.TempDir(), "laptop.img")
	m, err := s.Assemble(t.Context(), name)
	must(t, err)
	return &testDisk{t, name, m, s.Plan}
}

func laptop(t testing.TB) *testDisk {
	t.Helper()
	return assemble(t, parts(t, loader.SystemdBoot))
}

// write changes bytes of the disk.
func (i *testDisk) write(at int64, data []byte) {
	i.t.Helper()
	f, err := os.OpenFile(i.name, os.O_WRONLY, 0)
	must(i.t, err)
	_, err = f.WriteAt(data, at)
	must(i.t, err)
	must(i.t, f.Close())
}

func (i *testDisk) zero(at, n int64) { i.write(at, make([]byte, n)) }

// part returns where a partition is.
func (i *testDisk) part(role string) manifest.Partition { return *i.made.Partition(role) }

// take takes the inventory of images.
func take(t testing.TB, o Options, names ...string) *Inventory {
	t.Helper()
	o.Images = names
	inv, err := Take(t.Context(), o)
	must(t, err)
	return inv
}

// texts are the problems of an inventory, a line each.
func texts(inv *Inventory) string {
	var b strings.Builder
	for _, p := range inv.Problems {
		b.WriteString(string(p.Severity) + " " + filepath.Base(p.Object) + ": " + p.Text + "\n")
	}
	return b.String()
}

// kernelDir matches what the ESP calls a kernel with our initramfs: by a digest of both.
var kernelDir = regexp.MustCompile(`6\.12\.1-[0-9a-f]{12}`)

// golden compares an inventory with what is recorded, as JSON and as a text. The names of
// folders are left out.
func golden(t *testing.T, name string, inv *Inventory) {
	t.Helper()
	data, err := json.MarshalIndent(inv, "", "  ")
	must(t, err)
	data = kernelDir.ReplaceAll(withoutFolders(inv, data), []byte("6.12.1-0123456789ab"))
	var text bytes.Buffer
	var plain Inventory
	must(t, json.Unmarshal(data, &plain))
	must(t, Text(&text, &plain, 80))
	for suffix, got := range map[string][]byte{".json": append(data, '\n'), ".txt": text.Bytes()} {
		file := filepath.Join("testdata", name+suffix)
		if *update {
			must(t, os.MkdirAll("testdata", 0o755))
			must(t, os.WriteFile(file, got, 0o644))
		}
		want, err := os.ReadFile(file)
		must(t, err)
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
	for line := range strings.Lines(text.String()) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

func withoutFolders(inv *Inventory, data []byte) []byte {
	for _, d := range inv.Disks {
		data = bytes.ReplaceAll(data, []byte(filepath.Dir(d.Path)+"/"), []byte("/dev/"))
	}
	return data
}

// changeESP makes files of the ESP other ones; "" takes a file away.
func changeESP(t testing.TB, s *smalldisk.Parts, files map[string]string) {
	s.ESP = func(tree *fstree.Tree) {
		for name, text := range files {
			if e := tree.Lookup(name); e != nil {
				e.Parent().Remove(e)
			}
			if text != "" {
				must(t, loader.Put(tree, name, []byte(text), s.Plan.Epoch))
			}
		}
	}
}
