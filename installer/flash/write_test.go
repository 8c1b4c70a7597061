package flash_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/installer/flash"
)

// TestWrite writes over a disk that is full: what the image uses, and what must
// read as zeros, is as in the image, and all else is as it was.
func TestWrite(t *testing.T) {
	const size = 12 * mib
	b := newImage(t, size, 1, 1, 5, 11)
	for _, withManifest := range []bool{true, false} {
		for _, disk := range []int64{size, size + 512, size + mib, size + 3*mib + 512} {
			t.Run(fmt.Sprintf("manifest %v, %d", withManifest, disk), func(t *testing.T) {
				r := dirty(t, disk)
				var o flash.Options
				if withManifest {
					o.Manifest = manifestOf(t, b)
				}
				result, err := run(t, t.Context(), b, r, o)
				if err != nil {
					t.Fatal(err)
				}
				got := bytesOf(t, r.disk)
				// The partition holds no file system that we know: all its zeros mean something.
				if !bytes.Equal(got[:size], b) {
					t.Error("the disk is not the image")
				}
				if !zero(got[max(size, disk-mib):]) {
					t.Error("the end of the disk is not blank")
				}
				if result.Blank || result.Written != 4*mib || result.Compared < 12*mib {
					t.Errorf("%+v", result)
				}
			})
		}
	}
}

// TestWriteUnused leaves what a file system has free, see TestMeaning for which
// zeros it is.
func TestWriteZeroUnused(t *testing.T) {
	const size = 8 * mib
	b := newImage(t, size, 1, 3)
	r := dirty(t, size)
	if _, err := run(t, t.Context(), b, r, flash.Options{Manifest: manifestOf(t, b), ZeroUnused: true}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytesOf(t, r.disk), b) {
		t.Error("the disk is not the image")
	}
}

// TestOrder looks at the order of the writes: ends first, then data, then the
// backup, and the primary table last, with syncs between.
func TestOrder(t *testing.T) {
	const size = 8 * mib
	b := newImage(t, size, 1, 2, 3)
	r := dirty(t, size)
	if _, err := run(t, t.Context(), b, r, flash.Options{Manifest: manifestOf(t, b)}); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, e := range r.events {
		word := ""
		switch {
		case e.sync:
			word = "sync"
		case e.offset == 0 || e.offset == size-mib:
			word = map[int64]string{0: "primary", size - mib: "backup"}[e.offset]
			if zero(e.data) {
				word = "no " + word
			}
		default:
			word = "data"
		}
		if len(order) == 0 || order[len(order)-1] != word {
			order = append(order, word)
		}
	}
	want := "no primary, no backup, sync, data, sync, backup, sync, primary, sync"
	if got := strings.Join(order, ", "); got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

// TestLies writes to disks that are not what they say.
func TestLies(t *testing.T) {
	const size = 12 * mib
	b := newImage(t, size, 1, 1, 4, 5, 8, 9, 11)
	const real = 6 * mib // what a false disk holds
	lies := []struct {
		name, want string
		lie        func(r *recorder)
	}{
		{"flips a byte", "bytes 4194304 to 5242880 (partition root): SHA-256", func(r *recorder) {
			r.write = func(r *recorder, p []byte, off int64) (int, error) {
				if off == 4*mib {
					p = slices.Clone(p)
					p[77] ^= 1
				}
				return r.disk.WriteAt(p, off)
			}
		}},
		{"flips a byte of the table", "bytes 0 to 1048576 (partition table): SHA-256", func(r *recorder) {
			r.write = func(r *recorder, p []byte, off int64) (int, error) {
				if off == 0 && !zero(p) {
					p = slices.Clone(p)
					p[600] ^= 1
				}
				return r.disk.WriteAt(p, off)
			}
		}},
		{"drops what it has no room for", "bytes 8388608 to 9437184 (partition root): ", func(r *recorder) {
			r.write = func(r *recorder, p []byte, off int64) (int, error) {
				if off >= real {
					return len(p), nil
				}
				return r.disk.WriteAt(p, off)
			}
			r.read = func(r *recorder, p []byte, off int64) (int, error) {
				if off >= real {
					clear(p)
					return len(p), nil
				}
				return r.disk.ReadAt(p, off)
			}
		}},
		{"wraps", "read back: differs: bytes 0 to 1048576", func(r *recorder) {
			r.write = func(r *recorder, p []byte, off int64) (int, error) { return r.disk.WriteAt(p, off%(8*mib)) }
			r.read = func(r *recorder, p []byte, off int64) (int, error) { return r.disk.ReadAt(p, off%(8*mib)) }
		}},
		{"drops zeros", "expected zeros", func(r *recorder) {
			r.write = func(r *recorder, p []byte, off int64) (int, error) {
				if zero(p) && off == 6*mib {
					return len(p), nil
				}
				return r.disk.WriteAt(p, off)
			}
		}},
	}
	for _, tt := range lies {
		for _, withManifest := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, manifest %v", tt.name, withManifest), func(t *testing.T) {
				var o flash.Options
				want := strings.ReplaceAll(tt.want, "partition root", "partition 1 (data)")
				if withManifest {
					o.Manifest, want = manifestOf(t, b), tt.want
				}
				r := dirty(t, size)
				tt.lie(r)
				result, err := run(t, t.Context(), b, r, o)
				classIs(t, err, fault.Mismatch)
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v; want %q", err, want)
				}
				if !result.Blank || hasTable(r, size) {
					t.Errorf("%+v: the disk has a table", result)
				}
			})
		}
	}
}

// TestFailures lets each write, read and sync fail in turn: no table is left but
// the old one over the old data.
func TestFailures(t *testing.T) {
	const size = 6 * mib
	b := newImage(t, size, 1, 2, 3)
	o := flash.Options{Manifest: manifestOf(t, b), Workers: 1}
	clean := dirty(t, size)
	before := clean.disk.Clone()
	if _, err := run(t, t.Context(), b, clean, o); err != nil {
		t.Fatal(err)
	}
	fails := func(name string, set func(r *recorder)) {
		r := &recorder{disk: before.Clone()}
		set(r)
		if _, err := run(t, t.Context(), b, r, o); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v; want the cause", name, err)
		}
		if hasTable(r, size) && !r.disk.Equal(before) && !old(t, r.disk, before) {
			t.Errorf("%s: there is a table over new data", name)
		}
	}
	for n := range clean.writes() {
		left := n
		fails(fmt.Sprint("write ", n), func(r *recorder) {
			r.write = func(r *recorder, p []byte, off int64) (int, error) {
				if left--; left == -1 {
					return 0, errBroken
				}
				return r.disk.WriteAt(p, off)
			}
		})
	}
	for n := 1; n <= clean.syncs; n++ {
		fails(fmt.Sprint("sync ", n), func(r *recorder) {
			r.synced = func(i int) error {
				if i == n {
					return errBroken
				}
				return nil
			}
		})
	}
	for n := range 8 {
		left := n
		fails(fmt.Sprint("read ", n), func(r *recorder) {
			r.read = func(r *recorder, p []byte, off int64) (int, error) {
				if left--; left == -1 {
					return 0, errBroken
				}
				return r.disk.ReadAt(p, off)
			}
		})
	}
}

// old reports whether a disk differs from another at most at its ends.
func old(t *testing.T, d, before *imgtest.MemDisk) bool {
	return bytes.Equal(bytesOf(t, d)[mib:d.Size()-mib], bytesOf(t, before)[mib:d.Size()-mib])
}

// TestInputChanged writes an image that is not what its manifest says.
func TestInputChanged(t *testing.T) {
	const size = 6 * mib
	b := newImage(t, size, 1, 2, 3)
	for _, at := range []int{3*mib + 5, 100, size - 1} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			m := manifestOf(t, b)
			changed := slices.Clone(b)
			changed[at] ^= 1
			r := dirty(t, size)
			result, err := run(t, t.Context(), changed, r, flash.Options{Manifest: m})
			classIs(t, err, fault.Input)
			if err == nil || !strings.Contains(err.Error(), "the manifest says") {
				t.Error(err)
			}
			if !result.Blank || hasTable(r, size) {
				t.Errorf("%+v: the disk has a table", result)
			}
		})
	}
	m := manifestOf(t, b)
	m.Image.Size++
	r := dirty(t, size)
	_, err := run(t, t.Context(), b, r, flash.Options{Manifest: m})
	classIs(t, err, fault.Input)
	m = manifestOf(t, b)
	m.Omits = &manifest.Range{Offset: 0, Length: 1}
	_, err = run(t, t.Context(), b, r, flash.Options{Manifest: m})
	classIs(t, err, fault.Input)
	if len(r.events) > 0 {
		t.Error("something was written")
	}
}

// TestCancel stops a run in the middle.
func TestCancel(t *testing.T) {
	const size = 8 * mib
	b := newImage(t, size, 1, 2, 3, 4, 5)
	o := flash.Options{Manifest: manifestOf(t, b)}
	for n := 1; ; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		r := dirty(t, size)
		left := n
		r.write = func(r *recorder, p []byte, off int64) (int, error) {
			if left--; left == 0 {
				cancel()
			}
			return r.disk.WriteAt(p, off)
		}
		result, err := run(t, ctx, b, r, o)
		cancel()
		if err == nil {
			if n < 6 || !bytes.Equal(bytesOf(t, r.disk), b) {
				t.Errorf("stopped at write %d: no error", n)
			}
			if left > 0 {
				return
			}
			continue
		}
		if !errors.Is(err, context.Canceled) || !result.Blank || hasTable(r, size) {
			t.Errorf("stopped at write %d: %+v, %v", n, result, err)
		}
	}
}

// TestTooSmall has disks about as large as the image.
func TestTooSmall(t *testing.T) {
	const size = 4 * mib
	b := newImage(t, size, 1)
	for _, tt := range []struct {
		disk int64
		want string
	}{{size - 1, "needs 4194304 bytes, has 4194303: 1 are missing"}, {size, ""}, {size + 1, ""}} {
		s := open(t, sparseFile(t, b))
		p, err := flash.NewPlan(t.Context(), s, tt.disk, 512, flash.Options{})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%d: %v; want %q", tt.disk, err, tt.want)
		}
		if p == nil {
			t.Errorf("%d: no plan", tt.disk)
		}
	}
	s := open(t, sparseFile(t, b))
	for sector, want := range map[int64]string{0: "", 512: "", 4096: "has sectors of 4096 bytes, the image's partition table is for sectors of 512"} {
		_, err := flash.NewPlan(t.Context(), s, size, sector, flash.Options{})
		if want == "" && err != nil || want != "" && (fault.ClassOf(err) != fault.Target || err.Error() != want) {
			t.Errorf("sectors of %d: %v; want %q", sector, err, want)
		}
	}
}
