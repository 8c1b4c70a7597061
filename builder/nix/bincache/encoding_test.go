package bincache

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// TestEncoded: what is said of objects may be stored compressed, whoever asks for it.
func TestEncoded(t *testing.T) {
	encodings := map[string]func(text []byte) []byte{
		"gzip": func(text []byte) []byte {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			w.Write(text)
			w.Close()
			return b.Bytes()
		},
		"zstd": func(text []byte) []byte {
			w, _ := zstd.NewWriter(nil)
			return w.EncodeAll(text, nil)
		},
	}
	for name, encode := range encodings {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, ".narinfo") {
				return false
			}
			text, err := os.ReadFile(golden + r.URL.Path)
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Encoding", name)
			w.Write(encode(text))
			return true
		})
		if _, _, err := fetch(t.Context(), t, s.URL, quick()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEncodedOtherwise: what cannot be decoded is an error that says why, and text that only
// seems to be encoded is one.
func TestEncodedOtherwise(t *testing.T) {
	for encoding, want := range map[string]string{"br": `Content-Encoding "br", expected gzip, zstd, xz, bzip2 or none`, "gzip": "gzip: "} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Encoding", encoding)
			return false
		})
		_, err := Open(t.Context(), s.URL, quick())
		if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", encoding, err, want)
		}
		if hint := fault.HintOf(err); strings.Contains(hint, "narinfo-compression=zstd") != (encoding == "br") {
			t.Errorf("%s: hint %q", encoding, hint)
		}
	}
}
