package unpack_test

import (
	"bytes"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/unpack"
)

// supported are the formats that are read, by the programs that make them.
var supported = []string{"gzip", "zstd", "xz", "bzip2"}

// packed returns what a program makes of a text.
func packed(t testing.TB, program, text string) []byte {
	t.Helper()
	imgtest.Need(t, program)
	cmd := exec.Command(program, "-c")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	return out
}

// TestOpen: what the programs make is read, and what is cut off or damaged is an
// error that names the format.
func TestOpen(t *testing.T) {
	text := strings.Repeat("some text, ", 5000) + "its end"
	for _, name := range supported {
		f := unpack.ByName(name)
		t.Run(f.Name, func(t *testing.T) {
			data := packed(t, f.Name, text)
			if unpack.Detect(data) != f || unpack.Detect(data[:unpack.MagicLength]) != f || unpack.ByName(f.Name) != f || unpack.BySuffix(f.Suffix) != f {
				t.Error("is not found")
			}
			if got, err := read(f, data); got != text || err != nil {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
			for _, n := range []int{len(data) - 1, len(data) / 2, 3} {
				if _, err := read(f, data[:n]); err == nil || !strings.HasPrefix(err.Error(), f.Name+": ") {
					t.Errorf("%d of %d bytes: %v", n, len(data), err)
				}
			}
			for at := len(data) / 3; at < len(data)/3+8; at++ {
				data[at] ^= 0x10
			}
			if got, err := read(f, data); err == nil || !strings.HasPrefix(err.Error(), f.Name+": ") || got == text {
				t.Errorf("damaged: %d bytes, %v", len(got), err)
			}
		})
	}
}

func read(f *unpack.Format, data []byte) (string, error) {
	r, err := f.Open(bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	out, err := io.ReadAll(r)
	_ = r.Close() // of gzip it repeats the error of reading, without the name
	return string(out), err
}

func TestUnsupported(t *testing.T) {
	if f := unpack.Detect([]byte("LZIP\x01")); f == nil || f.Supported() {
		t.Fatalf("lzip: %v", f)
	} else if _, err := f.Open(strings.NewReader("LZIP")); err == nil || err.Error() != "lzip: is not supported" {
		t.Errorf("lzip: %v", err)
	}
	if unpack.Detect(nil) != nil || unpack.Detect([]byte("\x1f")) != nil || unpack.ByName("brotli") != nil || unpack.BySuffix("") != nil {
		t.Error("found what is none")
	}
}

// FuzzOpen: bytes of any kind unpack, or give an error.
func FuzzOpen(f *testing.F) {
	for _, name := range supported {
		f.Add(packed(f, name, "some text, some text"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if format := unpack.Detect(data); format != nil && format.Supported() {
			r, err := format.Open(bytes.NewReader(data))
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
			_ = r.Close()
		}
	})
}
