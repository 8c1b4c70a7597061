// Package storedb writes and reads the database of a Nix store,
// /nix/var/nix/db/db.sqlite: which objects are valid, and what refers to what.
//
// Write makes the database of a store in an image, as Nix would have it after
// the same objects were copied there. Read and Closure take it from a store on
// this host, and never write to the folder of that store.
//
// The format is schema 10 of Nix, in use since Nix 2.0 (schema.sql and
// local-store.cc of its libstore). Newer versions add tables and drop an index
// when they open it, each by a named migration, so that they take this one too.
package storedb

import (
	"fmt"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// Schema is the whole content of the file "schema" beside a database: the
// version of the tables. Nix takes a store without that file for a new one.
const Schema = "10"

// Object is what a store knows of one of its objects.
type Object struct {
	Path       nix.StorePath
	NarHash    [32]byte        // SHA-256 of the object as a NAR
	NarSize    int64           // bytes of the same, at least 1
	References []nix.StorePath // a set; may hold Path itself
	Deriver    nix.StorePath   // zero: none is known
	Sigs       []string        // a set of NAME:BASE64
	CA         string          // the assertion of a content address, empty: none
	Ultimate   bool            // built in this store, not copied to it
	Outputs    []Output        // of a derivation, whose name ends in .drv: at least one
}

// Output is what a derivation makes. Nix keeps a table of what the .drv files of
// a store say of that, and fails with no more than "map::at" to build from one
// that is valid but not in this table.
type Output struct {
	Name string // mostly "out"
	Path nix.StorePath
}

// maxOutput is the longest name of an output, in bytes: it is a part of the name
// of a store object.
const maxOutput = 211

// maxText bounds the signatures of an object, and its content address, in
// bytes. A signature has about 100, a content address 70.
const maxText = 64 << 10

// check says what is wrong with o alone. Errors are of class fault.Input.
func (o *Object) check() error {
	if _, err := nix.ParseBase(o.Path.Base()); err != nil {
		return err
	}
	if !o.Deriver.IsZero() {
		if _, err := nix.ParseBase(o.Deriver.Base()); err != nil {
			return fmt.Errorf("store path %s: deriver: %w", o.Path, err)
		}
	}
	if o.NarSize < 1 {
		return fault.New(fault.Input, "", "store path %s: NAR of %d bytes, expected at least 1", o.Path, o.NarSize)
	}
	size := max(len(o.Sigs)-1, 0) // the spaces between them
	for _, s := range o.Sigs {
		size += len(s)
		if name, value, _ := strings.Cut(s, ":"); name == "" || value == "" || !plain(s) {
			return fault.New(fault.Input, "", "store path %s: signature %.100q: expected NAME:BASE64", o.Path, s)
		}
	}
	if size > maxText {
		return fault.New(fault.Input, "", "store path %s: signatures of %d bytes, expected at most %d", o.Path, size, maxText)
	}
	if len(o.CA) > maxText {
		return fault.New(fault.Input, "", "store path %s: content address of %d bytes, expected at most %d", o.Path, len(o.CA), maxText)
	}
	if method, digest, _ := strings.Cut(o.CA, ":"); o.CA != "" && (method == "" || digest == "" || !plain(o.CA)) {
		return fault.New(fault.Input, "", "store path %s: content address %.100q: expected METHOD:HASH", o.Path, o.CA)
	}
	return o.checkOutputs()
}

// isDerivation is how Nix tells it, too.
func (o *Object) isDerivation() bool { return strings.HasSuffix(o.Path.Name, ".drv") }

func (o *Object) checkOutputs() error {
	if len(o.Outputs) > 0 && !o.isDerivation() {
		return fault.New(fault.Input, "", "store path %s: has the output %.100q, expected that of derivations only", o.Path, o.Outputs[0].Name)
	}
	names := map[string]bool{}
	for _, out := range o.Outputs {
		if out.Name == "" || len(out.Name) > maxOutput || !plain(out.Name) || names[out.Name] {
			return fault.New(fault.Input, "", "store path %s: output %.100q: expected another name of 1 to %d bytes for each", o.Path, out.Name, maxOutput)
		}
		names[out.Name] = true
		if _, err := nix.ParseBase(out.Path.Base()); err != nil {
			return fmt.Errorf("store path %s: output %s: %w", o.Path, out.Name, err)
		}
	}
	return nil
}

// plain reports whether s is of visible ASCII: a space parts signatures, and
// a NUL ends a text for SQLite.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
