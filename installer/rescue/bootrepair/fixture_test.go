package bootrepair

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/image"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixcache"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/source"
	"github.com/6FaNcY9/mkimage/builder/sparse"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// seed is that of all repairs.
var seed = ids.Seed{9}

// memDisk is a disk in memory.
type memDisk struct {
	*imgtest.MemDisk
}

func (memDisk) SectorSize() int64 { return 512 }

func (d memDisk) clone() memDisk { return memDisk{d.Clone()} }

// put writes bytes that a test damages a disk with.
func (d memDisk) put(t testing.TB, at int64, b ...byte) {
	t.Helper()
	if _, err := d.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// wipe writes zeros.
func (d memDisk) wipe(t testing.TB, at, size int64) {
	t.Helper()
	d.put(t, at, make([]byte, size)...)
}

func (d memDisk) read(t testing.TB, at, size int64) []byte {
	t.Helper()
	b := make([]byte, size)
	if _, err := d.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	return b
}

// load reads an image into memory, but for its zeros.
func load(t testing.TB, name string) memDisk {
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
	d := memDisk{imgtest.NewMemDisk(info.Size())}
	page, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	holes := sparse.Of(f, info.Size())
	for at := int64(0); at < info.Size(); at += int64(len(page)) {
		if hole, err := holes.Covers(at, min(int64(len(page)), info.Size()-at)); err != nil {
			t.Fatal(err)
		} else if hole {
			continue
		}
		n, err := f.ReadAt(page, at)
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if !bytes.Equal(page[:n], zeros[:n]) {
			d.put(t, at, page[:n]...)
		}
	}
	return d
}

// made is an installed disk, as mkimage makes it.
type made struct {
	disk  memDisk
	plan  *plan.Plan
	table gpt.Table
}

func (m made) clone() made {
	m.disk = m.disk.clone()
	return m
}

var (
	onceSmall, onceNixOS sync.Once
	small, nixOS         made
)

// smallDisk returns a disk with the small system of imgtest.
func smallDisk(t testing.TB) made {
	t.Helper()
	imgtest.NeedSystem(t)
	onceSmall.Do(func() {
		dir := filepath.Join(t.TempDir(), "system")
		if err := imgtest.System(dir); err != nil {
			t.Fatal(err)
		}
		small = makeDisk(t, testPlan(t, "btrfs-laptop", loader.SystemdBoot), source.Spec{Kind: source.Dir, Value: dir}, source.Options{Owner: &fstree.Owner{}})
	})
	return small.clone()
}

// nixosDisk returns a disk with two generations of NixOS.
func nixosDisk(t testing.TB) made {
	t.Helper()
	imgtest.NeedSystem(t)
	onceNixOS.Do(func() {
		var objects []nixcache.Object
		dir, spec := t.TempDir(), ""
		for _, label := range []string{"25.11", "26.05"} {
			o, err := nixcache.System(label)
			if err != nil {
				t.Fatal(err)
			}
			objects = append(objects, o...)
			spec += "," + nixcache.Path(nixcache.Toplevel(label)).String()
		}
		if err := nixcache.Write(dir, "zstd", objects); err != nil {
			t.Fatal(err)
		}
		parsed, err := source.Parse("cache:" + dir + "#" + spec[1:])
		if err != nil {
			t.Fatal(err)
		}
		nixOS = makeDisk(t, testPlan(t, "btrfs-laptop", loader.SystemdBoot), parsed, source.Options{CacheDir: t.TempDir(), Nix: source.NixOptions{Keys: []string{nixcache.Key()}}})
	})
	return nixOS.clone()
}

// otherDisk returns a disk with the small system, of another layout and boot loader.
func otherDisk(t testing.TB, layout, kind string) made {
	t.Helper()
	imgtest.NeedSystem(t)
	dir := filepath.Join(t.TempDir(), "system")
	if err := imgtest.System(dir); err != nil {
		t.Fatal(err)
	}
	return makeDisk(t, testPlan(t, layout, kind), source.Spec{Kind: source.Dir, Value: dir}, source.Options{Owner: &fstree.Owner{}})
}

// testPlan is a plan of the smallest profile, with a small ESP.
func testPlan(t testing.TB, layoutName, kind string) *plan.Plan {
	t.Helper()
	profile, _, err := profiles.Load().Resolve("bandit-minimal", nil)
	if err != nil {
		t.Fatal(err)
	}
	layout, _, err := layouts.Load().Resolve(layoutName, nil)
	if err != nil {
		t.Fatal(err)
	}
	layout.ESP.Size = 64 << 20
	profile.Boot.Loader, profile.Layout = kind, layoutName
	if kind == loader.GRUB {
		profile.Boot.GRUB = imgtest.GRUB
	}
	p, err := plan.Make(profile, layout, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func makeDisk(t testing.TB, p *plan.Plan, spec source.Spec, o source.Options) made {
	t.Helper()
	src, err := source.Open(t.Context(), spec, o)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := image.Inputs{Tree: src.Tree, Version: "test"}
	if p.Profile.Boot.Loader == loader.GRUB {
		if in.GRUB, err = os.ReadFile(imgtest.GRUB); err != nil {
			t.Fatal(err)
		}
	}
	r, err := image.Write(t.Context(), image.Target{Writer: f, Reader: f, Truncate: f.Truncate}, p, in)
	if err != nil {
		t.Fatal(err)
	}
	return made{load(t, f.Name()), p, r.Table}
}
