package fstree

import (
	"fmt"
	"strings"
)

// maxFollow is how many symlinks a path may lead through, as in the kernel
// (MAXSYMLINKS of include/linux/namei.h).
const maxFollow = 40

// Follow returns what a path names in the system that the tree holds: symlinks
// are resolved, also the last one, with the root of the tree as theirs. The
// result is nil without an error where nothing is there; a loop of symlinks
// and a path through something that is no directory are errors.
func (t *Tree) Follow(path string) (*Entry, error) {
	e := t.root
	links := 0
	// What is still to be walked: the rest of path, and in front of it the
	// targets of symlinks that were met.
	rest := path
	for rest != "" {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch {
		case name == "" || name == ".":
			continue
		case name == "..":
			if e.parent != nil {
				e = e.parent
			}
			continue
		case !e.IsDir():
			return nil, fmt.Errorf("%s: leads through %q, which is a %s", path, e.Path(), e.TypeName())
		}
		c := e.Child(name)
		if c == nil {
			return nil, nil
		}
		if !c.IsSymlink() {
			e = c
			continue
		}
		if links++; links > maxFollow {
			return nil, fmt.Errorf("%s: leads through more than %d symlinks", path, maxFollow)
		}
		if strings.HasPrefix(c.Link, "/") {
			e = t.root
		}
		rest = c.Link + "/" + rest
		if len(rest) > 2*maxPath {
			return nil, fmt.Errorf("%s: leads through symlinks of more than %d bytes", path, 2*maxPath)
		}
	}
	return e, nil
}
