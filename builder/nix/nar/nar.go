// Package nar reads and writes archives of Nix, strictly: an archive that is cut
// short, that goes on behind its end, or that Nix would not have written is an
// error, never a smaller tree. What Read accepts an Encoder writes again byte for
// byte.
//
// An archive holds one file, symlink or directory, and of a file whether it is
// executable and nothing else: no owner, no time, no hard links. The format is
// that of Nix' thesis (Dolstra 2006, figure 5.2) as libutil/archive.cc of Nix 2
// writes it: strings with their length in 64 bits, filled up with zeros to 8
// bytes; the entries of a directory in ascending order of bytes.
//
// What it does not do: it makes no files and computes no digests.
package nar

import "io"

// The words of the format.
const (
	magic      = "nix-archive-1"
	open       = "("
	end        = ")"
	typeWord   = "type"
	regular    = "regular"
	executable = "executable"
	contents   = "contents"
	symlink    = "symlink"
	target     = "target"
	directory  = "directory"
	entry      = "entry"
	nameWord   = "name"
	node       = "node"
)

// Limits of what is read. Linux has the same (linux/limits.h), but for the path, which
// there begins at the root.
const (
	maxName   = 255  // bytes
	maxTarget = 4095 // bytes of a symlink
	maxPath   = 4095 // bytes
	maxWord   = 32   // bytes of a word of the format
	maxSize   = 1<<62 - 1
)

// File is a regular file of an archive.
type File struct {
	Path       string // "" for the archive's own node
	Executable bool
	Size       int64 // bytes
	Offset     int64 // of the content in the archive, in bytes
}

// Visitor is told what an archive has, in its order: directories before what is
// in them. An error of it ends the reading. The path of the archive's own node is
// ""; others are joined by slashes, without one at their ends. Names are bytes, not
// necessarily UTF-8.
type Visitor interface {
	// Directory is told before what is in it.
	Directory(path string) error
	// File is told with its content, of which it may leave some or all.
	File(f File, content io.Reader) error
	// Symlink is told with its target.
	Symlink(path, target string) error
}

// pad returns how many zeros fill up a string of n bytes.
func pad(n int64) int64 { return -n & 7 }
