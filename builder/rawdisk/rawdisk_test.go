package rawdisk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/sparse"
)

// image writes a file of random bytes, the same in every run.
func image(t *testing.T, size int) (name string, content []byte) {
	t.Helper()
	content = make([]byte, size)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(content)
	name = filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name, content
}

// loop attaches a loop device of an image, until the test ends.
func loop(t *testing.T, name string, sector int) string {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "losetup")
	out, err := exec.Command("losetup", "--find", "--show", "--sector-size", fmt.Sprint(sector), name).Output()
	if err != nil {
		t.Fatalf("losetup: %v", err)
	}
	node := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", node).CombinedOutput(); err != nil {
			t.Errorf("losetup --detach: %v\n%s", err, out)
		}
	})
	return node
}

func open(t *testing.T, name string, flag int) *Disk {
	t.Helper()
	d, err := Open(name, flag)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// eachKind runs a test on a file and on devices of both sizes of sectors. Their
// size is one of sectors, not of blocks.
func eachKind(t *testing.T, test func(t *testing.T, name, image string, content []byte)) {
	t.Run("file", func(t *testing.T) {
		name, content := image(t, 2<<20+777)
		test(t, name, name, content)
	})
	for _, sector := range []int{512, 4096} {
		t.Run(fmt.Sprintf("sectors of %d", sector), func(t *testing.T) {
			name, content := image(t, 2<<20+sector)
			test(t, loop(t, name, sector), name, content)
		})
	}
}

func TestReadAt(t *testing.T) {
	eachKind(t, func(t *testing.T, name, _ string, content []byte) {
		d := open(t, name, os.O_RDONLY)
		size := len(content)
		if d.Size() != int64(size) || d.Name() != name {
			t.Errorf("%s of %d bytes; want %s of %d", d.Name(), d.Size(), name, size)
		}
		for _, off := range []int{0, 1, 511, 512, 513, 4095, 4096, 4097, maxRead - 1, maxRead, maxRead + 1, size - 4097, size - 513, size - 1, size, size + 1} {
			for _, n := range []int{0, 1, 511, 512, 513, 4095, 4096, 4097, 16384, maxRead - 1, maxRead, maxRead + 1, size} {
				p := make([]byte, n)
				got, err := d.ReadAt(p, int64(off))
				want := content[min(off, size):min(off+n, size)]
				if got != len(want) || !bytes.Equal(p[:got], want) || (got < n) != (err == io.EOF) || err != nil && err != io.EOF {
					t.Errorf("ReadAt of %d bytes at %d = %d, %v; want %d of the disk's", n, off, got, err, len(want))
				}
			}
		}
		if n, err := d.ReadAt(make([]byte, 1), -1); n != 0 || err == nil {
			t.Errorf("ReadAt at -1 = %d, %v; want an error", n, err)
		}
	})
}

func TestReadAtConcurrent(t *testing.T) {
	eachKind(t, func(t *testing.T, name, _ string, content []byte) {
		d := open(t, name, os.O_RDONLY)
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				p := make([]byte, 10_000)
				for off := i * 1000; off < 500_000; off += 50_000 {
					if _, err := d.ReadAt(p, int64(off)); err != nil || !bytes.Equal(p, content[off:off+len(p)]) {
						t.Errorf("ReadAt at %d: %v, or other bytes", off, err)
					}
				}
			})
		}
		group.Wait()
	})
}

// TestReadAtStale: what is in the cache of the device is not what is read.
func TestReadAtStale(t *testing.T) {
	name, content := image(t, 1<<20)
	node := loop(t, name, 512)
	cached, err := os.Open(node)
	if err != nil {
		t.Fatal(err)
	}
	defer cached.Close()
	p := make([]byte, len(content))
	if _, err := io.ReadFull(cached, p); err != nil || !bytes.Equal(p, content) {
		t.Fatalf("reading the device: %v", err)
	}
	// The backing file is the medium, and has a cache of its own.
	content[5000]++
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cached.ReadAt(p, 0); err != nil || bytes.Equal(p, content) {
		t.Fatalf("%v, or the cache is not stale, so that this test says nothing", err)
	}
	if _, err := open(t, node, os.O_RDONLY).ReadAt(p, 0); err != nil || !bytes.Equal(p, content) {
		t.Errorf("ReadAt: %v, or what was cached", err)
	}
}

func TestWriteAt(t *testing.T) {
	eachKind(t, func(t *testing.T, name, image string, content []byte) {
		d := open(t, name, os.O_RDWR)
		for _, w := range []struct {
			n   int
			off int64
		}{{4096, 0}, {8192, 4096}, {maxRead + 4096, 12288}} {
			for i := range content[w.off:][:w.n] {
				content[w.off:][i] ^= 0x55
			}
			if n, err := d.WriteAt(content[w.off:][:w.n], w.off); n != w.n || err != nil {
				t.Errorf("WriteAt of %d bytes at %d = %d, %v", w.n, w.off, n, err)
			}
		}
		if err := d.Sync(); err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(image); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%v, or other bytes than were written", err)
		}
		if name == image {
			return
		}
		for _, w := range []struct{ n, off int64 }{{4095, 0}, {4097, 0}, {512, 0}, {4096, 512}, {4096, 4095}, {4096, d.Size()/4096*4096 + 4096}, {4096, -4096}} {
			if n, err := d.WriteAt(make([]byte, w.n), w.off); n != 0 || err == nil {
				t.Errorf("WriteAt of %d bytes at %d = %d, %v; want an error", w.n, w.off, n, err)
			}
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, in string
		want     error
	}{
		{"missing", filepath.Join(dir, "x"), fs.ErrNotExist},
		{"directory", dir, unix.EISDIR},
		{"stream", pipe, unix.ESPIPE},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if d, err := Open(test.in, os.O_RDONLY|unix.O_NONBLOCK); !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.in) {
				t.Errorf("Open = %v, %v; want %v", d, err, test.want)
			}
		})
	}
	name, _ := image(t, 4096)
	if n, err := open(t, name, os.O_RDONLY).WriteAt(make([]byte, 4096), 0); n != 0 || err == nil {
		t.Errorf("WriteAt of a disk that is open for reading = %d, %v; want an error", n, err)
	}
}

func TestAlignedBuffer(t *testing.T) {
	for _, align := range []int{512, 4096, 65536} {
		for _, size := range []int{1, 4096, maxRead} {
			b := alignedBuffer(size, align)
			if len(b) != size || cap(b) != size {
				t.Errorf("alignedBuffer(%d, %d) has %d bytes, room for %d", size, align, len(b), cap(b))
			}
			if at := address(b); at%uintptr(align) != 0 {
				t.Errorf("alignedBuffer(%d, %d) begins at %#x", size, align, at)
			}
		}
	}
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(&b[0])) }

// TestHoles: package sparse takes a Disk for the file that it is.
func TestHoles(t *testing.T) {
	const size = 1 << 20
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
	if covers, err := sparse.Of(open(t, name, os.O_RDONLY), size).Covers(0, size); !covers || err != nil {
		t.Errorf("Covers = %v, %v; want true", covers, err)
	}
}
