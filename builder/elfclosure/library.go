package elfclosure

import (
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// opened are libraries that others open while they run, by the name of who opens them.
// One that the system does not have is none that it needs: older and newer versions of
// a library differ in this.
var opened = map[string][]struct{ name, why string }{
	"libc.so.6": {
		{"libgcc_s.so.1", "pthread_cancel and pthread_exit unwind the stack with it, and end the program without it"},
		{"libnss_files.so.2", "names of users, before glibc 2.34 had them in itself"},
		{"libnss_dns.so.2", "names of hosts, likewise"},
	},
}

// compiledIn are the folders where ld.so looks last: those of an architecture in Debian,
// and the others that distributions have.
var compiledIn = []string{
	"lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64", "lib", "usr/lib",
}

// store is where NixOS has all programs. Their loader knows its own folder alone.
const store = "nix/store/"

// loaded is an object in the process that a program becomes.
type loaded struct {
	*object
	at string  // path by which it was found
	by *loaded // who needs it; nil for the program
}

// process is a program with the libraries that were found for it.
type process struct {
	*collector
	files       fileSet
	objects     []*loaded
	known       map[string]bool // names and sonames of what is loaded
	interpreter *fstree.Entry
}

// libraries adds to files the loader and the libraries of the program e.
func (c *collector) libraries(files fileSet, e *fstree.Entry) error {
	o, err := c.object(e)
	if err != nil {
		return input("%s: %w", e.Path(), err)
	}
	if o.interpreter == "" {
		return nil // static
	}
	p := &process{collector: c, files: files, known: map[string]bool{}}
	if p.interpreter, err = c.follow(o.interpreter); err != nil {
		return err
	}
	if p.interpreter == nil || !p.interpreter.IsRegular() {
		return input("%s: loader %s is not in the system", e.Path(), o.interpreter)
	}
	files.add(p.interpreter)
	files.link(o.interpreter, p.interpreter.Path())
	loader, err := c.object(p.interpreter)
	if err != nil {
		return input("%s: %w", p.interpreter.Path(), err)
	}
	p.known[loader.soname], p.known[path.Base(o.interpreter)] = true, true
	// The kernel knows the program by its true path, and so does $ORIGIN.
	p.objects = []*loaded{{o, e.Path(), nil}}
	return p.load()
}

// load finds the libraries breadth first, as ld.so does: the first of a name serves all.
func (p *process) load() error {
	for i := 0; i < len(p.objects); i++ {
		by := p.objects[i]
		for _, name := range by.needed {
			found, err := p.need(by, name)
			if err != nil {
				return err
			}
			if !found {
				return input("%s: needs the library %s, which is not in the system", by.at, name)
			}
		}
		for _, o := range opened[by.soname] {
			if _, err := p.need(by, o.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// need loads a library unless it is there, and reports whether it was found.
func (p *process) need(by *loaded, name string) (bool, error) {
	if p.known[name] {
		return true, nil
	}
	if len(p.objects) >= maxObjects {
		return false, input("%s: needs more than %d libraries", p.objects[0].at, maxObjects-1)
	}
	l, e, err := p.find(by, name)
	if l == nil || err != nil {
		return false, err
	}
	p.files.add(e)
	p.files.link(l.at, e.Path())
	p.known[name] = true
	if l.soname != "" {
		p.known[l.soname] = true
	}
	p.objects = append(p.objects, l)
	return true, nil
}

// find looks for a library where ld.so does.
func (p *process) find(by *loaded, name string) (*loaded, *fstree.Entry, error) {
	if strings.Contains(name, "/") {
		if !path.IsAbs(name) {
			return nil, nil, input("%s: needs the library %q, expected a name or an absolute path", by.at, name)
		}
		return p.at(by, name)
	}
	folders, err := by.runFolders()
	if err != nil {
		return nil, nil, err
	}
	for _, folder := range folders {
		if l, e, err := p.at(by, folder+"/"+name); l != nil || err != nil {
			return l, e, err
		}
	}
	if by.noDefault {
		return nil, nil, nil
	}
	return p.findDefault(by, name)
}

// findDefault looks in the folders that every program has. What is in one that ld.so
// knows by its cache alone, which the closure has not, gets a second name beside the
// loader, where ld.so looks without it.
func (p *process) findDefault(by *loaded, name string) (*loaded, *fstree.Entry, error) {
	home := path.Dir(p.interpreter.Path())
	if strings.HasPrefix(home, store) {
		return p.at(by, home+"/"+name)
	}
	conf, err := p.confFolders()
	if err != nil {
		return nil, nil, err
	}
	for _, folder := range slices.Concat(conf, []string{home}, compiledIn) {
		l, e, err := p.at(by, folder+"/"+name)
		if err != nil {
			return nil, nil, err
		}
		if l != nil {
			if folder != home && !slices.Contains(compiledIn, folder) {
				p.files.link(home+"/"+name, e.Path())
			}
			return l, e, nil
		}
	}
	return nil, nil, nil
}

// at returns the library at a path, nil if there is none for this processor.
func (p *process) at(by *loaded, at string) (*loaded, *fstree.Entry, error) {
	e, err := p.follow(at)
	if err != nil {
		return nil, nil, err
	}
	if e == nil || !e.IsRegular() {
		return nil, nil, nil
	}
	o, err := p.object(e)
	switch {
	case errors.Is(err, errOtherMachine):
		return nil, nil, nil
	case err != nil:
		return nil, nil, input("%s: %w", e.Path(), err)
	}
	return &loaded{o, clean(at), by}, e, nil
}

// runFolders returns the folders of libraries that an object names itself, or, with
// DT_RPATH, those that its users name.
func (l *loaded) runFolders() ([]string, error) {
	if l.hasRunPath {
		return expand(l.runpath, l.at)
	}
	var all []string
	for x := l; x != nil; x = x.by {
		if x.hasRunPath {
			continue
		}
		folders, err := expand(x.rpath, x.at)
		if err != nil {
			return nil, err
		}
		all = append(all, folders...)
	}
	return all, nil
}

// expand replaces $ORIGIN in folders of the object at a path. Folders from where a
// program happens to be started are left out.
func expand(folders []string, at string) ([]string, error) {
	var list []string
	for _, f := range folders {
		for _, word := range []string{"$ORIGIN", "${ORIGIN}"} {
			f = strings.ReplaceAll(f, word, "/"+path.Dir(at))
		}
		if strings.Contains(f, "$") {
			return nil, input("%s: run path %q, expected none of $LIB and $PLATFORM", at, f)
		}
		if path.IsAbs(f) {
			list = append(list, f)
		}
	}
	return list, nil
}

// object decodes a file, once.
func (c *collector) object(e *fstree.Entry) (o *object, err error) {
	if o := c.objects[e.Inode]; o != nil {
		return o, nil
	}
	if e.Content == nil {
		return nil, errors.New("expected an ELF program or library, found zeros")
	}
	f, err := e.Content.Open(e)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if o, err = decode(f, e.Size); err != nil {
		return nil, err
	}
	c.objects[e.Inode] = o
	return o, nil
}
