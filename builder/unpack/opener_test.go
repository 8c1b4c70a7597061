package unpack_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/unpack"
)

// TestOpener: whatever became of the file before, and while another is open, a file is
// read as Format.Open reads it.
func TestOpener(t *testing.T) {
	text := strings.Repeat("some text, ", 50_000) + "its end"
	for _, name := range supported {
		f, o := unpack.ByName(name), &unpack.Opener{}
		data := packed(t, name, text)
		damaged := bytes.Clone(data)
		for at := len(data) / 3; at < len(data)/3+8; at++ {
			damaged[at] ^= 0x10
		}
		for _, tt := range []struct {
			name string
			data []byte
			read int64 // bytes that are asked for
			good bool
		}{
			{"whole", data, 1 << 30, true},
			{"again", data, 1 << 30, true},
			{"a part of it", data, 100, true},
			{"after a part", data, 1 << 30, true},
			{"damaged", damaged, 1 << 30, false},
			{"after a damaged one", data, 1 << 30, true},
			{"cut off", data[:len(data)-1], 1 << 30, false},
			{"no such file", []byte("text"), 1 << 30, false},
			{"after none", data, 1 << 30, true},
		} {
			other, err := o.Open(f, bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			got, err := openerRead(o, f, tt.data, tt.read)
			want := text[:min(int64(len(text)), tt.read)]
			if tt.good && (got != want || err != nil) || !tt.good && (err == nil || !strings.HasPrefix(err.Error(), name+": ")) {
				t.Errorf("%s, %s: %d bytes, %v", name, tt.name, len(got), err)
			}
			if got, err := io.ReadAll(other); string(got) != text || err != nil {
				t.Errorf("%s, open beside %s: %d bytes, %v", name, tt.name, len(got), err)
			}
			for range 2 {
				if err := other.Close(); err != nil {
					t.Errorf("%s: close: %v", name, err)
				}
			}
		}
	}
	if _, err := new(unpack.Opener).Open(unpack.ByName("lzip"), strings.NewReader("LZIP")); err == nil || err.Error() != "lzip: is not supported" {
		t.Errorf("lzip: %v", err)
	}
}

func openerRead(o *unpack.Opener, f *unpack.Format, data []byte, n int64) (string, error) {
	r, err := o.Open(f, bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	out, err := io.ReadAll(io.LimitReader(r, n))
	_ = r.Close() // of gzip it repeats the error of reading, without the name
	return string(out), err
}
