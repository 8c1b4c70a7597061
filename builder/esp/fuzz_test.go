package esp

import (
	"context"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// FuzzWrite makes a tree of the paths in its input, one a line; a slash at the
// end makes a directory. The tree is refused for its names, or the file system
// is clean and holds it.
func FuzzWrite(f *testing.F) {
	var seed strings.Builder
	for name := range bootFiles {
		seed.WriteString(name + "\n")
	}
	for _, s := range []string{"", "a", "a/", "A/b\na/c", "a~1\nA~1 b\nlong name\nLONGNA~1", "long name\nlongna~1", "x.\n", "ä\nÄ", "\xff", strings.Repeat("n", 256), seed.String()} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, paths string) {
		tree := fstree.New()
		for _, path := range strings.SplitN(paths, "\n", 500) {
			slash := strings.LastIndexByte(path, '/')
			dir, name := path[:max(slash, 0)], path[slash+1:]
			parent, err := tree.MkdirAll(dir, nil)
			if err == nil && fstree.ValidName(name) && parent.Child(name) == nil {
				addFile(t, parent, name, path)
			}
		}
		tree.Freeze()
		d := imgtest.NewMemDisk(testSize)
		if _, err := Write(context.Background(), d, tree, params(testSize)); err != nil {
			if fault.ClassOf(err) != fault.Input || d.Calls > 0 {
				t.Errorf("Write: %v after %d writes; want an error of class input and none", err, d.Calls)
			}
			return
		}
		readBack(t, d, tree)
	})
}
