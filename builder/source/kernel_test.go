package source

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// treeOf makes a tree of paths: "a/" is a directory, "a -> b" a symlink, "a" a
// file of one byte, "a 0" an empty one and "a hole" one of nothing else.
func treeOf(t *testing.T, paths ...string) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	for _, p := range paths {
		name, link, isLink := strings.Cut(p, " -> ")
		inode := &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: 1, Content: fstree.Bytes("x")}
		if isLink {
			inode = &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Link: link, Size: int64(len(link))}
		} else if n, ok := strings.CutSuffix(p, " 0"); ok {
			name, inode = n, &fstree.Inode{Mode: fstree.TypeRegular | 0o644}
		} else if n, ok := strings.CutSuffix(p, " hole"); ok {
			name, inode = n, &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: 1}
		}
		addTo(t, tree, name, inode)
	}
	tree.Freeze()
	return tree
}

func addTo(t *testing.T, tree *fstree.Tree, name string, inode *fstree.Inode) {
	t.Helper()
	if dir, ok := strings.CutSuffix(name, "/"); ok {
		if _, err := tree.MkdirAll(dir, nil); err != nil {
			t.Fatal(err)
		}
		return
	}
	dir, err := tree.MkdirAll(path.Dir(name), nil)
	if err == nil {
		_, err = dir.Add(path.Base(name), inode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestKernels(t *testing.T) {
	tests := []struct {
		name  string
		paths []string
		want  []string // VERSION MODULES IMAGE
		err   string
	}{
		{"Debian", []string{"usr/lib/modules/6.12.118+deb13-amd64/", "lib -> usr/lib", "boot/vmlinuz-6.12.118+deb13-amd64"},
			[]string{"6.12.118+deb13-amd64 usr/lib/modules/6.12.118+deb13-amd64 boot/vmlinuz-6.12.118+deb13-amd64"}, ""},
		{"newest first", []string{"usr/lib/modules/6.9/", "usr/lib/modules/6.12/", "usr/lib/modules/6.12-rc1/", "boot/vmlinuz-6.9", "boot/vmlinuz-6.12", "boot/vmlinuz-6.12-rc1"},
			[]string{"6.12-rc1 usr/lib/modules/6.12-rc1 boot/vmlinuz-6.12-rc1", "6.12 usr/lib/modules/6.12 boot/vmlinuz-6.12", "6.9 usr/lib/modules/6.9 boot/vmlinuz-6.9"}, ""},
		{"image by the modules", []string{"usr/lib/modules/6.9/vmlinuz"}, []string{"6.9 usr/lib/modules/6.9 usr/lib/modules/6.9/vmlinuz"}, ""},
		{"boot is preferred", []string{"usr/lib/modules/6.9/vmlinuz", "boot/vmlinuz-6.9"}, []string{"6.9 usr/lib/modules/6.9 boot/vmlinuz-6.9"}, ""},
		{"old layout", []string{"lib/modules/6.9/", "vmlinuz -> boot/image", "boot/image"}, []string{"6.9 lib/modules/6.9 boot/image"}, ""},
		{"both layouts", []string{"lib/modules/6.9/", "usr/lib/modules/6.9/", "boot/vmlinuz-6.9"}, []string{"6.9 usr/lib/modules/6.9 boot/vmlinuz-6.9"}, ""},
		{"one name for one version only", []string{"usr/lib/modules/1/", "usr/lib/modules/2/", "boot/vmlinuz", "boot/vmlinuz-1"}, []string{"1 usr/lib/modules/1 boot/vmlinuz-1"}, ""},
		{"a file is no version", []string{"usr/lib/modules/readme", "usr/lib/modules/1/vmlinuz"}, []string{"1 usr/lib/modules/1 usr/lib/modules/1/vmlinuz"}, ""},
		{"a hole is no image", []string{"usr/lib/modules/1/vmlinuz", "boot/vmlinuz-1 hole"}, []string{"1 usr/lib/modules/1 usr/lib/modules/1/vmlinuz"}, ""},
		{"no modules", []string{"boot/vmlinuz-6.9"}, nil, "source: has no kernel modules; looked for directories in /usr/lib/modules and /lib/modules"},
		{"no image", []string{"usr/lib/modules/6.9/", "boot/vmlinuz-6.9 0", "vmlinuz -> nowhere"}, nil,
			"source: has kernel modules, but no kernel; looked for /boot/vmlinuz-6.9, /usr/lib/modules/6.9/vmlinuz, /boot/vmlinuz, /vmlinuz"},
		{"image is a directory", []string{"usr/lib/modules/6.9/", "usr/lib/modules/7/", "boot/vmlinuz-6.9/"}, nil,
			"source: has kernel modules, but no kernel; looked for /boot/vmlinuz-6.9, /usr/lib/modules/6.9/vmlinuz, /boot/vmlinuz-7, /usr/lib/modules/7/vmlinuz"},
		{"loop", []string{"usr/lib/modules -> modules"}, nil, "source: usr/lib/modules: leads through more than 40 symlinks"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kernels, err := Kernels(treeOf(t, tt.paths...))
			var got []string
			for _, k := range kernels {
				got = append(got, k.Version+" "+k.Modules.Path()+" "+k.Image.Path())
			}
			if d := cmp.Diff(tt.want, got); d != "" || errorText(err) != tt.err {
				t.Errorf("Kernels: error %q; want %q; kernels (-want +got):\n%s", errorText(err), tt.err, d)
			}
			if err != nil && fault.ClassOf(err) != fault.Input {
				t.Errorf("error of class %d; want %d", fault.ClassOf(err), fault.Input)
			}
		})
	}
}
