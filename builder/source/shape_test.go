package source

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// withExtension has the golden system say something to nixos-init.
func withExtension(t *testing.T, tree *fstree.Tree, fields string) {
	t.Helper()
	extend(t, tree, system, fields)
}

// extend has a toplevel say something to nixos-init.
func extend(t *testing.T, tree *fstree.Tree, top, fields string) {
	t.Helper()
	e := tree.Lookup(top + "/boot.json")
	text, err := e.Read(bootspec.MaxDocument)
	if err != nil {
		t.Fatal(err)
	}
	setText(e, strings.Replace(string(text), "{", `{"org.nixos.nixos-init.v1": {`+fields+`},`, 1))
}

func setText(e *fstree.Entry, text string) { e.Content, e.Size = fstree.Bytes(text), int64(len(text)) }

// linkTo puts a symlink into the toplevel.
func linkTo(t *testing.T, tree *fstree.Tree, name, target string) {
	t.Helper()
	if _, err := tree.Lookup(system).Add(name, &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Link: target, Size: int64(len(target))}); err != nil {
		t.Fatal(err)
	}
}

// TestSystemOfEtcImage: a system that nixos-init makes ready, and one that says before
// NixOS 26.05 that its /etc is an image.
func TestSystemOfEtcImage(t *testing.T) {
	const image, base = system + "/nixos-version", system + "/specialisation"
	for _, tt := range []struct {
		name  string
		make  func(*testing.T, *fstree.Tree)
		image bool
		err   string
	}{
		{"no image", func(*testing.T, *fstree.Tree) {}, false, ""},
		{"says nothing of it", func(t *testing.T, tree *fstree.Tree) { withExtension(t, tree, "") }, false, ""},
		{"in the bootspec", func(t *testing.T, tree *fstree.Tree) {
			withExtension(t, tree, `"etc_metadata_image": "`+image+`", "etc_basedir": "`+base+`", "modprobe_binary": "`+image+`", "sh_binary": ""`)
		}, true, ""},
		{"links", func(t *testing.T, tree *fstree.Tree) {
			linkTo(t, tree, "etc-metadata-image", image)
			linkTo(t, tree, "etc-basedir", base)
		}, true, ""},
		{"of a specialisation", func(t *testing.T, tree *fstree.Tree) {
			extend(t, tree, tree.Lookup(base+"/debug").Link, `"etc_metadata_image": "`+image+`", "etc_basedir": "`+base+`"`)
		}, true, ""},
		{"image is a directory", func(t *testing.T, tree *fstree.Tree) {
			withExtension(t, tree, `"etc_metadata_image": "`+base+`", "etc_basedir": "`+base+`"`)
		}, false, "is no regular file"},
		{"image is not there", func(t *testing.T, tree *fstree.Tree) {
			linkTo(t, tree, "etc-metadata-image", system+"/no")
		}, false, system + "/etc-metadata-image, is no regular file"},
		{"files are a file", func(t *testing.T, tree *fstree.Tree) {
			withExtension(t, tree, `"etc_metadata_image": "`+image+`", "etc_basedir": "`+image+`"`)
		}, false, "are in no directory"},
		{"files are not there", func(t *testing.T, tree *fstree.Tree) {
			linkTo(t, tree, "etc-metadata-image", image)
		}, false, system + "/etc-basedir, are in no directory"},
		{"a shell that is not there", func(t *testing.T, tree *fstree.Tree) { withExtension(t, tree, `"sh_binary": "`+system+`/sh"`) }, false, ""},
		{"for nixos-init, with an env that is not there", func(t *testing.T, tree *fstree.Tree) {
			setText(tree.Lookup(system+"/init"), elfMagic)
			withExtension(t, tree, `"etc_metadata_image": "`+image+`", "etc_basedir": "`+base+`", "env_binary": "`+system+`/env"`)
		}, false, system + ": names " + system + "/env, which is not there"},
		{"for nixos-init, with an env that the system makes", func(t *testing.T, tree *fstree.Tree) {
			setText(tree.Lookup(system+"/init"), elfMagic)
			withExtension(t, tree, `"etc_metadata_image": "`+image+`", "etc_basedir": "`+base+`", "env_binary": "/run/current-system/sw/bin/env"`)
		}, true, ""},
		{"a configuration extension", func(t *testing.T, tree *fstree.Tree) { withExtension(t, tree, `"etc_confext": {}`) }, false, "its /etc is a configuration extension"},
		{"a link to one", func(t *testing.T, tree *fstree.Tree) { linkTo(t, tree, "etc-confext", base) }, false, "its /etc is a configuration extension"},
		{"extension of another kind", func(t *testing.T, tree *fstree.Tree) { withExtension(t, tree, `"firmware": 1`) }, false, "org.nixos.nixos-init.v1.firmware: found a number"},
		{"init alone", func(t *testing.T, tree *fstree.Tree) { setText(tree.Lookup(system+"/init"), elfMagic) }, false, "has no etc-metadata-image"},
		{"init and image", func(t *testing.T, tree *fstree.Tree) {
			setText(tree.Lookup(system+"/init"), elfMagic)
			withExtension(t, tree, `"etc_metadata_image": "`+image+`", "etc_basedir": "`+base+`"`)
		}, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tree := goldenTree(t)
			tt.make(t, tree)
			s, err := SystemOf(tree, built)
			if tt.err != "" {
				if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v; want %q", err, tt.err)
				}
				return
			}
			if err != nil || len(s.Kernels) != 1 || s.Kernels[0].EtcImage != tt.image {
				t.Errorf("%+v, %v; want an image: %v", s, err, tt.image)
			}
		})
	}
}
