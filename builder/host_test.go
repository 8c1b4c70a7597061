package builder_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// ofTheHost are functions whose result depends on the host, the day or chance.
var ofTheHost = []string{
	"time.Now", "time.Since", "time.Until", "time.Local", "time.LoadLocation",
	"os.Getenv", "os.LookupEnv", "os.Environ", "os.Hostname", "os.Getuid", "os.Geteuid", "os.Getgid", "os.Getegid",
	"os.UserHomeDir", "user.Current", "user.Lookup",
}

// chance are packages of random numbers.
var chance = []string{`"math/rand"`, `"math/rand/v2"`, `"crypto/rand"`}

// mayAskHost are the few places that do, and whose answers reach no byte of an
// image.
var mayAskHost = map[string]string{
	"builder/source/install.go":  "the environment of mmdebstrap",
	"builder/source/rootless.go": "how mmdebstrap is run",
}

// TestNoHost reads the code that makes images: nothing in it asks the host for
// the time, the user, the environment or a random number.
func TestNoHost(t *testing.T) {
	for _, dir := range []string{"../builder", "../profiles", "../layouts", "../initramfs"} {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			path := filepath.ToSlash(strings.TrimPrefix(name, "../"))
			if d.IsDir() && slices.Contains([]string{"builder/imgtest", "initramfs/boot", "initramfs/busybox"}, path) {
				return fs.SkipDir // tests, the guest, and a program of make
			}
			if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || mayAskHost[path] != "" {
				return nil
			}
			for _, found := range asksHost(t, name) {
				t.Errorf("%s: uses %s", path, found)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// asksHost returns what a file uses of the lists above.
func asksHost(t *testing.T, name string) (found []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range file.Imports {
		if slices.Contains(chance, spec.Path.Value) {
			found = append(found, spec.Path.Value)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && slices.Contains(ofTheHost, x.Name+"."+s.Sel.Name) {
				found = append(found, x.Name+"."+s.Sel.Name)
			}
		}
		return true
	})
	return found
}
