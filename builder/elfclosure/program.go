package elfclosure

import (
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// collector finds programs and libraries in one tree.
type collector struct {
	tree    *fstree.Tree
	folders []string // of programs
	conf    []string // folders of /etc/ld.so.conf, once confRead
	// confRead says that conf was read.
	confRead bool
	objects  map[*fstree.Inode]*object // what was decoded
}

// helpers are programs that others run by a path that is compiled in, where the system
// has them: older and newer versions differ in this.
var helpers = map[string][]string{
	"sshd": {"sshd-session", "sshd-auth"}, // each connection is one of these since OpenSSH 9.8
}

// helperFolders are where they are besides libexec of the package in the store.
var helperFolders = []string{"usr/lib/openssh", "usr/libexec/openssh"}

// program returns where a program is run by and the files that it needs. The path is
// empty without an error when it is not there.
func (c *collector) program(name string) (at string, files fileSet, err error) {
	if !fstree.ValidName(name) {
		return "", nil, input("%q: expected the name of a program", name)
	}
	at, e, err := c.search(name)
	if e == nil || err != nil {
		return "", nil, err
	}
	files = fileSet{}
	if err := c.run(files, e, false); err != nil {
		return "", nil, err
	}
	if !slices.Contains(usualFolders, path.Dir(at)) {
		at = linkFolder + "/" + name
	}
	files.link(at, e.Path())
	return at, files, c.helpers(files, name, e)
}

// helpers adds what a program runs from a folder of its own.
func (c *collector) helpers(files fileSet, name string, e *fstree.Entry) error {
	for _, helper := range helpers[name] {
		for _, folder := range append([]string{path.Join(path.Dir(e.Path()), "../libexec")}, helperFolders...) {
			h, err := c.follow(folder + "/" + helper)
			if err != nil {
				return err
			}
			if h == nil || !h.IsRegular() {
				continue
			}
			if err := c.run(files, h, false); err != nil {
				return err
			}
			files.link(folder+"/"+helper, h.Path())
			break
		}
	}
	return nil
}

// search looks for a program as a shell does: a file that may be run.
func (c *collector) search(name string) (at string, e *fstree.Entry, err error) {
	for _, folder := range c.folders {
		at = clean(folder + "/" + name)
		if e, err = c.follow(at); err != nil {
			return "", nil, err
		}
		if e != nil && e.IsRegular() && e.Mode&0o111 != 0 {
			return at, e, nil
		}
	}
	return "", nil, nil
}

// follow is Follow with errors of class fault.Input.
func (c *collector) follow(at string) (*fstree.Entry, error) {
	e, err := c.tree.Follow(at)
	if err != nil {
		return nil, input("%w", err)
	}
	return e, nil
}

// run adds to files the program e and what it runs by. wrapped says that a wrapper
// starts it.
func (c *collector) run(files fileSet, e *fstree.Entry, wrapped bool) error {
	files.add(e)
	head, err := readHead(e, maxScript)
	if err != nil {
		return input("%s: %w", e.Path(), err)
	}
	if target := wrapperTarget(head, e.Size); target != "" {
		if wrapped {
			return input("%s: is a wrapper, and a wrapper starts it: expected one at most", e.Path())
		}
		if err := c.runAt(files, e, target); err != nil {
			return err
		}
	}
	if strings.HasPrefix(string(head), "#!") {
		return c.script(files, e, head)
	}
	return c.libraries(files, e)
}

// runAt adds the program at an absolute path, which the wrapper e starts.
func (c *collector) runAt(files fileSet, e *fstree.Entry, at string) error {
	program, err := c.follow(at)
	if err != nil {
		return err
	}
	if program == nil || !program.IsRegular() {
		return input("%s: starts %s, which is not in the system", e.Path(), at)
	}
	files.link(at, program.Path())
	return c.run(files, program, true)
}
