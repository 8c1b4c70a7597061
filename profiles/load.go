package profiles

import (
	"embed"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

//go:embed builtin/*.toml
var builtin embed.FS

// Set is the profiles that can be asked for by name.
type Set struct{ library strict.Library }

// Load makes the set of the built-in profiles and of the files NAME.toml in
// dirs. Of equal names the one in the first directory holds, before the
// built-in one. A directory need not exist.
func Load(dirs ...string) *Set {
	files, err := fs.Sub(builtin, "builtin")
	if err != nil {
		panic("profiles: " + err.Error()) // the name is valid
	}
	return &Set{strict.Library{Kind: "profile", Builtin: files, Dirs: dirs}}
}

// Items returns all profiles with where they are, sorted by name; the error is
// of class fault.Input.
func (s *Set) Items() ([]strict.Item, error) { return s.library.Items() }

// Names returns the names of all profiles, sorted. Directories that cannot be
// read add none.
func (s *Set) Names() []string { return s.library.Names() }

// Resolve returns a profile with all that it extends and with what sets changes
// in it, valid, and where each of its values was set. The error, of class
// fault.Config, holds every problem found; a name that does not exist is of
// class fault.Usage, a file that cannot be read of fault.Input.
//
// Paths of the host that are relative come out relative to the working
// directory; in a file they are relative to that file.
func (s *Set) Resolve(name string, sets []strict.Setting) (Profile, strict.Origins, error) {
	var p Profile
	origins, err := s.library.Resolve(name, sets, &p, func(f *strict.Findings) { check(&p, f) })
	if err != nil {
		return Profile{}, nil, err
	}
	p.Name = strict.PlainName(name)
	anchor(&p, origins)
	return p, origins, nil
}

// anchor makes the host's paths in a profile independent of which file said
// them.
func anchor(p *Profile, origins strict.Origins) {
	if scheme, file, ok := strings.Cut(p.Source, ":"); ok && scheme != "debian" && file != "-" {
		p.Source = scheme + ":" + beside(origins["source"], file)
	}
	for i := range p.Users {
		u := &p.Users[i]
		key := strict.Join(strict.Join("users", u.Name), "password_file")
		if u.PasswordFile != "" {
			u.PasswordFile = beside(origins[key], u.PasswordFile)
		}
	}
}

// beside returns the path that a file means by name. Positions without a line
// are of the command line.
func beside(pos strict.Position, name string) string {
	if filepath.IsAbs(name) || pos.Line == 0 {
		return name
	}
	return filepath.Join(filepath.Dir(pos.File), name)
}

// Has reports whether a name can be resolved.
func (s *Set) Has(name string) bool { return s.library.Has(name) }
