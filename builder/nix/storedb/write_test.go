package storedb

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// few are objects with every column set and unset.
func few() []Object {
	a, b, c := pathOf(1, "a"), pathOf(2, "b"), pathOf(3, "c.drv")
	return []Object{
		{Path: a, NarSize: 1, NarHash: [32]byte{1, 31: 0xfe}, References: []nix.StorePath{a, b, c}, Sigs: []string{"k-1:QQ==", "l-1:Qg=="}, Deriver: c, Ultimate: true},
		{Path: b, NarSize: 1 << 40, CA: "fixed:r:sha256:04zwf782yjwnh3q6hz5izfd6jyip8kgw6g6yj43fiqhbyhdd0dqw"},
		{Path: c, NarSize: 112, References: []nix.StorePath{b}, Deriver: pathOf(4, "elsewhere.drv"), Outputs: []Output{{"dev", pathOf(5, "a-dev")}, {"out", a}}},
	}
}

// byPath returns objects sorted as Read does.
func byPath(objects []Object) []Object {
	objects = slices.Clone(objects)
	slices.SortFunc(objects, func(a, b Object) int { return a.Path.Compare(b.Path) })
	for i, o := range objects {
		refs := slices.Clone(o.References)
		slices.SortFunc(refs, nix.StorePath.Compare)
		objects[i].References = slices.Compact(refs)
	}
	return objects
}

func TestRoundTrip(t *testing.T) {
	for _, objects := range [][]Object{nil, few(), many(300, 12)} {
		got, err := Read(t.Context(), written(t, objects))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(byPath(objects), got); diff != "" {
			t.Errorf("%d objects: written and read (-want +got):\n%s", len(objects), diff)
		}
	}
}

// TestWriteSame: neither the order of objects, references and signatures nor a
// repeat in those changes a byte, and the input stays as it is.
func TestWriteSame(t *testing.T) {
	objects := append(many(2000, 8), few()...)
	want, err := os.ReadFile(written(t, objects))
	if err != nil {
		t.Fatal(err)
	}
	shuffled := slices.Clone(objects)
	rng := rand.New(rand.NewPCG(3, 4))
	rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for i := range shuffled {
		o := &shuffled[i]
		o.References = slices.Concat(o.References, o.References)
		slices.Reverse(o.References)
		o.Sigs = slices.Concat(o.Sigs, o.Sigs)
		slices.Reverse(o.Sigs)
		o.Outputs = slices.Clone(o.Outputs)
		slices.Reverse(o.Outputs)
	}
	before := deepClone(shuffled)
	for _, in := range [][]Object{objects, shuffled} {
		got, err := os.ReadFile(written(t, in))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Error("equal objects gave other bytes")
		}
	}
	if !reflect.DeepEqual(shuffled, before) {
		t.Error("Write changed its input")
	}
}

func deepClone(objects []Object) []Object {
	objects = slices.Clone(objects)
	for i := range objects {
		objects[i].References = slices.Clone(objects[i].References)
		objects[i].Sigs = slices.Clone(objects[i].Sigs)
		objects[i].Outputs = slices.Clone(objects[i].Outputs)
	}
	return objects
}

// TestWriteHeader: what of the file is not rows is as the comment of Write says.
func TestWriteHeader(t *testing.T) {
	name := written(t, few())
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if size := binary.BigEndian.Uint16(data[16:]); size != 4096 || len(data)%4096 != 0 {
		t.Errorf("page size %d, file of %d bytes; want pages of 4096", size, len(data))
	}
	// Not 2, WAL mode: such a file cannot be read from a folder that is read-only.
	if data[18] != 1 || data[19] != 1 {
		t.Errorf("file format versions %d and %d; want 1", data[18], data[19])
	}
	var version []int
	for _, text := range strings.Split(one[string](t, name, "select sqlite_version()"), ".") {
		n := 0
		for _, c := range text {
			n = 10*n + int(c-'0')
		}
		version = append(version, n)
	}
	if got, want := int(binary.BigEndian.Uint32(data[96:])), version[0]*1_000_000+version[1]*1000+version[2]; got != want {
		t.Errorf("SQLite version at offset 96 is %d; want %d", got, want)
	}
	if text := one[string](t, name, "pragma integrity_check"); text != "ok" {
		t.Errorf("integrity_check: %s", text)
	}
	if n := one[int](t, name, "select count(*) from pragma_foreign_key_check"); n != 0 {
		t.Errorf("%d violations of foreign keys", n)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm()&^0o022 != 0o644&^0o022 {
		t.Errorf("mode %v, %v; want 0644", info.Mode(), err)
	}
}

func TestWriteRefuses(t *testing.T) {
	other := pathOf(9, "other")
	change := func(f func(o *Object)) []Object {
		objects := few()
		f(&objects[0])
		return objects
	}
	sigs := func(n int) []Object {
		return change(func(o *Object) { o.Sigs = []string{"k-1:" + strings.Repeat("A", n-14), "l-1:AAAAA"} })
	}
	ca := func(n int) []Object { return change(func(o *Object) { o.CA = "text:" + strings.Repeat("A", n-5) }) }
	outputs := func(list ...Output) []Object {
		return append(few()[:2], Object{Path: few()[2].Path, NarSize: 1, Outputs: list})
	}
	named := func(n int) []Object { return outputs(Output{strings.Repeat("n", n), other}) }
	size := func(n int64) []Object { return change(func(o *Object) { o.NarSize = n }) }
	tests := []struct {
		name    string
		objects []Object
		want    string // in the error; empty: none
	}{
		{"reference outside", change(func(o *Object) { o.References = append(o.References, other) }), few()[0].Path.String() + ": refers to " + other.String()},
		{"path twice", append(few(), few()[1]), few()[1].Path.String() + ": is there twice"},
		{"no path", change(func(o *Object) { o.Path, o.References = nix.StorePath{}, nil }), "expected 32 letters"},
		{"bad path", change(func(o *Object) { o.Path.Name = "../x" }), "expected 32 letters"},
		{"bad deriver", change(func(o *Object) { o.Deriver.Name = "" }), "deriver: store path"},
		{"size -1", size(-1), "NAR of -1 bytes"},
		{"size 0", size(0), "NAR of 0 bytes"},
		{"size 1", size(1), ""},
		{"signature without name", change(func(o *Object) { o.Sigs = []string{":QQ=="} }), "expected NAME:BASE64"},
		{"signature without value", change(func(o *Object) { o.Sigs = []string{"k-1:"} }), "expected NAME:BASE64"},
		{"empty signature", change(func(o *Object) { o.Sigs = []string{""} }), "expected NAME:BASE64"},
		{"space in signature", change(func(o *Object) { o.Sigs = []string{"k-1:Q Q"} }), "expected NAME:BASE64"},
		{"NUL in signature", change(func(o *Object) { o.Sigs = []string{"k-1:Q\x00Q"} }), "expected NAME:BASE64"},
		{"signatures at the limit -1", sigs(maxText - 1), ""},
		{"signatures at the limit", sigs(maxText), ""},
		{"signatures at the limit +1", sigs(maxText + 1), "signatures of 65537 bytes"},
		{"content address", change(func(o *Object) { o.CA = "text" }), "expected METHOD:HASH"},
		{"content address at the limit -1", ca(maxText - 1), ""},
		{"content address at the limit", ca(maxText), ""},
		{"derivation without outputs", outputs(), "c.drv: a derivation without outputs"},
		{"outputs of another object", change(func(o *Object) { o.Outputs = few()[2].Outputs }), "has the output \"dev\""},
		{"output without name", named(0), "output \"\": expected"},
		{"output of the shortest name", named(1), ""},
		{"output at the limit -1", named(maxOutput - 1), ""},
		{"output at the limit", named(maxOutput), ""},
		{"output at the limit +1", named(maxOutput + 1), "of 1 to 211 bytes"},
		{"output with a space", outputs(Output{"o u", other}), "output \"o u\": expected"},
		{"output twice", outputs(Output{"out", other}, Output{"out", other}), "output \"out\": expected another name"},
		{"output without path", outputs(Output{Name: "out"}), "output out: store path"},
		{"content address at the limit +1", ca(maxText + 1), "content address of 65537 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := inStore(t)
			err := Write(t.Context(), name, tt.objects)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if got, err := Read(t.Context(), name); err != nil || !cmp.Equal(got, byPath(tt.objects)) {
					t.Errorf("read back: %d objects, %v", len(got), err)
				}
				return
			}
			if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Write = %v; want class input and %q", err, tt.want)
			}
			alone(t, name, "schema")
		})
	}
}

// alone fails unless a database's folder holds just these files.
func alone(t *testing.T, name string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("the folder holds %q; want %q", got, want)
	}
}

// TestWriteNew: nothing that is there is written over, played back or deleted.
func TestWriteNew(t *testing.T) {
	for _, there := range []string{"db.sqlite", "db.sqlite-wal", "db.sqlite-shm", "db.sqlite-journal"} {
		name := inStore(t)
		file := filepath.Join(filepath.Dir(name), there)
		if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := Write(t.Context(), name, few())
		if fault.ClassOf(err) != fault.Target || fault.HintOf(err) != "rm "+file {
			t.Errorf("%s: %v, hint %q; want class target", there, err, fault.HintOf(err))
		}
		if data, err := os.ReadFile(file); err != nil || string(data) != "mine" {
			t.Errorf("%s: %q, %v after Write", there, data, err)
		}
		alone(t, name, there, "schema")
	}
	name := filepath.Join(t.TempDir(), "none", "db.sqlite")
	if err := Write(t.Context(), name, few()); err == nil {
		t.Error("a folder that is not there: no error")
	}
	odd := filepath.Join(t.TempDir(), "a b?mode=memory#%41")
	if err := Write(t.Context(), odd, few()); err != nil {
		t.Fatal(err)
	}
	alone(t, odd, filepath.Base(odd))
	plainly := inStore(t)
	if err := os.Rename(odd, plainly); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(t.Context(), plainly); err != nil || len(got) != 3 {
		t.Errorf("written to %q: %d objects, %v; want 3", odd, len(got), err)
	}
}

// limited is a context that ends when it was asked n times.
type limited struct {
	context.Context
	left   int
	cancel context.CancelFunc
}

func (l *limited) Err() error {
	if l.left--; l.left < 0 {
		l.cancel()
	}
	return l.Context.Err()
}

// TestWriteCancelled ends the context before Write, and at every question for it
// on the way: then there is no file.
func TestWriteCancelled(t *testing.T) {
	objects := many(20, 3)
	for n := 0; ; n++ {
		name := inStore(t)
		ctx, cancel := context.WithCancel(t.Context())
		err := Write(&limited{ctx, n, cancel}, name, objects)
		cancel()
		if err == nil {
			if n < len(objects) {
				t.Errorf("asked %d times for %d objects", n, len(objects))
			}
			alone(t, name, "db.sqlite", "schema")
			return
		}
		if !strings.Contains(err.Error(), context.Canceled.Error()) {
			t.Errorf("question %d: %v; want %v", n, err, context.Canceled)
		}
		alone(t, name, "schema")
	}
}
