package reader_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// movingDisk is a device that a mounted file system is written to: each read of
// the superblock is the last one of a state. The last state stays.
type movingDisk struct {
	states [][]byte
	supers int // reads of the superblock
}

func (d *movingDisk) ReadAt(p []byte, at int64) (int, error) {
	state := d.states[min(d.supers, len(d.states)-1)]
	if at == int64(ondisk.SuperMirrors[0]) {
		d.supers++
	}
	return bytes.NewReader(state).ReadAt(p, at)
}

// testStates are images of one file system: whole, and of other generations
// with blocks that are not what refers to them.
type testStates struct{ good, next, noRoots, noChunks []byte }

func newStates(t *testing.T) testStates {
	image := func(generation uint64, overwrite func(*testImage) []byte) []byte {
		im := sampleImage(t)
		im.build()
		im.super.Generation = generation
		im.seal()
		if overwrite != nil {
			clear(overwrite(im))
		}
		return im.bytes
	}
	return testStates{
		good: image(testGen, nil),
		next: image(testGen+1, nil),
		// A freed block is written to in both copies.
		noRoots:  image(testGen+1, func(im *testImage) []byte { return im.bytes[2<<20 : 4<<20] }),
		noChunks: image(testGen+2, func(im *testImage) []byte { return im.bytes[1<<20 : 2<<20] }),
	}
}

// TestMoved reads a file while the file system is written to.
func TestMoved(t *testing.T) {
	s := newStates(t)
	torn := bytes.Clone(s.good)
	torn[ondisk.SuperMirrors[0]+100]++
	none := make([]byte, testSize)
	tests := []struct {
		name   string
		states [][]byte
		want   string // the error; "" for a file that was read
		supers int
	}{
		{"still", [][]byte{s.good}, "", 2},
		{"still, damaged", [][]byte{s.noRoots}, "tree block", 2},
		{"still, no chunks", [][]byte{s.noChunks}, "chunk map", 2},
		{"no file system", [][]byte{none}, "not a btrfs file system", 1},
		{"while it was opened", [][]byte{s.good, s.noChunks, s.good}, "", 4},
		{"while it was read", [][]byte{s.good, s.noRoots, s.good}, "", 4},
		{"after it was read", [][]byte{s.good, s.next, s.good}, "", 4},
		{"superblock half written", [][]byte{torn, s.good}, "", 3},
		{"superblock half written later", [][]byte{s.good, torn, torn, s.good}, "", 5},
		{"superblock damaged", [][]byte{torn}, "wrong crc32c checksum", 2},
		{"always", alternate(20, s.good, s.noRoots), "(read 8 times, and was written to each time)", 16},
		{"never opened", alternate(20, s.good, s.noChunks), "(read 8 times, and was written to each time)", 16},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := &movingDisk{states: test.states}
			got, err := readMoving(d)
			switch {
			case test.want == "" && (err != nil || !bytes.Equal(got, text(10_000))):
				t.Errorf("read %d bytes, %v; want the file", len(got), err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || fault.ClassOf(err) != fault.Input):
				t.Errorf("read %d bytes, %v; want %q of class Input", len(got), err, test.want)
			}
			if d.supers != test.supers {
				t.Errorf("the superblock was read %d times; want %d", d.supers, test.supers)
			}
		})
	}
}

func alternate(n int, states ...[]byte) (list [][]byte) {
	for range n {
		list = append(list, states...)
	}
	return list
}

func readMoving(d *movingDisk) (content []byte, err error) {
	err = reader.Retry(func() (*reader.FS, error) {
		f, err := reader.Open(d, testSize)
		if err != nil {
			return nil, err
		}
		v, err := f.Subvolume("")
		if err == nil {
			content, err = v.ReadFile("plain")
		}
		return f, err
	})
	return content, err
}

// TestRetry: what was read last holds, however often the disk moved.
func TestRetry(t *testing.T) {
	s := newStates(t)
	d := &movingDisk{states: alternate(20, s.good, s.next)}
	reads := 0
	err := reader.Retry(func() (*reader.FS, error) {
		reads++
		return reader.Open(d, testSize)
	})
	if err != nil || reads != 8 {
		t.Errorf("Retry = %v after %d reads; want 8 reads", err, reads)
	}
	broken := errors.New("broken")
	for _, f := range []*reader.FS{nil, openBytes(t, s.good)} {
		reads = 0
		if err := reader.Retry(func() (*reader.FS, error) { reads++; return f, broken }); err != broken || reads != 1 {
			t.Errorf("Retry = %v after %d reads; want what read returned, once", err, reads)
		}
	}
}
