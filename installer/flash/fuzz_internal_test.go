package flash

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// FuzzQcow2 reads what may be a qcow2 image: it ends, and takes no more memory
// than its limits say.
func FuzzQcow2(f *testing.F) {
	for _, seed := range qcow2Seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := newQcow2(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		defer s.Close()
		part := make([]byte, 70000)
		for _, at := range []int64{0, s.size / 2, s.size - 1} {
			if at < 0 {
				continue
			}
			hole, errZero := s.Zero(at / chunkSize * chunkSize)
			n, err := s.ReadAt(part[:min(chunkSize, int64(len(part)))], at)
			if err == nil && n < len(part) || n > len(part) {
				t.Fatalf("read %d bytes at %d of %d, no error", n, at, s.size)
			}
			if errZero == nil && hole && (err == nil || err == io.EOF) && at%chunkSize == 0 && !isZero(part[:n]) {
				t.Fatalf("chunk at %d is said to be zeros", at)
			}
		}
	})
}

// qcow2Seeds are small images of qemu-img, where it is there, and a header made
// by hand.
func qcow2Seeds(f *testing.F) (seeds [][]byte) {
	header := make([]byte, 1024)
	be := binary.BigEndian
	copy(header, qcow2Magic)
	be.PutUint32(header[4:], 2)
	be.PutUint32(header[20:], 9)
	be.PutUint64(header[24:], 4096)
	be.PutUint32(header[36:], 1)
	be.PutUint64(header[40:], 512)
	seeds = append(seeds, header)
	if _, err := exec.LookPath("qemu-img"); err != nil {
		return seeds
	}
	dir := f.TempDir()
	raw := filepath.Join(dir, "raw")
	if err := os.WriteFile(raw, append(bytes.Repeat([]byte("text"), 1024), make([]byte, 60000)...), 0o600); err != nil {
		f.Fatal(err)
	}
	for _, args := range []string{"-o cluster_size=512", "-c -o cluster_size=4096", "-c -o cluster_size=4096,compression_type=zstd", "-c -o compat=0.10,cluster_size=1024"} {
		name := filepath.Join(dir, "qcow2")
		words := append(append([]string{"convert", "-f", "raw", "-O", "qcow2"}, strings.Fields(args)...), raw, name)
		if out, err := exec.Command("qemu-img", words...).CombinedOutput(); err != nil {
			f.Fatalf("%v\n%s", err, out)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, b)
	}
	return seeds
}

// FuzzZstdFrames finds frames: they are in order, within the file, and unpack to
// what they say, if at all.
func FuzzZstdFrames(f *testing.F) {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(true))
	if err != nil {
		f.Fatal(err)
	}
	one := w.EncodeAll([]byte("one"), nil)
	f.Add(append(append(bytes.Clone(one), "\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"...), w.EncodeAll(make([]byte, 300000), nil)...))
	f.Add(one[:len(one)-1])
	d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(1<<20), zstd.WithDecoderMaxWindow(1<<20))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frames, err := zstdFrames(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		at, offset := int64(0), int64(0)
		for _, frame := range frames {
			if frame.at < at || frame.length <= 0 || frame.at+frame.length > int64(len(b)) || frame.offset != offset {
				t.Fatalf("%+v after byte %d, offset %d", frame, at, offset)
			}
			at, offset = frame.at+frame.length, offset+max(0, frame.size)
			data, err := d.DecodeAll(b[frame.at:at], nil)
			if err == nil && frame.size >= 0 && int64(len(data)) != frame.size {
				t.Fatalf("%+v unpacks to %d bytes", frame, len(data))
			}
		}
	})
}
