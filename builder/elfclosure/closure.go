// Package elfclosure finds programs in the tree of a system and all files that these
// need to run elsewhere: the loader, the libraries, the interpreter of a script, what
// a wrapper starts.
//
// Nothing is run. Programs are looked for in the folders that a shell would be told of,
// and libraries where ld.so(8) of glibc looks for them: DT_RPATH, DT_RUNPATH, the
// folders of /etc/ld.so.conf, those that are compiled in. Symlinks lead through the tree
// alone. Trees of Debian, whose libraries are in folders of an architecture, and of
// NixOS, whose programs name theirs in the store, both work; so does what is between.
//
// What it does not do: it knows of no library that a program opens by itself but for
// the few in a table here, takes no account of LD_LIBRARY_PATH, and leaves out the
// variants of a library for newer processors, without which ld.so takes the plain one.
// Programs are those of x86-64.
//
// The ELF structures are those of the System V gABI and elf(5).
package elfclosure

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// Program is a program that is wanted.
type Program struct {
	Name     string // of its file, such as "btrfs"
	Package  string // of Debian, that has it; "" where that is not known
	Required bool   // without it there is no closure
}

// Closure is all that a list of programs runs by.
type Closure struct {
	Programs []Found  // in the order in which they were asked for
	Absent   []Absent // in that order too; none of them is required
	Files    []File   // sorted by path
	Size     int64    // bytes of all regular files together
}

// Found is a program that is in the closure.
type Found struct {
	Program
	Path string // absolute: where it is run by, perhaps a symlink
}

// File is a file of the closure. The directories above it are not listed. No path
// leads through a symlink.
type File struct {
	Path  string        // from the root, without a leading slash
	Entry *fstree.Entry // a regular file of the tree; nil for a symlink
	Link  string        // target of a symlink, absolute
}

// Absent is a program that is not in the closure.
type Absent struct {
	Program
	Reason error // why it could not be taken; nil when it is not in the system
}

// AbsentError is the error when required programs are not there.
type AbsentError struct{ Programs []Absent }

// Error names all of them.
func (e *AbsentError) Error() string {
	var lines []string
	for _, p := range e.Programs {
		if p.Reason != nil {
			lines = append(lines, fmt.Sprintf("program %s: %v", p.Name, p.Reason))
		} else {
			lines = append(lines, fmt.Sprintf("program %s: in none of the system's folders of programs", p.Name))
		}
	}
	return strings.Join(lines, "\n")
}

// hint says which packages have the programs that are not there.
func (e *AbsentError) hint() string {
	var packages []string
	for _, p := range e.Programs {
		if p.Reason == nil && p.Package != "" && !slices.Contains(packages, p.Package) {
			packages = append(packages, p.Package)
		}
	}
	if packages == nil {
		return ""
	}
	return "add to the system: " + strings.Join(packages, " ")
}

// Params says what is collected.
type Params struct {
	Tree     *fstree.Tree // frozen; only read
	Programs []Program
	// Folders are looked in for programs before the usual ones, such as sw/bin of a
	// NixOS system.
	Folders []string
}

// linkFolder is where a program gets a symlink that is in a folder which is not among
// the usual ones.
const linkFolder = "usr/bin"

// usualFolders are those of PATH on a system where sbin and bin are apart.
var usualFolders = []string{"usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"}

// maxObjects bounds the programs and libraries of one closure: a desktop's largest
// program has some 300.
const maxObjects = 2000

// Collect finds the programs and what they need. A program that is not there, or that
// cannot be taken, is Absent; if it is required, the error is of class fault.Input and
// has an *AbsentError in it with all of these. A name that is asked for twice is taken
// once.
func Collect(ctx context.Context, p Params) (*Closure, error) {
	c := &collector{tree: p.Tree, folders: slices.Concat(p.Folders, usualFolders), objects: map[*fstree.Inode]*object{}}
	result, files := &Closure{}, fileSet{}
	missing := &AbsentError{}
	asked := map[string]bool{}
	for _, program := range p.Programs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if asked[program.Name] {
			continue
		}
		asked[program.Name] = true
		at, own, err := c.program(program.Name)
		switch {
		case err == nil && at != "":
			maps.Copy(files, own)
			result.Programs = append(result.Programs, Found{program, "/" + at})
		case program.Required:
			missing.Programs = append(missing.Programs, Absent{program, err})
		default:
			result.Absent = append(result.Absent, Absent{program, err})
		}
	}
	if missing.Programs != nil {
		return nil, fault.New(fault.Input, missing.hint(), "%w", missing)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := files[name]
		result.Files = append(result.Files, f)
		if f.Entry != nil {
			result.Size += f.Entry.Size
		}
	}
	return result, nil
}

// fileSet is files by their path.
type fileSet map[string]File

// add adds the file e.
func (s fileSet) add(e *fstree.Entry) {
	at := e.Path()
	s[at] = File{Path: at, Entry: e}
}

// link adds a path by which a file of the set is opened: a symlink, unless that is its
// own.
func (s fileSet) link(at, to string) {
	at = clean(at)
	if _, taken := s[at]; !taken {
		s[at] = File{Path: at, Link: "/" + to}
	}
}

// clean returns a path from the root without a leading slash.
func clean(at string) string { return strings.TrimPrefix(path.Clean("/"+at), "/") }

// input is an error about what the tree holds or lacks.
func input(format string, args ...any) error {
	return fault.New(fault.Input, "", format, args...)
}
