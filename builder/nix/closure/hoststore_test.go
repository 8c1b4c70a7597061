package closure

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // as Nix writes its database

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/storedb"
)

// goldenClosure is the golden closure out of a cache.
func goldenClosure(t testing.TB) *Closure {
	t.Helper()
	abs, err := filepath.Abs(golden)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Fetch(t.Context(), goldenRoots(t), options(t, abs+"/cache-zstd"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// materialise writes a store of a closure into a folder, with a database that says what
// edit makes of it. Permissions and times are not those of Nix: they count for nothing,
// but for who may execute.
func materialise(t testing.TB, c *Closure, edit func([]storedb.Object) []storedb.Object) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for e := range c.Tree.All() {
		name := filepath.Join(dir, e.Path())
		switch {
		case e.IsDir():
			if err := os.MkdirAll(name, 0o755); err != nil {
				t.Fatal(err)
			}
		case e.IsSymlink():
			if err := os.Symlink(e.Link, name); err != nil {
				t.Fatal(err)
			}
		default:
			data, err := e.Read(1 << 30)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, data, os.FileMode(e.Mode&0o777)|0o200); err != nil {
				t.Fatal(err)
			}
		}
	}
	objects := c.Objects
	if edit != nil {
		objects = edit(slices.Clone(objects))
	}
	writeDatabase(t, dir, objects)
	return dir
}

func writeDatabase(t testing.TB, dir string, objects []storedb.Object) {
	t.Helper()
	state := filepath.Join(dir, filepath.Dir(database))
	if err := os.MkdirAll(state, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, state+"/schema", storedb.Schema)
	if err := storedb.Write(t.Context(), filepath.Join(dir, database), objects); err != nil {
		t.Fatal(err)
	}
}

func openHost(t testing.TB, dir string) *HostStore {
	t.Helper()
	s, err := OpenHostStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestHostStore: a store gives the closure that a cache does, to the last bit of what
// is said of it.
func TestHostStore(t *testing.T) {
	want := goldenClosure(t)
	dir := materialise(t, want, func(objects []storedb.Object) []storedb.Object {
		// What a store knows besides, and does not count.
		for i := range objects {
			o := &objects[i]
			o.Ultimate, o.Deriver = true, nix.StorePath{Hash: o.Path.Hash, Name: "x.drv"}
			o.Sigs = append([]string{"other-1:AAAA", "fixture-1:AAAA", "broken:="}, o.Sigs...)
			if strings.HasSuffix(o.Path.Name, "-edge-cases") {
				o.CA = "text:sha256:" + strings.Repeat("0", 52) // of another path
			}
		}
		return objects
	})
	for _, workers := range []int{1, 4} {
		done, total := int64(0), int64(0)
		got, err := openHost(t, dir).Closure(t.Context(), want.Roots[0], HostOptions{
			Keys: goldenKeys(t), Signed: true, Workers: workers, Progress: func(n, of int64) { done, total = n, of },
		})
		if err != nil {
			t.Fatal(err)
		}
		checkGolden(t, got)
		if diff := cmp.Diff(listing(t, want.Tree), listing(t, got.Tree)); diff != "" {
			t.Errorf("tree (-cache +store):\n%s", diff)
		}
		if diff := cmp.Diff(want.Objects, got.Objects); diff != "" || got.Digest() != want.Digest() {
			t.Errorf("%s and %s; objects (-cache +store):\n%s", want.Digest(), got.Digest(), diff)
		}
		if done != want.Size() || total != want.Size() {
			t.Errorf("%d bytes of %d are done; want %d", done, total, want.Size())
		}
	}
}

// TestHostStoreTrust: a store is trusted unless signatures are asked for.
func TestHostStoreTrust(t *testing.T) {
	c := goldenClosure(t)
	unsigned := c.Objects[3].Path
	dir := materialise(t, c, func(objects []storedb.Object) []storedb.Object {
		objects[3].Sigs = nil
		return objects
	})
	s := openHost(t, dir)
	got, err := s.Closure(t.Context(), c.Roots[0], HostOptions{Keys: goldenKeys(t)})
	if err != nil || got.Objects[3].Sigs != nil || len(got.Objects[4].Sigs) != 1 {
		t.Errorf("trusted: %v", err)
	}
	_, err = s.Closure(t.Context(), c.Roots[0], HostOptions{Keys: goldenKeys(t), Signed: true})
	if fault.ClassOf(err) != fault.Input || !strings.HasPrefix(fmt.Sprint(err), unsigned.String()+": is not signed") {
		t.Errorf("not trusted: %v", err)
	}
}

// edges is an object with a file, a symlink, a directory and a program.
const edges = "edge-cases"

// TestHostStoreErrors: whatever is wrong with one object is one error that names it.
func TestHostStoreErrors(t *testing.T) {
	c := goldenClosure(t)
	p := part(t, edges)
	var file, link *fstree.Entry
	for e := range c.Tree.Lookup(p.String()).All() {
		if file == nil && e.IsRegular() && e.Size > 1 && e.Mode&0o100 == 0 {
			file = e
		}
		if link == nil && e.IsSymlink() {
			link = e
		}
	}
	const mend = "nix-store --store DIR --verify --check-contents --repair"
	change := func(name string, do func(name string) error) func(dir string) error {
		return func(dir string) error { return do(filepath.Join(dir, name)) }
	}
	tests := []struct {
		name string
		do   func(dir string) error
		want string
		hint string
	}{
		{"other content", change(file.Path(), func(name string) error {
			return os.WriteFile(name, bytes.Repeat([]byte("?"), int(file.Size)), 0o644)
		}), "as an archive, the database of the store says ", mend},
		{"longer", change(file.Path(), func(name string) error { return os.Truncate(name, 1<<40) }), "more than ", mend},
		{"shorter", change(file.Path(), func(name string) error { return os.Truncate(name, 0) }), "bytes as an archive, the database of the store says ", mend},
		{"executable", change(file.Path(), func(name string) error { return os.Chmod(name, 0o755) }), "bytes as an archive, ", mend},
		{"other target", change(link.Path(), func(name string) error {
			return errors.Join(os.Remove(name), os.Symlink(strings.Repeat("x", len(link.Link)), name))
		}), "SHA-256 ", mend},
		{"no file", change(file.Path(), os.Remove), "bytes as an archive, ", mend},
		{"more files", change(p.String(), func(name string) error { return os.Mkdir(name+"/~", 0o755) }), "more than ", mend},
		{"no object", change(p.String(), os.RemoveAll), "no such file or directory, but the database of the store has it", mend},
		{"pipe", change(file.Path(), func(name string) error { return errors.Join(os.Remove(name), unix.Mkfifo(name, 0o644)) }), "is of type p", mend},
		{"no database", change(database, os.Remove), "no such file", "--set nix.store=DIR"},
		{"no schema", change(filepath.Dir(database)+"/schema", os.Remove), "no file ", "--set nix.store=DIR"},
		{"another schema", change(filepath.Dir(database)+"/schema", func(name string) error { return os.WriteFile(name, []byte("9"), 0o644) }), `schema "9"`, "nix-store --verify"},
		{"damaged database", change(database, func(name string) error { return os.WriteFile(name, bytes.Repeat([]byte("x"), 8192), 0o644) }), "damaged: ", "nix-store --verify"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := materialise(t, c, nil)
			if err := tt.do(dir); err != nil {
				t.Fatal(err)
			}
			_, err := openHost(t, dir).Closure(t.Context(), c.Roots[0], HostOptions{Keys: goldenKeys(t)})
			start := p.String() + ": "
			if strings.Contains(tt.name, "database") || strings.Contains(tt.name, "schema") {
				start = "store database"
			}
			if text := fmt.Sprint(err); !strings.HasPrefix(text, start) || !strings.Contains(text, tt.want) || strings.Contains(text, "\n") {
				t.Errorf("error %q; want one line that begins with %q and has %q", text, start, tt.want)
			}
			if want := strings.ReplaceAll(tt.hint, "DIR", dir); fault.ClassOf(err) != fault.Input || !strings.Contains(fault.HintOf(err), want) && !strings.Contains(fault.HintOf(err), tt.hint) {
				t.Errorf("class %d, hint %q; want class %d and %q", fault.ClassOf(err), fault.HintOf(err), fault.Input, tt.hint)
			}
		})
	}
}

func TestOpenHostStore(t *testing.T) {
	_, err := OpenHostStore(t.TempDir())
	if fault.ClassOf(err) != fault.Input || !strings.HasSuffix(fmt.Sprint(err), "/nix/store: no such file or directory") || !strings.Contains(fault.HintOf(err), "nix.store") {
		t.Errorf("error %v with hint %q", err, fault.HintOf(err))
	}
	c := goldenClosure(t)
	absent := nix.StorePath{Hash: strings.Repeat("0", 32), Name: "x"}
	_, err = openHost(t, materialise(t, c, nil)).Closure(t.Context(), absent, HostOptions{})
	if fault.ClassOf(err) != fault.Input || !strings.Contains(fmt.Sprint(err), absent.String()+" is not valid in the store") {
		t.Errorf("error %v", err)
	}
}

// TestHostStoreDerivation: as of a cache.
func TestHostStoreDerivation(t *testing.T) {
	c := goldenClosure(t)
	drv := nix.StorePath{Hash: strings.Repeat("0", 32), Name: "x.drv"}
	dir := materialise(t, c, func(objects []storedb.Object) []storedb.Object {
		objects[0].References = []nix.StorePath{drv}
		return append(objects, storedb.Object{Path: drv, NarSize: 1, Outputs: []storedb.Output{{Name: "out", Path: objects[0].Path}}})
	})
	_, err := openHost(t, dir).Closure(t.Context(), c.Objects[0].Path, HostOptions{})
	if fault.ClassOf(err) != fault.Input || !strings.HasPrefix(fmt.Sprint(err), drv.String()+": is a derivation") {
		t.Errorf("error %v", err)
	}
}

func TestHostStoreCancel(t *testing.T) {
	c := goldenClosure(t)
	s := openHost(t, materialise(t, c, nil))
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped")
	_, err := s.Closure(ctx, c.Roots[0], HostOptions{Workers: 1, Progress: func(done, total int64) {
		if done > 0 {
			cancel(stop)
		}
	}})
	if !errors.Is(err, stop) {
		t.Errorf("error %v; want %v", err, stop)
	}
}

func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{"/srv/store-1": "/srv/store-1", "/a b": "'/a b'", "/it's": `'/it'\''s'`, "/$x": "'/$x'"} {
		if got := quoted(in); got != want {
			t.Errorf("quoted(%q) = %q; want %q", in, got, want)
		}
	}
}

// TestHostStoreLive: what a store that Nix has open says is only in its -wal file counts.
func TestHostStoreLive(t *testing.T) {
	c := goldenClosure(t)
	dir := materialise(t, c, func(objects []storedb.Object) []storedb.Object {
		objects[3].NarHash[0] ^= 1
		return objects
	})
	db, err := sql.Open("sqlite", filepath.Join(dir, database))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, text := range []string{
		"pragma journal_mode = wal", "pragma wal_autocheckpoint = 0",
		fmt.Sprintf("update ValidPaths set hash = 'sha256:%x' where path = '%s'", c.Objects[3].NarHash, c.Objects[3].Path),
	} {
		if _, err := db.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	got, err := openHost(t, dir).Closure(t.Context(), c.Roots[0], HostOptions{Keys: goldenKeys(t)})
	if err != nil || got.Digest() != c.Digest() {
		t.Errorf("error %v", err)
	}
}
