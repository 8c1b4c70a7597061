package installer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/manifest"
)

func someMarker(t testing.TB) (Marker, []byte) {
	t.Helper()
	m := Marker{Install: ids.UUID{1}, Medium: manifest.SHA256{2}, Profile: "fox", Mode: "fresh", Time: time.Unix(1_700_000_000, 0).UTC()}
	text, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m.Version = markerVersion
	return m, text
}

func TestDecodeMarker(t *testing.T) {
	want, text := someMarker(t)
	got, err := DecodeMarker(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Error(diff)
	}
}

// TestDecodeMarkerTorn: what a power cut may leave of a marker, nothing, a part, or
// zeros, is told from one that another version wrote.
func TestDecodeMarkerTorn(t *testing.T) {
	_, text := someMarker(t)
	for n := range len(text) - 1 { // without the last line feed it is whole
		zeros := append(text[:n:n], make([]byte, len(text)-n)...)
		for _, torn := range [][]byte{text[:n], zeros} {
			if _, err := DecodeMarker(torn); !errors.Is(err, ErrTorn) || fault.ClassOf(err) != fault.Input {
				t.Errorf("%d bytes of %d: %v", n, len(text), err)
			}
		}
	}
	for name, other := range map[string]string{
		"version": strings.Replace(string(text), `"version": 1`, `"version": 2`, 1),
		"field":   strings.Replace(string(text), `"mode"`, `"way"`, 1),
		"type":    "[]\n",
	} {
		if _, err := DecodeMarker([]byte(other)); err == nil || errors.Is(err, ErrTorn) || fault.ClassOf(err) != fault.Input {
			t.Errorf("another %s: %v", name, err)
		}
	}
}

func FuzzDecodeMarker(f *testing.F) {
	_, text := someMarker(f)
	f.Add(text)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if m, err := DecodeMarker(text); (m == nil) != (err != nil) {
			t.Errorf("%v, %v", m, err)
		}
	})
}
