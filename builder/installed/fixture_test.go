package installed

import (
	"crypto/sha256"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/diff"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixcache"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/storedb"
)

var epoch = time.Unix(1_700_000_000, 0)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// files are those of a file system, by their paths: "-> X" is a symlink to X.
type files map[string]string

func (f files) tree(t testing.TB) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	for name, text := range f {
		dir, err := tree.MkdirAll(path.Dir(name), nil)
		must(t, err)
		n := &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: int64(len(text)), Content: fstree.Bytes(text)}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			n = &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Size: int64(len(target)), Link: target}
		}
		n.SetMTime(epoch)
		_, err = dir.Add(path.Base(name), n)
		must(t, err)
	}
	tree.Freeze()
	return tree
}

// image writes a file system with subvolumes, each given as NAME=DIRECTORY or, when it is
// empty, as NAME.
func (f files) image(t testing.TB, subvolumes ...string) *os.File {
	t.Helper()
	params := btrfs.Params{}
	for _, s := range subvolumes {
		name, source, full := strings.Cut(s, "=")
		params.Subvolumes = append(params.Subvolumes, btrfs.Subvolume{Path: name, Source: source, Empty: !full})
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "image"))
	must(t, err)
	t.Cleanup(func() { out.Close() })
	result, err := btrfs.Write(t.Context(), out, f.tree(t), params)
	must(t, err)
	must(t, out.Truncate(result.Size))
	return out
}

func read(t testing.TB, f *os.File, generation int) (*diff.System, error) {
	t.Helper()
	info, err := f.Stat()
	must(t, err)
	return Read(t.Context(), f, info.Size(), generation)
}

// object is a store object of a name, with a size and references to others.
func object(name string, size int64, references ...string) storedb.Object {
	o := storedb.Object{Path: nixcache.Path(name), NarHash: sha256.Sum256([]byte(name)), NarSize: size}
	for _, r := range references {
		o.References = append(o.References, nixcache.Path(r))
	}
	return o
}

// database returns the files of the database of a store.
func database(t testing.TB, objects ...storedb.Object) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "db.sqlite")
	must(t, storedb.Write(t.Context(), name, objects))
	data, err := os.ReadFile(name)
	must(t, err)
	return string(data)
}

// in returns a path in a store object, from the root.
func in(object, rest string) string {
	return strings.TrimPrefix(path.Join(nix.StoreDir, nixcache.Path(object).Base(), rest), "/")
}
