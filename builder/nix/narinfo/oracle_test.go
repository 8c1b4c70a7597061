package narinfo

import (
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gonix "github.com/nix-community/go-nix/pkg/narinfo"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// compareGoNix compares an Info with what go-nix has.
func compareGoNix(t *testing.T, i *Info, theirs *gonix.NarInfo) {
	t.Helper()
	type view struct {
		Path, URL, Compression, Deriver, CA, Fingerprint, FileHash string
		FileSize                                                   uint64
		References, Sigs                                           []string
	}
	ours := view{i.Path.String(), i.URL, i.Compression, "", i.CA, i.Fingerprint(), "", uint64(i.FileSize), nil, nil}
	if !i.Deriver.IsZero() {
		ours.Deriver = i.Deriver.Base()
	}
	if i.FileHash != nil {
		ours.FileHash = fmt.Sprintf("%x", *i.FileHash)
	}
	for _, p := range i.References {
		ours.References = append(ours.References, p.Base())
	}
	for _, s := range i.Sigs {
		ours.Sigs = append(ours.Sigs, s.String())
	}
	other := view{theirs.StorePath, theirs.URL, theirs.Compression, theirs.Deriver, theirs.CA, theirs.Fingerprint(), "", theirs.FileSize, theirs.References, nil}
	if theirs.FileHash != nil {
		other.FileHash = fmt.Sprintf("%x", theirs.FileHash.Digest())
	}
	for _, s := range theirs.Signatures {
		if !slices.Contains(other.Sigs, s.String()) {
			other.Sigs = append(other.Sigs, s.String())
		}
	}
	if len(other.References) == 0 {
		other.References = nil
	}
	if diff := cmp.Diff(other, ours); diff != "" {
		t.Errorf("%s: -go-nix +ours:\n%s", i.Path, diff)
	}
}

func TestGoNix(t *testing.T) {
	texts := goldenInfos(t)
	texts["cache.nixos.org"] = nixosInfo
	want := map[string]int{"fixture-1": 26, nixosName: 1}
	if got := compareAll(t, texts); !maps.Equal(got, want) {
		t.Errorf("signed: %v; want %v", got, want)
	}
}

// TestGoNixOwn does the same with the texts of go-nix's tests, from the module cache,
// which may be another user's.
func TestGoNixOwn(t *testing.T) {
	imgtest.NeedRoot(t)
	if got := compareAll(t, foreignInfos(t)); got[nixosName] < 2 {
		t.Errorf("signed: %v", got)
	}
}

// compareAll compares texts as both read them, and returns how many are signed by a key.
func compareAll(t *testing.T, texts map[string]string) map[string]int {
	t.Helper()
	bySigner := map[string]int{}
	for name, text := range texts {
		theirs, err := gonix.Parse(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ours := mustParse(t, text)
		compareGoNix(t, ours, theirs)
		if by, err := mustKeys(t, nixosKey, readFile(t, golden+"key.pub")).Verify(ours); err == nil {
			bySigner[by]++
		}
	}
	return bySigner
}

// foreignInfos returns the narinfo texts among the tests of go-nix, which are in
// the module cache.
func foreignInfos(t *testing.T) map[string]string {
	t.Helper()
	imgtest.Need(t, "go")
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/nix-community/go-nix").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(string(out))
	texts := map[string]string{"big": readFile(t, dir+"/test/testdata/big.narinfo")}
	for _, pkg := range []string{"/pkg/narinfo", "/pkg/narinfo/signature"} {
		matches, err := filepath.Glob(dir + pkg + "/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, source := range matches {
			parsed, err := parser.ParseFile(token.NewFileSet(), source, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					if text, err := strconv.Unquote(literal.Value); err == nil && strings.HasPrefix(text, "\nStorePath: ") {
						texts[fmt.Sprintf("%s:%d", source, literal.Pos())] = text[1:]
					}
				}
				return true
			})
		}
	}
	if len(texts) < 8 {
		t.Errorf("%d texts of go-nix, expected 8 or more", len(texts))
	}
	return texts
}

// nixScript makes objects of each kind and prints their paths.
const nixScript = `[
  (builtins.path { name = "flat"; path = ./flat; recursive = false; })
  (builtins.path { name = "tree"; path = ./tree; })
  (builtins.toFile "text" "hello")
  (builtins.toFile "refs" "${builtins.toFile "text" "hello"} ${builtins.toFile "other" "other"}")
]`

// TestNix lets Nix make content-addressed objects and a cache of them, and reads
// that.
func TestNix(t *testing.T) {
	imgtest.Need(t, "nix-store", "nix-instantiate", "nix")
	dir := t.TempDir()
	t.Cleanup(func() { // objects of a store are read-only
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(path, 0o755)
			}
			return nil
		})
	})
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("flat", "hello")
	write("tree/a", "hi")
	write("objects.nix", nixScript)
	nixEnv := append(os.Environ(), "HOME="+dir, "XDG_CACHE_HOME="+dir+"/cache-home", "NIX_REMOTE=",
		"NIX_CONFIG=experimental-features = nix-command\nbuild-users-group =\nsubstituters =\nsandbox = false\nfilter-syscalls = false")
	run := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Env, cmd.Dir = nixEnv, dir
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, stderr.String())
		}
		return string(out)
	}
	store := dir + "/store"
	paths := []string{}
	for word := range strings.FieldsSeq(run("nix-instantiate", "--store", store, "--eval", "--strict", "--read-write-mode", "objects.nix")) {
		if p, err := strconv.Unquote(word); err == nil {
			paths = append(paths, p)
		}
	}
	for _, args := range [][]string{{"sha1", "flat"}, {"--recursive", "sha512", "tree"}} {
		paths = append(paths, strings.TrimSpace(run("nix-store", append([]string{"--store", store, "--add-fixed"}, args...)...)))
	}
	run("nix", append([]string{"--offline", "copy", "--no-check-sigs", "--from", store, "--to", "file://" + dir + "/binary?compression=none"}, paths...)...)
	compareNix(t, dir+"/binary", paths)
}

// compareNix reads a cache of content-addressed objects and checks that each of
// them is proven by its content.
func compareNix(t *testing.T, cache string, paths []string) {
	t.Helper()
	if _, err := ParseCacheInfo("nix-cache-info", []byte(readFile(t, cache+"/nix-cache-info"))); err != nil {
		t.Error(err)
	}
	names, err := filepath.Glob(cache + "/*.narinfo")
	if err != nil || len(names) != len(paths)+1 { // and the other one that "refs" refers to
		t.Fatalf("%d files for %d paths, %v", len(names), len(paths), err)
	}
	seen := map[string]bool{}
	for _, name := range names {
		i := mustParse(t, readFile(t, name))
		c, err := i.ContentAddressed()
		if err != nil || c == nil {
			t.Errorf("%s: %v, %v", i.CA, c, err)
			continue
		}
		seen[i.Path.String()] = true
		archive := readFile(t, filepath.Join(cache, i.URL))
		if sha256.Sum256([]byte(archive)) != i.NarHash || int64(len(archive)) != i.NarSize {
			t.Errorf("%s: the archive has another hash or size", i.Path)
		}
		ofNAR, algorithm, digest := c.Digest()
		content := archive
		if !ofNAR {
			content = readFile(t, filepath.Join(filepath.Dir(cache), "store", i.Path.String()))
			if !strings.Contains(archive, content) {
				t.Errorf("%s: %q is not in the archive", i.Path, content)
			}
		}
		hash := algorithm.New()
		hash.Write([]byte(content))
		if !slices.Equal(hash.Sum(nil), digest) || c.String() != i.CA {
			t.Errorf("%s: %s for a digest %x", i.Path, c, hash.Sum(nil))
		}
	}
	for _, p := range paths {
		if !seen[p] {
			t.Errorf("%s: is not in the cache", p)
		}
	}
}
