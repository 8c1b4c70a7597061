package closure

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/bincache"
	"github.com/6FaNcY9/mkimage/builder/nix/narinfo"
	"github.com/6FaNcY9/mkimage/builder/nix/narstore"
	"github.com/6FaNcY9/mkimage/builder/unpack"
)

const golden = "../testdata/golden"

func readFile(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func goldenRoots(t testing.TB) []nix.StorePath {
	t.Helper()
	p, err := nix.ParseStorePath(strings.TrimSpace(readFile(t, golden+"/toplevel")))
	if err != nil {
		t.Fatal(err)
	}
	return []nix.StorePath{p}
}

func goldenKeys(t testing.TB) narinfo.Keys {
	t.Helper()
	keys, err := narinfo.ParseKeys(readFile(t, golden+"/key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// copyCache copies a golden cache into a folder that a test may change. Pack, when
// it is not nil, gives another form of each archive.
func copyCache(t testing.TB, compression string, pack func(nar []byte) []byte) string {
	t.Helper()
	dir := t.TempDir()
	from := golden + "/cache-zstd"
	if pack == nil {
		if err := os.CopyFS(dir, os.DirFS(golden+"/cache-"+compression)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	if err := os.Mkdir(dir+"/nar", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/nix-cache-info", readFile(t, from+"/nix-cache-info"))
	names, _ := filepath.Glob(from + "/*.narinfo")
	for _, name := range names {
		info, err := narinfo.Parse(name, []byte(readFile(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		r, err := unpack.ByName("zstd").Open(strings.NewReader(readFile(t, from+"/"+info.URL)))
		if err != nil {
			t.Fatal(err)
		}
		nar, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		url := "nar/" + info.Path.Hash + ".nar"
		write(t, dir+"/"+url, string(pack(nar)))
		write(t, dir+"/"+filepath.Base(name), edit(readFile(t, name), "URL", url, "Compression", compression, "FileHash", "", "FileSize", ""))
	}
	return dir
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// edit changes lines of a narinfo, or drops those that become empty.
func edit(text string, pairs ...string) string {
	var out []string
	for line := range strings.Lines(text) {
		for i := 0; i < len(pairs); i += 2 {
			if strings.HasPrefix(line, pairs[i]+": ") {
				line = pairs[i] + ": " + pairs[i+1] + "\n"
				if pairs[i+1] == "" {
					line = ""
				}
			}
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

// change edits the narinfo of an object in a cache.
func change(t testing.TB, dir string, p nix.StorePath, pairs ...string) {
	t.Helper()
	name := filepath.Join(dir, p.Hash+".narinfo")
	write(t, name, edit(readFile(t, name), pairs...))
}

// line returns what a narinfo says.
func line(t testing.TB, dir string, p nix.StorePath, key string) string {
	t.Helper()
	for line := range strings.Lines(readFile(t, filepath.Join(dir, p.Hash+".narinfo"))) {
		if value, ok := strings.CutPrefix(line, key+": "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("%s: no %s", p, key)
	return ""
}

func openCaches(t testing.TB, urls ...string) (caches []*bincache.Cache) {
	t.Helper()
	for _, url := range urls {
		if strings.HasPrefix(url, "/") {
			url = "file://" + url
		}
		c, err := bincache.Open(t.Context(), url, bincache.Options{Attempts: 2, Pause: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		caches = append(caches, c)
	}
	return caches
}

func openStore(t testing.TB, dir string) *narstore.Store {
	t.Helper()
	s, err := narstore.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// options are those of a test with new and empty store.
func options(t testing.TB, urls ...string) Options {
	t.Helper()
	return Options{Caches: openCaches(t, urls...), Store: openStore(t, t.TempDir()), Keys: goldenKeys(t), Log: func(s string) { t.Log(s) }}
}

// listing lists a tree with all content.
func listing(t testing.TB, tree *fstree.Tree) (lines []string) {
	t.Helper()
	for e := range tree.All() {
		line := fmt.Sprintf("%o %d:%d %d.%d %d %q %q", e.Mode, e.UID, e.GID, e.Sec, e.Nsec, e.Size, e.Path(), e.Link)
		if e.Content != nil {
			f, err := e.Content.Open(e)
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(io.NewSectionReader(f, 0, e.Size))
			if err != nil {
				t.Fatal(err)
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(data))
		}
		lines = append(lines, line)
	}
	return lines
}

func gzipped(t testing.TB) func([]byte) []byte {
	return func(nar []byte) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		w.Write(nar)
		w.Close()
		return out.Bytes()
	}
}

// TestFetch: the same closure comes out of caches of every kind, and out of what
// was kept of one.
func TestFetch(t *testing.T) {
	server := httptest.NewServer(http.FileServer(http.Dir(golden + "/cache-xz")))
	defer server.Close()
	abs, err := filepath.Abs(golden)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	var digest string
	for _, url := range []string{
		abs + "/cache-zstd", abs + "/cache-xz", server.URL,
		copyCache(t, "none", func(nar []byte) []byte { return nar }), copyCache(t, "gzip", gzipped(t)),
	} {
		o := options(t, url)
		done := int64(0)
		o.Progress = func(n, total int64) { done = n }
		c, err := Fetch(t.Context(), goldenRoots(t), o)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		got := listing(t, c.Tree)
		if want == nil {
			want, digest = got, c.Digest()
			checkGolden(t, c)
		}
		if diff := cmp.Diff(want, got); diff != "" || digest != c.Digest() {
			t.Errorf("%s: %s", url, diff)
		}
		if done != c.Size() {
			t.Errorf("%s: %d bytes are done of %d", url, done, c.Size())
		}
		if strings.HasPrefix(url, abs) {
			o.Caches = nil
			again, err := Fetch(t.Context(), goldenRoots(t), o)
			if err != nil {
				t.Errorf("%s, kept: %v", url, err)
			} else if diff := cmp.Diff(want, listing(t, again.Tree)); diff != "" || again.Digest() != digest {
				t.Errorf("%s, kept: %s", url, diff)
			}
		}
	}
}

// checkGolden compares a closure with what Nix says of it.
func checkGolden(t *testing.T, c *Closure) {
	t.Helper()
	var paths []string
	for _, o := range c.Objects {
		paths = append(paths, o.Path.String())
	}
	want := strings.Fields(readFile(t, golden+"/store-paths"))
	slices.Sort(want)
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
	if want := strings.TrimSpace(readFile(t, golden+"/total-nar-size")); want != fmt.Sprint(c.Size()) {
		t.Errorf("%d bytes, Nix says %s", c.Size(), want)
	}
	if n := len(c.Tree.Lookup(nix.StoreDir).Children()); n != len(want) {
		t.Errorf("%d entries in the store directory, expected %d", n, len(want))
	}
	lines := strings.Join(listing(t, c.Tree), "\n")
	root := goldenRoots(t)[0].Base()
	for _, want := range []string{
		"41775 0:30000 1.0 0 \"nix/store\" \"\"\n", "40555 0:0 1.0 0 \"nix/store/" + root + "\"", "100444 0:0 1.0 ", "100555 0:0 1.0 ", "120777 0:0 1.0 ",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("no line with %q", want)
		}
	}
}

// TestEqualArchives: objects of different names and equal content are fetched at the same
// time, into one archive.
func TestEqualArchives(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/nar", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/nix-cache-info", "StoreDir: /nix/store\n")
	archive := gzipped(t)(archiveOf(t, true, false, strings.Repeat("equal ", 200_000)))
	var roots []nix.StorePath
	plain := archiveOf(t, true, false, strings.Repeat("equal ", 200_000))
	for i := range 12 {
		p := nix.StorePath{Hash: strings.Repeat("0", 30) + fmt.Sprintf("%02d", i), Name: "equal"}
		write(t, fmt.Sprintf("%s/nar/%d.gz", dir, i), string(archive))
		write(t, dir+"/"+p.Hash+".narinfo", fmt.Sprintf("StorePath: %s\nURL: nar/%d.gz\nCompression: gzip\nNarHash: sha256:%x\nNarSize: %d\nReferences: \n", p, i, sha256.Sum256(plain), len(plain)))
		roots = append(roots, p)
	}
	o := options(t, dir)
	o.Unsigned, o.Workers = true, 8
	c, err := Fetch(t.Context(), roots, o)
	if err != nil {
		t.Fatal(err)
	}
	lines := listing(t, c.Tree)
	if n := len(lines); n != 3+2*len(roots) {
		t.Errorf("%d entries", n)
	}
}

// TestTooMuch: what a cache sends behind an archive is bounded, whatever it says.
func TestTooMuch(t *testing.T) {
	plain := archiveOf(t, false, false, "x")
	most := mostPacked(&narinfo.Info{NarSize: int64(len(plain))})
	for n, ok := range map[int64]bool{most - 1: true, most: true, most + 1: false} {
		c := &checkedReader{r: io.LimitReader(zeros{}, n), most: most}
		if err := c.end(); (err == nil) != ok {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
