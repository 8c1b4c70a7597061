package layouts

import (
	"embed"
	"io/fs"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

//go:embed builtin/*.toml
var builtin embed.FS

// Set is the layouts that can be asked for by name.
type Set struct{ library strict.Library }

// Load makes the set of the built-in layouts and of the files NAME.toml in
// dirs. Of equal names the one in the first directory holds, before the
// built-in one. A directory need not exist.
func Load(dirs ...string) *Set {
	files, err := fs.Sub(builtin, "builtin")
	if err != nil {
		panic("layouts: " + err.Error()) // the name is valid
	}
	return &Set{strict.Library{Kind: "layout", Builtin: files, Dirs: dirs}}
}

// Items returns all layouts with where they are, sorted by name; the error is
// of class fault.Input.
func (s *Set) Items() ([]strict.Item, error) { return s.library.Items() }

// Names returns the names of all layouts, sorted. Directories that cannot be
// read add none.
func (s *Set) Names() []string { return s.library.Names() }

// Resolve returns a layout with all that it extends and with what sets changes
// in it, valid, and where each of its values was set. The error, of class
// fault.Config, holds every problem found; a name that does not exist is of
// class fault.Usage, a file that cannot be read of fault.Input.
func (s *Set) Resolve(name string, sets []strict.Setting) (Layout, strict.Origins, error) {
	var l Layout
	origins, err := s.library.Resolve(name, sets, &l, func(f *strict.Findings) { check(&l, f) })
	if err != nil {
		return Layout{}, nil, err
	}
	l.Name = strict.PlainName(name)
	return l, origins, nil
}

// Has reports whether a name can be resolved.
func (s *Set) Has(name string) bool { return s.library.Has(name) }
