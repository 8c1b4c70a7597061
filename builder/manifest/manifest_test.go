package manifest_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// size of the images of these tests: a table, an ESP of two chunks, a root of
// three, a table.
const size = 7 * chunk

// image returns bytes that are not zero in the chunks 0, 1, 3 and 6.
func image() []byte {
	b := make([]byte, size)
	for _, at := range []int64{440, chunk + 3, 3*chunk + 9, size - 1} {
		b[at] = 0x55
	}
	return b
}

// manifestOf describes image, or what became of it.
func manifestOf(t testing.TB, b []byte) *manifest.Manifest {
	t.Helper()
	m := &manifest.Manifest{
		Version: manifest.Version,
		Plan: &plan.Plan{
			Version: plan.Version, Epoch: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC),
			Entries: []plan.Entry{{ID: "x", Title: "a <b> & c", Cmdline: []string{"rw"}}},
		},
		Inputs:     manifest.Inputs{Mkimage: "1.0", Source: "ab", Kernels: []manifest.Kernel{{Version: "6.12", Linux: manifest.SHA256{1}}}},
		Image:      manifest.Image{Size: size},
		Partitions: []manifest.Partition{{Role: "esp", Start: chunk, Size: 2 * chunk, Used: 5}, {Role: "root", Start: 3 * chunk, Size: 3 * chunk, Used: 6}},
		Files:      []manifest.File{{Path: "EFI/x", Size: 3, SHA256: manifest.SHA256{7}}},
		Subvolumes: []manifest.Subvolume{{Path: "@", ID: 256, UUID: ids.UUID{1}, Bytes: 7}},
		Swapfile:   &manifest.Swapfile{Path: "@swap/swapfile", Size: 1 << 20, ResumeOffset: 77},
	}
	chunks, err := manifest.Digest(t.Context(), bytes.NewReader(b), size, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m.AddChunks(chunks)
	return m
}

func encode(t testing.TB, m *manifest.Manifest) []byte {
	t.Helper()
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	m := manifestOf(t, image())
	for _, in := range []*manifest.Manifest{m, m.Without(m.Partition("esp").Range())} {
		text := encode(t, in)
		got, err := manifest.Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(in, got); diff != "" {
			t.Error(diff)
		}
		if again := encode(t, got); !bytes.Equal(text, again) {
			t.Errorf("written again:\n%s\n%s", again, text)
		}
		if bytes.Count(text, []byte("\n")) != 1 || !bytes.Contains(text, []byte("a <b> & c")) {
			t.Errorf("not one plain line: %s", text)
		}
	}
}

func TestAddChunksCounts(t *testing.T) {
	m := manifestOf(t, image())
	if esp, root := m.Partition("esp").Chunks, m.Partition("root").Chunks; esp != 1 || root != 1 {
		t.Errorf("chunks of esp %d, of root %d; want 1 and 1", esp, root)
	}
	w := m.Without(m.Partition("esp").Range())
	if esp, root := w.Partition("esp"), w.Partition("root"); esp.Chunks != 0 || esp.Used != 0 || root.Chunks != 1 || root.Used != 6 || len(w.Chunks) != 3 {
		t.Errorf("without the ESP: %+v, %+v, %d chunks in all; want none and nothing used of the ESP, 1, 6 and 3", esp, root, len(w.Chunks))
	}
	if len(m.Chunks) != 4 || m.Partition("esp").Chunks != 1 || m.Partition("esp").Used != 5 {
		t.Error("Without changed the manifest that it copied")
	}
	if m.Partition("swap") != nil {
		t.Error("a partition that is not there was found")
	}
}

func TestDecodeRefuses(t *testing.T) {
	text := string(encode(t, manifestOf(t, image())))
	omitting := manifestOf(t, image())
	omitting.Omits = &manifest.Range{Offset: chunk, Length: chunk}
	replace := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("no %q in %s", old, text)
		}
		return strings.Replace(text, old, new, 1)
	}
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "", "unexpected end of JSON input"},
		{"no object", "[]", "cannot unmarshal array"},
		{"no version", "{}", "version 0, expected 1"},
		{"another version", replace(`{"version":1`, `{"version":2`), "version 2, expected 1"},
		{"unknown field", replace(`"image":`, `"colour":1,"image":`), `unknown field "colour"`},
		{"unknown field of a chunk", replace(`"chunks":[{`, `"chunks":[{"md5":"",`), `unknown field "md5"`},
		{"data behind", text + "{}", "after top-level value"},
		{"no plan", `{"version":1,"image":{"size":1}}`, "no plan"},
		{"no size", replace(`"image":{"size":7340032}`, `"image":{"size":0}`), "image of 0 bytes"},
		{"digest of 63 digits", replace(`"sha256":"`, `"sha256":"a`), "expected 64 hexadecimal digits"},
		{"partition too long", replace(`"start":3145728,"size":3145728`, `"start":3145728,"size":4194305`), `partition "root": 4194305 bytes at 3145728, the image has 7340032`},
		{"partition of no bytes", replace(`"start":3145728,"size":3145728`, `"start":3145728,"size":0`), `partition "root": 0 bytes`},
		{"partition that overflows", replace(`"start":3145728,"size":3145728`, `"start":9223372036854775807,"size":9223372036854775807`), `partition "root"`},
		{"partition in front", replace(`"start":3145728`, `"start":-1`), `partition "root"`},
		{"chunk off the grid", replace(`{"offset":3145728,`, `{"offset":3145729,`), "chunk at 3145729, expected ascending multiples of 1048576"},
		{"chunk twice", replace(`{"offset":3145728,`, `{"offset":1048576,`), "chunk at 1048576, expected ascending"},
		{"chunk beyond the end", replace(`{"offset":6291456,`, `{"offset":7340032,`), "chunk at 7340032, expected ascending"},
		{"chunk in front", replace(`{"offset":0,`, `{"offset":-1048576,`), "chunk at -1048576"},
		{"length", replace(`"offset":0,"length":1048576`, `"offset":0,"length":1048575`), "chunk at 0: 1048575 bytes, expected 1048576"},
		{"chunk in the omitted part", string(encode(t, omitting)), "chunk at 1048576 is in the part that the manifest omits"},
		{"omits nothing", replace(`"chunks":[`, `"omits":{"offset":0,"length":0},"chunks":[`), "omits 0 bytes at 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := manifest.Decode([]byte(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.want) || fault.ClassOf(err) != fault.Input {
				t.Errorf("error %v of class %v; want %q in it, of class %v", err, fault.ClassOf(err), tt.want, fault.Input)
			}
		})
	}
}

func TestVerify(t *testing.T) {
	m := manifestOf(t, image())
	for _, tt := range []struct {
		name string
		do   func(b []byte)
		want string // "" means nothing is found
	}{
		{"clean", func([]byte) {}, ""},
		{"changed", func(b []byte) { b[3*chunk] = 1 }, "bytes 3145728 to 4194304 (partition root): SHA-256 "},
		{"not zero any more", func(b []byte) { b[5*chunk+17] = 1 }, "bytes 5242880 to 6291456 (partition root): not zero at 5242897, the manifest says that all of it is"},
		{"all zeros now", func(b []byte) { b[chunk+3] = 0 }, "bytes 1048576 to 2097152 (partition esp): all zeros, the manifest says SHA-256 "},
		{"primary table", func(b []byte) { b[512] = 1 }, "bytes 0 to 1048576 (partition table): SHA-256 "},
		{"backup table", func(b []byte) { b[size-512] = 1 }, "bytes 6291456 to 7340032 (partition table): SHA-256 "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := image()
			tt.do(b)
			bad, err := manifest.Verify(t.Context(), bytes.NewReader(b), m, manifest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case tt.want == "" && len(bad) == 0:
			case len(bad) != 1 || tt.want == "" || !strings.HasPrefix(bad[0].String(), tt.want):
				t.Errorf("found %v; want %q", bad, tt.want)
			}
		})
	}
}

// TestVerifyEveryChunk flips a byte in each chunk in turn.
func TestVerifyEveryChunk(t *testing.T) {
	m := manifestOf(t, image())
	for i := range size / chunk {
		b := image()
		b[i*chunk+999] ^= 1
		bad, err := manifest.Verify(t.Context(), bytes.NewReader(b), m, manifest.Options{})
		if err != nil || len(bad) != 1 || bad[0].Offset != i*chunk {
			t.Errorf("chunk %d: found %v, %v", i, bad, err)
		}
	}
}

func TestVerifyOmitted(t *testing.T) {
	b := image()
	m := manifestOf(t, b)
	esp := m.Partition("esp").Range()
	b[chunk+3], b[5*chunk] = 7, 7
	for _, tt := range []struct {
		name string
		m    *manifest.Manifest
		o    manifest.Options
		want int
	}{
		{"all", m, manifest.Options{}, 2},
		{"without the ESP", m.Without(esp), manifest.Options{}, 1},
		{"asked without the ESP", m, manifest.Options{Skip: &esp}, 1},
		{"asked for the ESP", m, manifest.Options{Only: &esp}, 1},
		{"asked for what is omitted", m.Without(esp), manifest.Options{Only: &esp}, 0},
	} {
		bad, err := manifest.Verify(t.Context(), bytes.NewReader(b), tt.m, tt.o)
		if err != nil || len(bad) != tt.want {
			t.Errorf("%s: found %v, %v; want %d", tt.name, bad, err, tt.want)
		}
	}
}

// FuzzDecode checks that what is accepted is written and read again as it was.
func FuzzDecode(f *testing.F) {
	m := manifestOf(f, image())
	f.Add(encode(f, m))
	f.Add(encode(f, m.Without(m.Partition("esp").Range())))
	f.Add([]byte(`{"version":1,"plan":{},"image":{"size":1},"chunks":null}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := manifest.Decode(in)
		if err != nil {
			return
		}
		text := encode(t, m)
		again, err := manifest.Decode(text)
		if err != nil {
			t.Fatalf("Decode of %s: %v", text, err)
		}
		if !bytes.Equal(encode(t, again), text) {
			t.Errorf("read again: %+v; want %+v", again, m)
		}
	})
}
