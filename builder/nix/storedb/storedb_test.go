package storedb

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/nix"
)

// digits are those of Nix' base 32.
const digits = "0123456789abcdfghijklmnpqrsvwxyz"

// pathOf returns the i-th of many store paths. Their order is not that of i.
func pathOf(i int, name string) nix.StorePath {
	rng := rand.New(rand.NewPCG(uint64(i), 7))
	hash := make([]byte, 32)
	for k := range hash {
		hash[k] = digits[rng.IntN(len(digits))]
	}
	return nix.StorePath{Hash: string(hash), Name: name}
}

// many returns n objects with refs references each, to objects before them and,
// for some, to themselves.
func many(n, refs int) []Object {
	rng := rand.New(rand.NewPCG(1, 2))
	objects := make([]Object, n)
	for i := range objects {
		o := &objects[i]
		o.Path = pathOf(i, fmt.Sprintf("package-%d-1.%d", i, i%17))
		binary.BigEndian.PutUint64(o.NarHash[:], uint64(i)*0x9e3779b97f4a7c15)
		o.NarSize = int64(i)*4099 + 112
		o.Deriver = pathOf(-i-1, o.Path.Name+".drv")
		o.Sigs = []string{fmt.Sprintf("cache.example.org-1:%086d==", i)}
		if i%10 == 0 {
			o.References = append(o.References, o.Path)
		}
		for len(o.References) < min(refs, i) {
			o.References = append(o.References, objects[rng.IntN(i)].Path)
		}
	}
	return objects
}

// inStore returns the name of a database to be, in a folder with the file
// schema of a store.
func inStore(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "schema"), []byte(Schema), 0o644); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "db.sqlite")
}

// written returns the name of a database with objects.
func written(t testing.TB, objects []Object) string {
	t.Helper()
	name := inStore(t)
	if err := Write(t.Context(), name, objects); err != nil {
		t.Fatal(err)
	}
	return name
}

// BenchmarkWrite makes the database of a large NixOS system: 10,000 objects of
// 10 references.
func BenchmarkWrite(b *testing.B) {
	objects := many(10_000, 10)
	dir := b.TempDir()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := Write(b.Context(), filepath.Join(dir, fmt.Sprint(i)), objects); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead reads the same.
func BenchmarkRead(b *testing.B) {
	name := written(b, many(10_000, 10))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(b.Context(), name); err != nil {
			b.Fatal(err)
		}
	}
}
