package builder_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ofTheHost are names of packages, by import path, whose values depend on the
// host, the day or chance.
var ofTheHost = []string{
	"time.Now", "time.Since", "time.Until", "time.Local", "time.LoadLocation",
	"os.Getenv", "os.LookupEnv", "os.Environ", "os.Hostname", "os.Getuid", "os.Geteuid", "os.Getgid", "os.Getegid",
	"os.UserHomeDir", "os.Getwd", "os.Getpid", "os.Executable", "os/user.Current", "os/user.Lookup", "runtime.GOARCH",
}

// chance are packages of random numbers.
var chance = []string{"math/rand", "math/rand/v2", "crypto/rand"}

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
			file := filepath.ToSlash(strings.TrimPrefix(name, "../"))
			if d.IsDir() && slices.Contains([]string{"builder/imgtest", "initramfs/boot", "initramfs/terminal", "initramfs/busybox"}, file) {
				return fs.SkipDir // tests, the guest, and a program of make
			}
			if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || mayAskHost[file] != "" {
				return nil
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			for _, found := range asksHost(t, name, text) {
				t.Errorf("%s: uses %s", file, found)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// asksHost returns what the text of a file uses of the lists above.
func asksHost(t *testing.T, name string, text []byte) (found []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	pathOf := map[string]string{} // by the name of an import in this file
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		local := path.Base(imported)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		pathOf[local] = imported
		dots := local == "." && slices.ContainsFunc(ofTheHost, func(full string) bool { return strings.HasPrefix(full, imported+".") })
		if dots || slices.Contains(chance, imported) {
			found = append(found, spec.Path.Value)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && slices.Contains(ofTheHost, pathOf[x.Name]+"."+s.Sel.Name) {
				found = append(found, pathOf[x.Name]+"."+s.Sel.Name)
			}
		}
		return true
	})
	return found
}

func TestAsksHost(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"plain", `import "time"; var a = time.Now()`, []string{"time.Now"}},
		{"handed on", `import "time"; var a = time.Now`, []string{"time.Now"}},
		{"alias", `import clock "time"; var a = clock.Now()`, []string{"time.Now"}},
		{"dot", `import . "time"; var a = Now()`, []string{`"time"`}},
		{"dot of another", `import . "strings"; var a = ToUpper("")`, nil},
		{"path of several elements", `import "os/user"; var a, _ = user.Current()`, []string{"os/user.Current"}},
		{"value", `import "runtime"; var a = runtime.GOARCH`, []string{"runtime.GOARCH"}},
		{"chance", `import "math/rand/v2"; var a = rand.Int()`, []string{`"math/rand/v2"`}},
		{"chance by another name", `import dice "crypto/rand"; var a = dice.Reader`, []string{`"crypto/rand"`}},
		{"other use of the package", `import "time"; var a = time.Unix(0, 0)`, nil},
		{"another package of the name", `import time "example.org/clock"; var a = time.Now()`, nil},
		{"local variable", `func f(time clock) { time.Now() }`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := asksHost(t, "a.go", []byte("package a\n"+tt.in)); !slices.Equal(got, tt.want) {
				t.Errorf("asksHost = %q; want %q", got, tt.want)
			}
		})
	}
}
