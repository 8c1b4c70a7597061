package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/initramfs/hibernate/record"
)

const testSwapfile = "@swap/swapfile"

// swapImage is a file system with a swapfile.
type swapImage struct {
	bytes  []byte
	offset int64
	fsid   string
}

// plainImage has a swapfile and nothing else. It is made once.
var plainImage = sync.OnceValues(func() (swapImage, error) { return makeSwapImage("") })

// makeSwapImage writes an image, with a note beside the swapfile unless it is
// "".
func makeSwapImage(note string) (image swapImage, err error) {
	dir, err := os.MkdirTemp("", "mkimage-swap")
	if err != nil {
		return image, err
	}
	defer os.RemoveAll(dir)
	tree := fstree.New()
	if note != "" {
		name := filepath.Join(dir, "tree", testSwapfile+record.Suffix)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(note), 0o600)); err != nil {
			return image, err
		}
		if tree, err = fstree.ScanDir(context.Background(), filepath.Join(dir, "tree"), fstree.DirOptions{}); err != nil {
			return image, err
		}
	}
	f, err := os.Create(filepath.Join(dir, "fs"))
	if err != nil {
		return image, err
	}
	defer f.Close()
	result, err := btrfs.Write(context.Background(), f, tree, btrfs.Params{
		Seed: ids.Seed{5}, Swapfiles: []btrfs.Swapfile{{Path: testSwapfile, Size: 1 << 20}}})
	if err != nil {
		return image, err
	}
	if err := f.Truncate(result.Size); err != nil {
		return image, err
	}
	image.bytes, err = os.ReadFile(f.Name())
	image.offset, image.fsid = result.Swapfiles[0].PhysicalPage, result.FSID.String()
	return image, err
}

// bench is a machine's disks in memory, its kernel and its console, for the
// steps that look at swap space.
type bench struct {
	t      *testing.T
	disks  map[string][]byte // by name
	root   Device
	offset int64 // of the swapfile
	sys    fakePower
	lines  []string // on the console
	opened int
	asked  int // how often the firmware was asked
	efi    []byte
	broken error                     // of opening any device
	wrap   func(rawDevice) rawDevice // what writes go through
	kernel []string                  // its messages
}

// fakePower is /sys/power of a bench.
type fakePower struct {
	disk   string
	none   bool // the kernel cannot hibernate
	writes []string
	fail   string // the file that cannot be written
	hook   func(name, value string)
}

func (p *fakePower) read(name string) (string, error) {
	if p.none {
		return "", fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return p.disk, nil
}

func (p *fakePower) write(name, value string) error {
	p.writes = append(p.writes, name+"="+value)
	if p.fail == name {
		return errors.New("write /sys/power/" + name + ": input/output error")
	}
	if p.hook != nil {
		p.hook(name, value)
	}
	return nil
}

func newBench(t *testing.T) *bench {
	t.Helper()
	image, err := plainImage()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, disks: map[string][]byte{}, offset: image.offset, sys: fakePower{disk: "[platform] shutdown reboot"},
		root: Device{Name: "vda2", Number: "254:2", PartUUID: "aa", UUID: image.fsid}}
	b.put("vda2", image.bytes)
	return b
}

// put makes a device.
func (b *bench) put(name string, content []byte) { b.disks[name] = bytes.Clone(content) }

// edit changes a page of a device.
func (b *bench) edit(name string, offset int64, change func(page []byte)) {
	change(b.disks[name][offset*swaparea.PageSize:][:swaparea.PageSize])
}

// memory is a device in memory.
type memory []byte

func (m memory) ReadAt(p []byte, at int64) (int, error)  { return bytes.NewReader(m).ReadAt(p, at) }
func (m memory) WriteAt(p []byte, at int64) (int, error) { return copy(m[at:], p), nil }
func (m memory) Sync() error                             { return nil }
func (m memory) Close() error                            { return nil }
func (m memory) Size() int64                             { return int64(len(m)) }

// hibernate marks a page as the kernel does.
func hibernate(page []byte) {
	copy(page[4076:], page[4086:])
	copy(page[4086:], "S1SUSPEND\x00")
	copy(page[4056:], "hw sig, crc, image") // notes of the kernel
}

// wake is what the kernel does before it reads the image.
func wake(page []byte) { copy(page[4086:], page[4076:4086]) }

func (b *bench) open(d Device, _ int) (rawDevice, error) {
	b.opened++
	if b.broken != nil {
		return nil, b.broken
	}
	var raw rawDevice = memory(b.disks[d.Name])
	if b.wrap != nil {
		raw = b.wrap(raw)
	}
	return raw, nil
}

func (b *bench) log(level int, format string, args ...any) {
	b.lines = append(b.lines, fmt.Sprintf("<%d>", level)+fmt.Sprintf(format, args...))
}

// wantLines compares the console with patterns, in which "*" stands for
// anything.
func (b *bench) wantLines(want ...string) {
	b.t.Helper()
	ok := len(want) == len(b.lines)
	for i := 0; ok && i < len(want); i++ {
		before, after, star := strings.Cut(want[i], "*")
		ok = b.lines[i] == want[i] || star && strings.HasPrefix(b.lines[i], before) && strings.HasSuffix(b.lines[i], after)
	}
	if !ok {
		b.t.Errorf("console:\n  %s\nwant:\n  %s", strings.Join(b.lines, "\n  "), strings.Join(want, "\n  "))
	}
}
