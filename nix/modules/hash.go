package main

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"

	"github.com/6FaNcY9/mkimage/builder/nix/nar"
)

// hashOf returns the hash of a directory as Nix has it for outputHash: of its NAR. Whether
// files are executable counts, the rest of their modes does not.
func hashOf(dir fs.FS) (string, error) {
	h := sha256.New()
	e := nar.NewEncoder(h)
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return e.Directory("")
		case d.IsDir():
			return e.Directory(name)
		case !d.Type().IsRegular():
			return fmt.Errorf("%s: is %v, expected a file or a directory", name, d.Type())
		}
		return encodeFile(e, dir, name)
	})
	if err == nil {
		err = e.Close()
	}
	if err != nil {
		return "", err
	}
	return "sha256-" + base64.StdEncoding.EncodeToString(h.Sum(nil)), nil
}

func encodeFile(e *nar.Encoder, dir fs.FS, name string) (err error) {
	f, err := dir.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return e.File(nar.File{Path: name, Executable: info.Mode()&0o100 != 0, Size: info.Size()}, f)
}
