// Package nix holds what all packages about Nix have in common: the names of
// store objects.
//
// A store object is a file, a symlink or a directory below /nix/store, read-only
// and called HASH-NAME. The packages below this one read binary caches and
// archives of such objects, and write the database that a store has of them.
package nix

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/nix-community/go-nix/pkg/storepath"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// StoreDir is the directory of all store objects. Binaries have it built in, so
// that no other is supported.
const StoreDir = storepath.StoreDir

// maxName is the longest name of a store object in bytes, as libstore/path.cc of
// Nix has it: with its hash and ".lock" it is a file name.
const maxName = 211

// StorePath is the name of a store object. The zero value is none.
type StorePath struct {
	Hash string // 32 letters and digits of Nix' base 32
	Name string
}

// ParseStorePath reads /nix/store/HASH-NAME. Errors are of class fault.Input.
func ParseStorePath(text string) (StorePath, error) {
	base, ok := strings.CutPrefix(text, StoreDir+"/")
	if !ok {
		return StorePath{}, fault.New(fault.Input, "", "store path %.300q: expected %s/HASH-NAME", text, StoreDir)
	}
	return parse(base, text)
}

// ParseBase reads HASH-NAME. Errors are of class fault.Input.
func ParseBase(text string) (StorePath, error) { return parse(text, text) }

// parse reads HASH-NAME; errors show what was given.
func parse(base, given string) (StorePath, error) {
	if !storepath.PathRe.MatchString(StoreDir + "/" + base) {
		return StorePath{}, fault.New(fault.Input, "", "store path %.300q: expected 32 letters and digits of base 32, a dash, and a name of letters, digits and + - . _ ? =", given)
	}
	p := StorePath{base[:hashLength], base[hashLength+1:]}
	if len(p.Name) > maxName {
		return StorePath{}, fault.New(fault.Input, "", "store path %.300q: name of %d bytes, expected at most %d", given, len(p.Name), maxName)
	}
	return p, nil
}

// hashLength is how many digits 160 bits have in base 32.
const hashLength = storepath.PathHashSize * 8 / 5

// String returns the absolute path.
func (p StorePath) String() string { return StoreDir + "/" + p.Base() }

// Base returns the name in the store directory.
func (p StorePath) Base() string { return fmt.Sprintf("%s-%s", p.Hash, p.Name) }

// IsZero reports whether p is none.
func (p StorePath) IsZero() bool { return p == StorePath{} }

// Compare orders paths by the bytes of their text.
func (p StorePath) Compare(q StorePath) int {
	return cmp.Or(strings.Compare(p.Hash, q.Hash), strings.Compare(p.Name, q.Name))
}
