package flash_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/flash"
)

const (
	mib   = 1 << 20
	chunk = manifest.ChunkSize
)

// event is what a target was asked for, in order: a write, or a sync.
type event struct {
	sync   bool
	offset int64
	data   []byte
}

// recorder is a disk in memory that keeps what is written, and lies if told to.
type recorder struct {
	mu     sync.Mutex
	disk   *imgtest.MemDisk
	events []event
	write  func(r *recorder, p []byte, off int64) (int, error) // nil writes
	read   func(r *recorder, p []byte, off int64) (int, error) // nil reads
	synced func(n int) error                                   // nil is right
	syncs  int
}

var errBroken = errors.New("the disk is broken")

func (r *recorder) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.read != nil {
		return r.read(r, p, off)
	}
	return r.disk.ReadAt(p, off)
}

func (r *recorder) WriteAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event{offset: off, data: slices.Clone(p)})
	if r.write != nil {
		return r.write(r, p, off)
	}
	return r.disk.WriteAt(p, off)
}

func (r *recorder) Zero(offset, length int64) error {
	_, err := r.WriteAt(make([]byte, length), offset)
	return err
}

func (r *recorder) Sync() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event{sync: true})
	r.syncs++
	if r.synced != nil {
		return r.synced(r.syncs)
	}
	return nil
}

func (r *recorder) DropCache() error { return nil }

func (r *recorder) writes() (n int) {
	for _, e := range r.events {
		if !e.sync {
			n++
		}
	}
	return n
}

// noise returns bytes that no other seed gives.
func noise(seed byte, n int64) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

var linuxData = ids.UUID{0x0f, 0xc6, 0x3d, 0xaf, 0x84, 0x83, 0x47, 0x72, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4}

// newImage makes an image: a table with one partition that is no file system we
// know, and noise in some chunks.
func newImage(t testing.TB, size int64, seed byte, chunks ...int64) []byte {
	t.Helper()
	d := imgtest.NewMemDisk(size)
	table, err := gpt.Place(gpt.Table{GUID: ids.UUID{seed}, SectorSize: 512, DiskSize: size, Partitions: []gpt.Partition{
		{Type: linuxData, GUID: ids.UUID{seed, 1}, Label: "data", Start: mib},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := gpt.Write(d, table); err != nil {
		t.Fatal(err)
	}
	for _, c := range chunks {
		if _, err := d.WriteAt(noise(seed+byte(c), min(chunk, size-c*chunk-64*512)), c*chunk); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, size)
	if _, err := d.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// manifestOf is the manifest of an image.
func manifestOf(t testing.TB, b []byte) *manifest.Manifest {
	t.Helper()
	m := &manifest.Manifest{Version: manifest.Version, Plan: &plan.Plan{}, Image: manifest.Image{Size: int64(len(b))}}
	m.Partitions = []manifest.Partition{{Role: "root", Start: mib, Size: int64(len(b)) - 2*mib}}
	for at := int64(0); at < int64(len(b)); at += chunk {
		part := b[at:min(at+chunk, int64(len(b)))]
		if !zero(part) {
			m.Chunks = append(m.Chunks, manifest.Chunk{Offset: at, Length: int64(len(part)), SHA256: sha256.Sum256(part)})
		}
	}
	return m
}

func zero(b []byte) bool { return bytes.Count(b, []byte{0}) == len(b) }

// sparseFile writes an image to a file with holes.
func sparseFile(t testing.TB, b []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(len(b))); err != nil {
		t.Fatal(err)
	}
	for at := int64(0); at < int64(len(b)); at += 4096 {
		if part := b[at:min(at+4096, int64(len(b)))]; !zero(part) {
			if _, err := f.WriteAt(part, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	return name
}

func open(t testing.TB, name string) flash.Source {
	t.Helper()
	s, err := flash.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// run writes an image to a recorder.
func run(t testing.TB, ctx context.Context, b []byte, r *recorder, o flash.Options) (*flash.Result, error) {
	t.Helper()
	s := open(t, sparseFile(t, b))
	p, err := flash.NewPlan(ctx, s, r.disk.Size(), 512, o)
	if err != nil {
		return &flash.Result{}, err
	}
	return p.Write(ctx, flash.Disk{Target: r, Size: r.disk.Size(), SectorSize: 512}, builder.Silent{})
}

// bytesOf returns all of a disk.
func bytesOf(t testing.TB, d *imgtest.MemDisk) []byte {
	t.Helper()
	b := make([]byte, d.Size())
	if _, err := d.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// dirty is a disk full of an old system: its table, and noise everywhere else.
func dirty(t testing.TB, size int64) *recorder {
	t.Helper()
	d := imgtest.NewMemDisk(size)
	var all []int64
	for c := int64(1); c < size/chunk; c++ {
		all = append(all, c)
	}
	if _, err := d.WriteAt(newImage(t, size, 200, all...), 0); err != nil {
		t.Fatal(err)
	}
	return &recorder{disk: d}
}

// hasTable reports whether anybody could find a partition table, in either copy.
func hasTable(d io.ReaderAt, size int64) bool {
	_, _, err := gpt.Read(d, size)
	return err == nil
}

func classIs(t testing.TB, err error, want fault.Class) {
	t.Helper()
	if fault.ClassOf(err) != want {
		t.Errorf("class %d of %v; want %d", fault.ClassOf(err), err, want)
	}
}
