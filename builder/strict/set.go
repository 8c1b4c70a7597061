package strict

import "io/fs"

// builtinDir is where the files of a kind that are built in lie beside the code
// that embeds them.
const builtinDir = "builtin"

// Set is a Library whose documents are of one type.
type Set[T any] struct {
	Library
	check  func(*T, *Findings)
	finish func(value *T, name string, origins Origins)
}

// NewSet makes the set of the documents of a kind that files has in its
// directory "builtin" and of the files NAME.toml in dirs. Of equal names the one
// in the first directory holds, before the built-in one. A directory need not
// exist. Check notes what is wrong with a document whose types are right; finish
// gives one that is valid its plain name and what else follows from where it is.
func NewSet[T any](kind string, files fs.FS, check func(*T, *Findings), finish func(value *T, name string, origins Origins), dirs ...string) *Set[T] {
	builtin, err := fs.Sub(files, builtinDir)
	if err != nil {
		panic("strict: " + err.Error()) // the name is valid
	}
	return &Set[T]{Library{Kind: kind, Builtin: builtin, Dirs: dirs}, check, finish}
}

// Resolve returns a document with all that it extends and with what sets changes
// in it, valid, and where each of its values was set. The error, of class
// fault.Config, holds every problem found; a name that does not exist is of
// class fault.Usage, a file that cannot be read of fault.Input.
func (s *Set[T]) Resolve(name string, sets []Setting) (T, Origins, error) {
	var value, zero T
	origins, err := s.Library.Resolve(name, sets, &value, func(f *Findings) { s.check(&value, f) })
	if err != nil {
		return zero, nil, err
	}
	s.finish(&value, PlainName(name), origins)
	return value, origins, nil
}
