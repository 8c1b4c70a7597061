package flash_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/image"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/flash"
)

// unpack reads a source by Each, and what it is known to hold as zeros by Zero.
func unpack(t testing.TB, s flash.Source, want func(int64) bool) (b []byte, handed int) {
	t.Helper()
	b = make([]byte, s.Size())
	var mu sync.Mutex
	err := s.Each(t.Context(), 3, want, func(offset int64, data []byte) error {
		mu.Lock()
		defer mu.Unlock()
		handed++
		if offset%chunk != 0 || int64(len(data)) != min(chunk, s.Size()-offset) {
			t.Errorf("%d bytes at %d", len(data), offset)
		}
		copy(b[offset:], data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b, handed
}

func file(t testing.TB, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// sample is an image with noise, text and zeros, and an end within a chunk.
func sample() []byte {
	b := make([]byte, 21*mib+512)
	copy(b, noise(1, 3*mib/2))
	copy(b[5*mib+7:], bytes.Repeat([]byte("text"), mib/2))
	copy(b[17*mib:], noise(2, mib))
	copy(b[21*mib:], "the end")
	return b
}

// formatsOf makes files of an image in all formats; qemu-img makes those of
// qcow2.
func formatsOf(t testing.TB, b []byte) map[string]string {
	t.Helper()
	raw := sparseFile(t, b)
	dir := t.TempDir()
	files := map[string]string{"raw": raw, "raw with written zeros": file(t, b)}
	var framed bytes.Buffer
	if err := image.Compress(t.Context(), &framed, bytes.NewReader(b), int64(len(b)), 2, nil); err != nil {
		t.Fatal(err)
	}
	files["frames"] = file(t, framed.Bytes())
	var stream bytes.Buffer
	w, err := zstd.NewWriter(&stream)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil { // a stream: the size is not in its header
		t.Fatal(err)
	}
	files["one frame without a size"] = file(t, stream.Bytes())
	skip := append([]byte{0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0}, "abc"...)
	files["frames with one to skip"] = file(t, append(bytes.Clone(framed.Bytes()), skip...))
	whole, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	odd := append(whole.EncodeAll(b[:5*mib+100], nil), whole.EncodeAll(b[5*mib+100:], nil)...)
	files["frames off the grid"] = file(t, odd)
	if _, err := exec.LookPath("qemu-img"); err != nil {
		return files
	}
	for name, args := range map[string]string{
		"qcow2":                "",
		"qcow2 version 2":      "-o compat=0.10",
		"qcow2 zlib":           "-c",
		"qcow2 zlib version 2": "-c -o compat=0.10",
		"qcow2 zstd":           "-c -o compression_type=zstd",
		"qcow2 512":            "-o cluster_size=512",
		"qcow2 2M":             "-c -o cluster_size=2M",
		"qcow2 2M zstd":        "-c -o cluster_size=2M,compression_type=zstd",
		"qcow2 preallocated":   "-o preallocation=metadata",
	} {
		files[name] = filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		command(t, append(append([]string{"qemu-img", "convert", "-f", "raw", "-O", "qcow2"}, strings.Fields(args)...), raw, files[name])...)
	}
	return files
}

// TestSources reads one image in all formats.
func TestSources(t *testing.T) {
	imgtest.Need(t, "qemu-img")
	b := sample()
	for name, file := range formatsOf(t, b) {
		t.Run(name, func(t *testing.T) {
			s := open(t, file)
			if s.Size() != int64(len(b)) {
				t.Fatalf("%d bytes; want %d", s.Size(), len(b))
			}
			if want := strings.Fields(name)[0]; !strings.HasPrefix(s.Format(), want) && want != "frames" && want != "one" {
				t.Errorf("format %q", s.Format())
			}
			if got, n := unpack(t, s, func(int64) bool { return true }); !bytes.Equal(got, b) || n != 22 {
				t.Errorf("all %d chunks: not the image", n)
			}
			some := func(offset int64) bool { return offset == 5*mib || offset == 21*mib }
			got, n := unpack(t, s, some)
			if n != 2 || !bytes.Equal(got[5*mib:6*mib], b[5*mib:6*mib]) || !bytes.Equal(got[21*mib:], b[21*mib:]) {
				t.Errorf("some: %d chunks", n)
			}
			for pass := range 2 {
				for at := int64(0); at < s.Size(); at += chunk {
					known, err := s.Zero(at)
					if err != nil || known && !zero(b[at:min(at+chunk, s.Size())]) {
						t.Errorf("pass %d: chunk at %d is said to be zeros, %v", pass, at, err)
					}
				}
			}
			if head, err := s.Head(); err != nil || !bytes.Equal(head, b[:mib]) {
				t.Errorf("head: %v", err)
			}
			if r := s.Random(); r != nil {
				part := make([]byte, 3*mib)
				if _, err := r.ReadAt(part, 15*mib+3); err != nil || !bytes.Equal(part, b[15*mib+3:18*mib+3]) {
					t.Errorf("read in the middle: %v", err)
				}
				if n, err := r.ReadAt(part, s.Size()-7); n != 7 || err != io.EOF {
					t.Errorf("read at the end: %d, %v", n, err)
				}
			}
			failed := errors.New("no")
			if err := s.Each(t.Context(), 2, func(int64) bool { return true }, func(int64, []byte) error { return failed }); !errors.Is(err, failed) {
				t.Errorf("what do returns: %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := s.Each(ctx, 2, func(int64) bool { return true }, func(int64, []byte) error { return nil }); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: %v", err)
			}
		})
	}
}

// TestWriteFormats writes each format, with and without a manifest.
func TestWriteFormats(t *testing.T) {
	imgtest.Need(t, "qemu-img")
	b := tableImage(t)
	full := dirty(t, int64(len(b)))
	files := formatsOf(t, b)
	for _, name := range []string{"raw", "raw with written zeros", "frames", "frames off the grid", "one frame without a size", "qcow2 zstd"} {
		file := files[name]
		for _, withManifest := range []bool{true, false} {
			var o flash.Options
			if withManifest {
				o.Manifest = manifestOf(t, b)
			}
			r := &recorder{disk: full.disk.Clone()}
			p, err := flash.NewPlan(t.Context(), open(t, file), r.disk.Size(), 512, o)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := p.Write(t.Context(), flash.Disk{Target: r, Size: r.disk.Size(), SectorSize: 512}, builder.Silent{}); err != nil {
				t.Errorf("%s, manifest %v: %v", name, withManifest, err)
			}
			if !bytes.Equal(bytesOf(t, r.disk), b) {
				t.Errorf("%s, manifest %v: the disk is not the image", name, withManifest)
			}
		}
	}
}

func tableImage(t testing.TB) []byte { return newImage(t, 18*mib, 1, 2, 9, 17) }

// TestSourcesRefused opens what is no image, or one that is damaged.
func TestSourcesRefused(t *testing.T) {
	imgtest.Need(t, "qemu-img")
	b := sample()
	files := formatsOf(t, b)
	dir := t.TempDir()
	command(t, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", files["raw"], filepath.Join(dir, "backing"))
	command(t, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file="+filepath.Join(dir, "data"), filepath.Join(dir, "external"), "4M")
	command(t, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "extended_l2=on", filepath.Join(dir, "extended"), "4M")
	changed := func(name string, at int, value byte) string {
		data, err := os.ReadFile(files[name])
		if err != nil {
			t.Fatal(err)
		}
		data[at] = value
		return file(t, data)
	}
	cut := func(name string, n int) string {
		data, err := os.ReadFile(files[name])
		if err != nil {
			t.Fatal(err)
		}
		return file(t, data[:len(data)-n])
	}
	for _, tt := range []struct{ name, file, want string }{
		{"missing", filepath.Join(dir, "absent"), "no such file"},
		{"directory", dir, "is not a file"},
		{"empty", file(t, nil), "is empty"},
		{"backing file", filepath.Join(dir, "backing"), "has a backing file"},
		{"external data", filepath.Join(dir, "external"), "its data is in another file"},
		{"extended L2", filepath.Join(dir, "extended"), "has subclusters"},
		{"encrypted", changed("qcow2", 35, 1), "is encrypted"},
		{"version", changed("qcow2", 7, 4), "qcow2 version 4, expected 2 or 3"},
		{"cluster bits", changed("qcow2", 23, 22), "cluster bits 22, expected 9 to 21"},
		{"corrupt", changed("qcow2", 79, 2), "is marked as corrupt"},
		{"unknown feature", changed("qcow2", 79, 128), "has unknown features 0x80"},
		{"L1 too small", changed("qcow2", 39, 0), "L1 table of 0 entries, expected 1"},
		{"L1 elsewhere", changed("qcow2", 42, 9), "the file has"},
		{"frame cut off", cut("frames", 1), "is cut off"},
		{"frame with a header cut off", file(t, []byte(zstdMagic+"\x00")), "zstd frame at byte 0"},
	} {
		_, err := flash.Open(t.Context(), tt.file)
		if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
	// A byte in the middle tells only when it is unpacked.
	for _, name := range []string{"frames", "one frame without a size", "qcow2 zstd", "qcow2 zlib"} {
		data, err := os.ReadFile(files[name])
		if err != nil {
			t.Fatal(err)
		}
		for at := range 64 {
			data[len(data)/4+at] ^= 0xff
		}
		s, err := flash.Open(t.Context(), file(t, data))
		if err == nil {
			err = s.Each(t.Context(), 2, func(int64) bool { return true }, func(offset int64, got []byte) error {
				if !bytes.Equal(got, b[offset:offset+int64(len(got))]) {
					return fault.New(fault.Input, "", "noise in noise: qcow2 has no checksums")
				}
				return nil
			})
			s.Close()
		}
		if fault.ClassOf(err) != fault.Input {
			t.Errorf("%s, damaged: %v", name, err)
		}
	}
}

const zstdMagic = "\x28\xb5\x2f\xfd"
