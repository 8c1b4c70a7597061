package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// hint is a text of the source that tells what to type.
type hint struct{ file, text string }

// hintsOf returns the literals in the hints of all errors below a directory.
func hintsOf(t *testing.T, dir string) (list []hint) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); !ok || s.Sel.Name != "New" && s.Sel.Name != "NewProblem" {
				return true
			}
			ast.Inspect(call.Args[1], func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if text, err := strconv.Unquote(lit.Value); err == nil {
						list = append(list, hint{filepath.Base(name), text})
					}
				}
				return true
			})
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var (
	flagWord    = regexp.MustCompile(`--([a-z][a-z-]*)`)
	commandWord = regexp.MustCompile(`mkimage-rescue((?: [a-z]+)+|$)`)
)

// ofOthers are programs that a hint may begin with, whose flags are their own.
var ofOthers = []string{"losetup "}

// TestHints: what a hint tells to type is a command that there is, with flags that it has.
// A flag alone is one of the command whose file it is in.
func TestHints(t *testing.T) {
	root := newRoot(&program{})
	list := append(hintsOf(t, "."), hintsOf(t, "../../installer/rescue")...)
	if len(list) < 60 {
		t.Fatalf("%d hints were found", len(list))
	}
	commands := 0
	for _, h := range list {
		if strings.HasPrefix(h.text, ofOthers[0]) {
			continue
		}
		rest := h.text
		for may := commandsOf(root, h.file); ; commands++ {
			at := commandWord.FindStringSubmatchIndex(rest)
			end := len(rest)
			if at != nil {
				end = at[0]
			}
			checkFlags(t, h, rest[:end], may)
			if at == nil {
				break
			}
			c, _, err := root.Find(strings.Fields(rest[at[2]:at[3]]))
			if err != nil || c == root && at[2] < at[3] {
				t.Errorf("%s: %q: no such command", h.file, h.text)
				break
			}
			may, rest = []*cobra.Command{c}, rest[at[1]:]
		}
	}
	if commands < 10 {
		t.Errorf("%d commands were found in hints", commands)
	}
}

// checkFlags wants that one of the commands has the flags in a text.
func checkFlags(t *testing.T, h hint, text string, may []*cobra.Command) {
	t.Helper()
	for _, m := range flagWord.FindAllStringSubmatch(text, -1) {
		found := m[1] == "help"
		for _, c := range may {
			found = found || c.Flags().Lookup(m[1]) != nil
		}
		if !found {
			t.Errorf("%s: %q: no command that can say so has --%s", h.file, h.text, m[1])
		}
	}
}

// commandsOf are the commands that what is in a file can be about: that which the file is
// called by, with those below it, or else all.
func commandsOf(root *cobra.Command, file string) (own []*cobra.Command) {
	var all []*cobra.Command
	eachCommand(root, func(c *cobra.Command) {
		all = append(all, c)
		for top := c; top != root; top = top.Parent() {
			if strings.HasPrefix(file, top.Name()) && top.Parent() == root {
				own = append(own, c)
			}
		}
	})
	if own == nil {
		return all
	}
	return own
}

// TestExamples: the examples of the help are commands that there are, with flags that
// these have.
func TestExamples(t *testing.T) {
	root := newRoot(&program{})
	eachCommand(root, func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			words := strings.Fields(line)
			if len(words) < 2 || words[0] != root.Name() {
				t.Errorf("%s: example %q", c.CommandPath(), line)
				continue
			}
			found, rest, err := root.Find(words[1:])
			if err != nil || found != c {
				t.Errorf("%s: example %q is one of %s: %v", c.CommandPath(), line, found.CommandPath(), err)
				continue
			}
			if err := found.ParseFlags(rest); err != nil {
				t.Errorf("%s: example %q: %v", c.CommandPath(), line, err)
			}
		}
	})
}
