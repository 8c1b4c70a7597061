package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// keyOf returns a digest of all that decides what is vendored: go.mod and go.sum of each
// module, and the packages of others that its files import. It needs no module of others.
func keyOf(root fs.FS) (string, error) {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(directories)) {
		dir := directories[name]
		for _, file := range []string{"go.mod", "go.sum"} {
			data, err := fs.ReadFile(root, path.Join(dir, file))
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, "%s/%s %d\n%s", name, file, len(data), data)
		}
		imports, err := importsOf(root, dir)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s imports %q\n", name, imports)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// importsOf returns the packages of other modules that the Go files of the module in dir
// import, sorted, whatever they are built for.
func importsOf(root fs.FS, dir string) ([]string, error) {
	found := map[string]bool{}
	err := fs.WalkDir(root, dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if name != dir && (ignored(d.Name()) || isModule(root, name)) {
				return fs.SkipDir
			}
			return nil
		case !strings.HasSuffix(name, ".go") || ignored(d.Name()):
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range file.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if host, _, _ := strings.Cut(p, "/"); strings.Contains(host, ".") && !strings.HasPrefix(p+"/", ours) {
				found[p] = true
			}
		}
		return nil
	})
	return slices.Sorted(maps.Keys(found)), err
}

// ours is what the packages of this repository begin with.
const ours = "github.com/6FaNcY9/mkimage/"

// ignored reports whether the go command passes over a file or directory of this name.
func ignored(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "vendor"
}

func isModule(root fs.FS, dir string) bool {
	_, err := fs.Stat(root, path.Join(dir, "go.mod"))
	return err == nil
}
