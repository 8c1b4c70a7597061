package closure

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/storedb"
)

// storeOne makes a store of one object, a file or a directory with a file called a, and
// takes its closure as if signatures were wanted where it has a content address.
func storeOne(t *testing.T, base, ca string, tree, executable bool, content string) (dir string, root nix.StorePath, c *Closure, err error) {
	t.Helper()
	if root, err = nix.ParseBase(base); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	name := filepath.Join(dir, root.String())
	if tree {
		name += "/a"
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	perm := os.FileMode(0o644)
	if executable {
		perm = 0o755
	}
	if err := os.WriteFile(name, []byte(content), perm); err != nil {
		t.Fatal(err)
	}
	archive := archiveOf(t, tree, executable, content)
	writeDatabase(t, dir, []storedb.Object{{Path: root, NarHash: sha256.Sum256(archive), NarSize: int64(len(archive)), CA: ca}})
	c, err = openHost(t, dir).Closure(t.Context(), root, HostOptions{Signed: ca != ""})
	return dir, root, c, err
}

// single is a store with a file that has no address.
func single(t *testing.T, content string) (dir string, root nix.StorePath, c *Closure) {
	t.Helper()
	dir, root, c, err := storeOne(t, strings.Repeat("0", 32)+"-file", "", false, false, content)
	if err != nil {
		t.Fatal(err)
	}
	return dir, root, c
}

// TestHostContentAddressed: an object whose path proves its content needs no signature,
// and must have that content, as out of a cache.
func TestHostContentAddressed(t *testing.T) {
	for _, a := range addressed {
		tree := strings.HasPrefix(a.ca, "fixed:r:")
		right, wrong := "hello", "hallo"
		if tree {
			right, wrong = "hi", "ho"
		}
		t.Run(a.ca, func(t *testing.T) {
			if _, _, c, err := storeOne(t, a.base, a.ca, tree, false, right); err != nil || c.Objects[0].CA != a.ca {
				t.Errorf("right: %v", err)
			}
			check := func(what string, tree, executable bool, content string) {
				t.Helper()
				_, root, _, err := storeOne(t, a.base, a.ca, tree, executable, content)
				if fault.ClassOf(err) != fault.Input || !strings.HasPrefix(fmt.Sprint(err), root.String()+": ") {
					t.Errorf("%s: error %v of class %d", what, err, fault.ClassOf(err))
				}
			}
			check("content", tree, false, wrong)
			check("executable", tree, true, right)
			check("kind", !tree, false, right)
		})
	}
}

// TestHostFile reads files around the size of a piece, by parts and whole.
func TestHostFile(t *testing.T) {
	for _, size := range []int{1, pieceSize - 1, pieceSize, pieceSize + 1, 2*pieceSize + 7} {
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(i ^ i>>8 ^ i>>16)
		}
		_, root, c := single(t, string(want))
		e := c.Tree.Lookup(root.String())
		f, err := e.Content.Open(e)
		if err != nil {
			t.Fatal(err)
		}
		for _, length := range []int{1000, pieceSize, size, size + 1, 3 * pieceSize} {
			var got []byte
			for off := 0; off < size; off += length {
				p := make([]byte, length)
				n, err := f.ReadAt(p, int64(off))
				if (err == io.EOF) != (n < length) || err != nil && err != io.EOF {
					t.Fatalf("ReadAt(%d, %d) = %d, %v", length, off, n, err)
				}
				got = append(got, p[:n]...)
			}
			if !bytes.Equal(want, got) {
				t.Errorf("%d bytes, %d at a time: other content", size, length)
			}
		}
		for _, off := range []int64{-1, int64(size), int64(size) + 1} {
			if n, err := f.ReadAt(make([]byte, 1), off); n != 0 || err != io.EOF {
				t.Errorf("ReadAt(1, %d) = %d, %v; want EOF", off, n, err)
			}
		}
		if s, err := f.Segments(); err != nil || len(s) != 1 || s[0].Length != int64(size) {
			t.Errorf("segments %v, %v", s, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestHostFileChanged: what was hashed and what is read later are the same, or there is
// an error; another inode of the same content is no change.
func TestHostFileChanged(t *testing.T) {
	content := strings.Repeat("piece of text\n", 20_000)
	tests := []struct {
		name string
		do   func(name string) error
		want string
	}{
		{"same", func(name string) error {
			return errors.Join(os.Remove(name), os.WriteFile(name, []byte(content), 0o644))
		}, ""},
		{"one byte", func(name string) error {
			return errors.Join(os.WriteFile(name, []byte(content[:len(content)-2]+"x\n"), 0o644), os.Chtimes(name, time.Unix(1, 0), time.Unix(1, 0)))
		}, "bytes 262144 to 280000: have changed since they were checked"},
		{"shorter", func(name string) error { return os.Truncate(name, int64(len(content))-1) }, "ends at byte 279999; it had 280000 bytes when it was checked"},
		{"gone", os.Remove, "no such file or directory"},
		{"directory", func(name string) error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o755)) }, "is no regular file any more"},
		{"pipe", func(name string) error { return errors.Join(os.Remove(name), unix.Mkfifo(name, 0o644)) }, "is no regular file any more"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, root, c := single(t, content)
			name := filepath.Join(dir, root.String())
			if err := tt.do(name); err != nil {
				t.Fatal(err)
			}
			data, err := c.Tree.Lookup(root.String()).Read(1 << 30)
			switch {
			case tt.want == "" && (err != nil || string(data) != content):
				t.Errorf("%d bytes, %v", len(data), err)
			case tt.want != "" && (fault.ClassOf(err) != fault.Input || fmt.Sprint(err) != name+": "+tt.want):
				t.Errorf("error %q; want %q", err, name+": "+tt.want)
			}
		})
	}
}
