package fstree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// listing describes a tree to the last byte, one line an entry.
func listing(t testing.TB, tree *Tree) []string {
	t.Helper()
	first, names := map[*Inode]string{}, map[*Inode]int{}
	for e := range tree.All() {
		names[e.Inode]++
		for _, c := range e.Children() {
			if c.Parent() != e {
				t.Errorf("%s: its parent is another tree's %s", c.Path(), e.Path())
			}
		}
	}
	var lines []string
	for e := range tree.All() {
		if e.Links() != names[e.Inode] {
			t.Errorf("%s: Links() = %d; want %d", e.Path(), e.Links(), names[e.Inode])
		}
		line := fmt.Sprintf("%s %06o %d:%d %d.%09d", e.Path(), e.Mode, e.UID, e.GID, e.Sec, e.Nsec)
		if path, ok := first[e.Inode]; ok {
			lines = append(lines, e.Path()+" = "+path)
			continue
		}
		first[e.Inode] = e.Path()
		if e.IsSymlink() {
			line += " -> " + e.Link
		}
		if e.IsDevice() {
			line += fmt.Sprintf(" dev %d,%d", e.Rdev.Major(), e.Rdev.Minor())
		}
		for _, x := range e.Xattrs {
			line += fmt.Sprintf(" %s=%q", x.Name, x.Value)
		}
		if e.IsRegular() {
			line += " " + contentOf(t, e)
		}
		lines = append(lines, line)
	}
	return lines
}

// contentOf describes the bytes of a file and where its data are.
func contentOf(t testing.TB, e *Entry) string {
	t.Helper()
	if e.Content == nil {
		return fmt.Sprintf("%d bytes [] hole", e.Size)
	}
	f, err := e.Content.Open(e)
	if err != nil {
		t.Fatalf("open %s: %v", e.Path(), err)
	}
	segments, err := f.Segments()
	if err != nil {
		t.Fatalf("segments of %s: %v", e.Path(), err)
	}
	h := sha256.New()
	buf := make([]byte, 1<<16)
	for _, s := range segments {
		fmt.Fprintf(h, "%d+%d:", s.Offset, s.Length)
		if n, err := io.CopyBuffer(h, io.NewSectionReader(f, s.Offset, s.Length), buf); n != s.Length || err != nil {
			t.Fatalf("read %s: %d of %d bytes at %d, %v", e.Path(), n, s.Length, s.Offset, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatalf("close %s: %v", e.Path(), err)
	}
	if len(segments) == 0 {
		return fmt.Sprintf("%d bytes [] hole", e.Size)
	}
	return fmt.Sprintf("%d bytes %v %x", e.Size, segments, h.Sum(nil)[:6])
}

// wantFrozen fails the test if looking something up would change the tree.
func wantFrozen(t testing.TB, e *Entry) {
	t.Helper()
	if e.dir == nil {
		return
	}
	if e.dir.unsorted || e.dir.byName != nil {
		t.Errorf("%s is not frozen", e.Path())
	}
	for _, c := range e.dir.children {
		wantFrozen(t, c)
	}
}

// paths returns the paths of a tree in order.
func paths(tree *Tree) []string {
	var all []string
	for e := range tree.All() {
		all = append(all, e.Path())
	}
	return all
}

// literal is a Content of bytes in memory.
type literal string

type literalFile struct{ *strings.Reader }

func (l literal) Open(*Entry) (File, error) { return literalFile{strings.NewReader(string(l))}, nil }

func (f literalFile) Segments() ([]Segment, error) {
	if f.Size() == 0 {
		return nil, nil
	}
	return []Segment{{0, f.Size()}}, nil
}

func (f literalFile) Close() error { return nil }

func file(content string) *Inode {
	return &Inode{Mode: TypeRegular | 0o644, Size: int64(len(content)), Content: literal(content)}
}

func dir(perm uint32) *Inode { return &Inode{Mode: TypeDir | perm} }

func symlink(target string) *Inode {
	return &Inode{Mode: TypeSymlink | 0o777, Size: int64(len(target)), Link: target}
}

// plant adds an inode at a path and fails the test if that is refused.
func plant(t testing.TB, tree *Tree, path string, inode *Inode) *Entry {
	t.Helper()
	if err := tree.put(path, inode); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return tree.Lookup(path)
}

func mustScanDir(t testing.TB, root string) *Tree {
	t.Helper()
	tree, err := ScanDir(context.Background(), root, DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func scanBytes(data []byte) (*Tree, error) {
	return ScanTar(context.Background(), bytes.NewReader(data), int64(len(data)), TarOptions{Name: "x.tar"})
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func run(t testing.TB, dir, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr.Bytes())
	}
	return stdout.Bytes()
}

// diff fails the test if got is not want.
func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// wantInputError fails the test unless err is of class fault.Input and its
// text holds every part.
func wantInputError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", parts)
	}
	if got := fault.ClassOf(err); got != fault.Input {
		t.Errorf("error %q has class %d; want %d", err, got, fault.Input)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q; want one with %q", err, part)
		}
	}
	if errors.Unwrap(err) == nil {
		t.Errorf("error %q wraps nothing", err)
	}
}
