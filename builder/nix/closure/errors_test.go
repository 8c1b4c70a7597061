package closure

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/narinfo"
)

// part returns the object of the closure whose name begins so.
func part(t testing.TB, prefix string) nix.StorePath {
	t.Helper()
	for _, text := range strings.Fields(readFile(t, golden+"/store-paths")) {
		p, err := nix.ParseStorePath(text)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.Name, prefix) {
			return p
		}
	}
	t.Fatalf("no object %s", prefix)
	return nix.StorePath{}
}

// TestErrors: whatever is wrong with one object is one error that names it, and
// nothing of it is left.
func TestErrors(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, dir string, p nix.StorePath)
		want string
		hint string
	}{
		{"unsigned", func(t *testing.T, dir string, p nix.StorePath) { change(t, dir, p, "Sig", "") }, "is not signed", ""},
		{"wrong signature", func(t *testing.T, dir string, p nix.StorePath) {
			change(t, dir, p, "Sig", line(t, dir, part(t, "edge-cases"), "Sig"))
		}, "signature", ""},
		{"unknown key", func(t *testing.T, dir string, p nix.StorePath) {
			change(t, dir, p, "Sig", strings.Replace(line(t, dir, p, "Sig"), "fixture-1", "other-1", 1))
		}, "other-1", "nix.trusted-public-keys"},
		{"no metadata", func(t *testing.T, dir string, p nix.StorePath) { remove(t, dir, p.Hash+".narinfo") }, "is not in file://", "nix copy --to"},
		{"no archive", func(t *testing.T, dir string, p nix.StorePath) { remove(t, dir, line(t, dir, p, "URL")) }, "is not in the cache", ""},
		{"truncated", func(t *testing.T, dir string, p nix.StorePath) {
			name := filepath.Join(dir, line(t, dir, p, "URL"))
			write(t, name, readFile(t, name)[:40])
		}, "zstd: unexpected EOF", ""},
		{"another archive", func(t *testing.T, dir string, p nix.StorePath) {
			change(t, dir, p, "URL", line(t, dir, part(t, "edge-cases"), "URL"), "FileHash", "", "FileSize", "")
		}, "more bytes than NarSize says", ""},
		{"a smaller archive", func(t *testing.T, dir string, p nix.StorePath) {
			change(t, dir, p, "URL", line(t, dir, part(t, "firmware"), "URL"), "FileHash", "", "FileSize", "")
		}, "NarSize says", ""},
		{"a file behind", func(t *testing.T, dir string, p nix.StorePath) {
			name := filepath.Join(dir, line(t, dir, p, "URL"))
			write(t, name, readFile(t, name)+"more")
		}, "", ""},
		{"FileSize", func(t *testing.T, dir string, p nix.StorePath) {
			change(t, dir, p, "FileSize", "10000", "FileHash", "")
		}, "FileSize says 10000", ""},
		{"FileHash", func(t *testing.T, dir string, p nix.StorePath) {
			change(t, dir, p, "FileHash", "sha256:0d816jh92clb6qxml6q7qjn21yghrm2n5j4f72iiwpc6s37lig2z")
		}, "FileHash says", ""},
		{"compression", func(t *testing.T, dir string, p nix.StorePath) { change(t, dir, p, "Compression", "br") }, "compressed with br, expected", "compression=zstd"},
		{"another compression", func(t *testing.T, dir string, p nix.StorePath) { change(t, dir, p, "Compression", "xz") }, "xz: ", ""},
		{"no text", func(t *testing.T, dir string, p nix.StorePath) {
			write(t, filepath.Join(dir, p.Hash+".narinfo"), "<html>")
		}, ".narinfo", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, p := copyCache(t, "zstd", nil), part(t, "system-path")
			tt.do(t, dir, p)
			store := t.TempDir()
			o := options(t, dir)
			o.Store = openStore(t, store)
			_, err := Fetch(t.Context(), goldenRoots(t), o)
			if fault.ClassOf(err) != fault.Input || !strings.HasPrefix(err.Error(), p.String()+": ") || !strings.Contains(err.Error(), tt.want) || !strings.Contains(fault.HintOf(err), tt.hint) {
				t.Errorf("error %v (hint %q); want one of %s with %q (%q)", err, fault.HintOf(err), p, tt.want, tt.hint)
			}
			if left, _ := filepath.Glob(store + "/*.partial"); len(left) > 0 {
				t.Errorf("left %q", left)
			}
			// What is wrong in one cache is right in another.
			o.Caches = append(o.Caches, openCaches(t, copyCache(t, "xz", nil))...)
			c, err := Fetch(t.Context(), goldenRoots(t), o)
			if err != nil {
				t.Fatalf("with a second cache: %v", err)
			}
			checkGolden(t, c)
		})
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// TestFlipped: an archive of the right size with another byte is refused, in whichever
// way it comes, and another cache helps.
func TestFlipped(t *testing.T) {
	flip := func(nar []byte) []byte {
		out := bytes.Clone(nar)
		if i := bytes.LastIndex(out, []byte("stand-in")); i >= 0 {
			out[i] ^= 1
		}
		return out
	}
	packed := gzipped(t)
	for name, dir := range map[string]string{
		"plain":  copyCache(t, "none", flip),
		"packed": copyCache(t, "gzip", func(nar []byte) []byte { return packed(flip(nar)) }),
	} {
		o := options(t, dir)
		_, err := Fetch(t.Context(), goldenRoots(t), o)
		if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "NarHash says") || !strings.HasPrefix(err.Error(), nix.StoreDir) {
			t.Errorf("%s: %v", name, err)
		}
		o.Caches = append(o.Caches, openCaches(t, copyCache(t, "xz", nil))...)
		c, err := Fetch(t.Context(), goldenRoots(t), o)
		if err != nil {
			t.Errorf("%s, with a second cache: %v", name, err)
			continue
		}
		checkGolden(t, c)
	}
}

// TestKeptOfAnother: what was kept about another object is not taken for this one.
func TestKeptOfAnother(t *testing.T) {
	dir := copyCache(t, "zstd", nil)
	o := options(t, dir)
	if _, err := Fetch(t.Context(), goldenRoots(t), o); err != nil {
		t.Fatal(err)
	}
	p := part(t, "system-path")
	other := readFile(t, filepath.Join(dir, part(t, "firmware").Hash+".narinfo"))
	if err := o.Store.PutText(p.Hash, []byte(other)); err != nil {
		t.Fatal(err)
	}
	c, err := Fetch(t.Context(), goldenRoots(t), o)
	if err != nil {
		t.Fatal(err)
	}
	checkGolden(t, c)
}

// TestNeededBy: an object that is missing is named with the one that refers to it.
func TestNeededBy(t *testing.T) {
	dir, p := copyCache(t, "zstd", nil), part(t, "debian-userland")
	remove(t, dir, p.Hash+".narinfo")
	_, err := Fetch(t.Context(), goldenRoots(t), options(t, dir))
	if err == nil || !strings.HasSuffix(err.Error(), "refers to it") || !strings.HasPrefix(err.Error(), p.String()) {
		t.Errorf("error %v", err)
	}
}

// TestRefused: a cache that does not let us see an object is named with what it said, and
// with what may help, beside another that does not have it.
func TestRefused(t *testing.T) {
	dir, p := copyCache(t, "zstd", nil), part(t, "system-path")
	empty := copyCache(t, "zstd", nil)
	remove(t, empty, p.Hash+".narinfo")
	files := http.FileServer(http.Dir(dir))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/"+p.Hash) {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		files.ServeHTTP(w, r)
	}))
	defer s.Close()
	for _, caches := range [][]string{{s.URL}, {empty, s.URL}, {s.URL, empty}} {
		_, err := Fetch(t.Context(), goldenRoots(t), options(t, caches...))
		if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "403 Forbidden") || !strings.Contains(fault.HintOf(err), "netrc") {
			t.Errorf("%d caches: %v (hint %q)", len(caches), err, fault.HintOf(err))
		}
		if err != nil && len(caches) == 2 && !strings.Contains(err.Error(), empty) {
			t.Errorf("%v; want the other cache named", err)
		}
	}
}

// TestUnsigned: objects without signature are taken when that is asked for, of one
// cache or of all.
func TestUnsigned(t *testing.T) {
	dir := copyCache(t, "zstd", nil)
	change(t, dir, part(t, "system-path"), "Sig", "")
	o := options(t, dir)
	o.Unsigned = true
	if _, err := Fetch(t.Context(), goldenRoots(t), o); err != nil {
		t.Error(err)
	}
	o = options(t, "file://"+dir+"?trusted=1")
	o.Keys = narinfo.Keys{}
	if _, err := Fetch(t.Context(), goldenRoots(t), o); err != nil {
		t.Error(err)
	}
	// What was taken from a trusted cache is not trusted when that is gone.
	o.Caches = nil
	_, err := Fetch(t.Context(), goldenRoots(t), o)
	if fault.ClassOf(err) != fault.Input || !strings.HasPrefix(fault.HintOf(err), "build without --offline, if it was taken from a cache of trusted=1; or ") {
		t.Errorf("without the cache: %v, hint %s", err, fault.HintOf(err))
	}
	if want := goldenRoots(t)[0].String() + ": signed by"; !strings.HasPrefix(fmt.Sprint(err), want) || !strings.HasSuffix(fmt.Sprint(err), "; it was fetched before, by another trust") {
		t.Errorf("without the cache: %v; want %s", err, want)
	}
}

// TestKeptDamaged: an archive that was kept and is damaged now is fetched again; where
// that cannot be, it is an error.
func TestKeptDamaged(t *testing.T) {
	store, dir := t.TempDir(), copyCache(t, "zstd", nil)
	o := options(t, dir)
	o.Store = openStore(t, store)
	if _, err := Fetch(t.Context(), goldenRoots(t), o); err != nil {
		t.Fatal(err)
	}
	archives, _ := filepath.Glob(store + "/*.nar.zst")
	for _, name := range archives {
		data := []byte(readFile(t, name))
		data[len(data)/3] ^= 1
		write(t, name, string(data))
	}
	o.Store = openStore(t, store)
	c, err := Fetch(t.Context(), goldenRoots(t), o)
	if err != nil {
		t.Fatal(err)
	}
	checkGolden(t, c)
	for _, name := range archives {
		write(t, name, readFile(t, name)[:20])
	}
	o.Store, o.Caches = openStore(t, store), nil
	if _, err := Fetch(t.Context(), goldenRoots(t), o); fault.ClassOf(err) != fault.Input {
		t.Errorf("without the cache: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := fmt.Errorf("enough")
	o := options(t, copyCache(t, "zstd", nil))
	o.Progress = func(done, _ int64) {
		if done > 0 {
			cancel(cause)
		}
	}
	if _, err := Fetch(ctx, goldenRoots(t), o); err != cause {
		t.Errorf("error %v; want %v", err, cause)
	}
}

// TestProven: what nobody signed, or one who is not trusted, is not recorded: caches
// that differ in it alone give the same closure.
func TestProven(t *testing.T) {
	dir, p := copyCache(t, "zstd", nil), part(t, "system-path")
	want, err := Fetch(t.Context(), goldenRoots(t), options(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, p.Hash+".narinfo")
	sig := line(t, dir, p, "Sig")
	write(t, name, edit(readFile(t, name), "Deriver", "0rainh73cbz2y7il94i675aywqz7lh3s-other.drv")+
		"Sig: "+strings.Replace(sig, "fixture-1", "other-1", 1)+"\nCA: fixed:r:sha256:11yvwhz7prai41mjgl8fs4ccflqk3m7274xc9ds6yn1hj0gy534w\n")
	got, err := Fetch(t.Context(), goldenRoots(t), options(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Objects, got.Objects); diff != "" || want.Digest() != got.Digest() {
		t.Error(diff)
	}
	for _, o := range got.Objects {
		if o.Path == p && (len(o.Sigs) != 1 || o.Sigs[0] != sig || o.CA != "" || !o.Deriver.IsZero()) {
			t.Errorf("recorded %+v", o)
		}
	}
}

// TestDerivation: a derivation is refused before anything is fetched.
func TestDerivation(t *testing.T) {
	p := goldenRoots(t)[0]
	p.Name += ".drv"
	if _, err := Fetch(t.Context(), []nix.StorePath{p}, options(t)); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "is a derivation") {
		t.Errorf("error %v", err)
	}
}
