package reader

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestUnpack(t *testing.T) {
	r := opener(t)
	zipped := append([]byte{2}, compress([]byte(`{"a":"bbbb"}`))...) // 12 bytes
	sized := append([]byte{2}, compress([]byte(strings.Repeat("a", 300)))...)
	unsized := append([]byte{2}, stream(t, []byte(`{"a":"bbbb"}`))...)
	for _, tt := range []struct {
		in   string
		most int64
		want string
		err  string
	}{
		{`{}`, 9, `{}`, ""},
		{`[]`, 9, `[]`, ""},
		{string(zipped), 13, `{"a":"bbbb"}`, ""},
		{string(zipped), 12, `{"a":"bbbb"}`, ""},
		{string(zipped), 11, "", "expected at most 11 bytes"},
		{string(sized), 300, strings.Repeat("a", 300), ""},
		{string(sized), 299, "", "zstd: 300 bytes, expected at most 299"},
		{"", 9, "", "encoding "},
		{"\x01{}", 9, "", "encoding 01"},
		{"\x02{}", 9, "", "zstd"},
		{string(zipped[:len(zipped)-1]), 12, "", "zstd"},
		{string(unsized), 13, `{"a":"bbbb"}`, ""},
		{string(unsized), 12, `{"a":"bbbb"}`, ""},
		{"\x02" + string(stream(t, []byte("["+strings.Repeat(" ", 1<<20)))), 1<<20 + 1, "[" + strings.Repeat(" ", 1<<20), ""},
		{string(unsized), 11, "", "expected at most 11 bytes"},
		{string(unsized) + string(unsized[1:]), 24, `{"a":"bbbb"}{"a":"bbbb"}`, ""},
		{string(unsized) + string(unsized[1:]), 23, "", "expected at most 23 bytes"},
		{"\x02\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00", 0, "", ""}, // a frame of no bytes
	} {
		got, err := r.unpack([]byte(tt.in), tt.most)
		if string(got) != tt.want || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%.99q: %.99q, %v; expected %.99q, %q", tt.in, got, err, tt.want, tt.err)
		}
	}
	r.version = 1
	if got, err := r.unpack([]byte("\x02"), 9); string(got) != "\x02" || err != nil {
		t.Errorf("format 1: %q, %v", got, err)
	}
}

// stream compresses as who does not know how much comes: the frame does not say.
func stream(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	e, err := zstd.NewWriter(&out)
	if err == nil {
		_, err = e.ReadFrom(io.MultiReader(bytes.NewReader(text[:len(text)/2]), bytes.NewReader(text[len(text)/2:])))
	}
	if err := errors.Join(err, e.Flush(), e.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What becomes much of little takes the memory that it may become, not that which
// the largest tree takes.
func TestUnpackMemory(t *testing.T) {
	r := opener(t)
	zeros := make([]byte, 16<<20)
	lying := append([]byte("\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x10"), "\x01\x00\x00"...) // of 256 MiB, with nothing in it
	for name, tt := range map[string]struct {
		text []byte
		most int64
		want string
	}{
		"does not say it": {stream(t, zeros), 1 << 20, "expected at most 1048576 bytes"},
		"says it":         {compress(zeros), 1 << 20, "zstd: 16777216 bytes, expected at most 1048576"},
		"says more":       {lying, 1 << 30, "zstd: "},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := r.decompress(tt.text, tt.most, nil)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, expected %s", name, err, tt.want)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
			t.Errorf("%s: took %d bytes, expected at most %d", name, took, 8<<20)
		}
	}
}
