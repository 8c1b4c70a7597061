// Package secrets reads files that the program sops encrypted to keys of age:
// it checks, when an image is built, that they are really encrypted and that
// one key opens them all, and it decrypts them in the running system.
//
// Files, ciphers and key groups are those of the library of sops; nothing is
// encrypted or decrypted by hand. The library would also look for keys in
// environment variables and ask servers for them: here it is only ever given
// the keys of the caller.
//
// No error has the text of a value in it, and of the library's errors only
// those that are about metadata are passed on: the others quote the line that
// they do not like.
package secrets

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/cmd/sops/formats"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/strict"
)

// MaxFile is the size of the largest file that is read, in bytes. It has to
// fit into memory several times.
const MaxFile = 16 << 20

// Format is how the values of a file are written down.
type Format string

// The formats of sops.
const (
	YAML   Format = "yaml"
	JSON   Format = "json"
	Dotenv Format = "dotenv"
	INI    Format = "ini"
	Binary Format = "binary" // anything, as one value
)

// FormatOf returns the format that sops takes a file for, by its name.
func FormatOf(name string) Format {
	switch formats.FormatForPath(name) {
	case formats.Yaml:
		return YAML
	case formats.Json:
		return JSON
	case formats.Dotenv:
		return Dotenv
	case formats.Ini:
		return INI
	}
	return Binary
}

// File is a file whose values are encrypted.
type File struct {
	Name       string
	Format     Format
	Data       []byte   // as it was read
	Recipients []string // of age, sorted: whose key opens it alone; those of SSH and of plug-ins left out

	tree   sops.Tree
	all    []string        // every recipient of age, sorted, also one that opens a part or is of another kind
	exempt map[string]bool // keys whose values are not encrypted, as the file's rule says
}

// Parse reads a file and checks that it is really encrypted: that it has the
// metadata of sops, a MAC and a recipient of age, and that every value is
// encrypted but those that the file's own metadata exempt. All that is found
// wrong is in one error of class fault.Input. The name says the format and is
// used in messages.
func Parse(name string, data []byte) (*File, error) {
	found := &findings{}
	f := parse(found, name, FormatOf(name), data)
	return f, found.err()
}

// Read reads a file as Parse does. It must be a regular file, or a symlink to
// one, of at most MaxFile bytes.
func Read(name string) (*File, error) {
	found := &findings{}
	f := read(found, name)
	return f, found.err()
}

// read is Read that notes what is wrong and returns nil then.
func read(found *findings, name string) *File {
	data, err := load(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		found.add(fault.Input, name, "", "no such file%s", strict.DidYouMean(filepath.Base(name), namesBeside(name)))
	case err != nil:
		found.add(fault.Input, name, "", "%v", err)
	default:
		return parse(found, name, FormatOf(name), data)
	}
	return nil
}

// load returns the contents of a file: at most MaxFile bytes and one more, by
// which Parse knows that it is too large. Errors do not have its name.
func load(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	return data, bare(err)
}

// bare is err without the name of the file and of the system call.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// namesBeside returns the names in the folder of a file.
func namesBeside(name string) []string {
	entries, _ := os.ReadDir(filepath.Dir(name)) // only for a suggestion
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}
