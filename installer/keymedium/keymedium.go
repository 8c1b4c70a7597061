// Package keymedium reads the age key from the file system of a key medium: a
// FAT32 file system with the key in its top directory. The kernel is not asked
// to mount it: a stick that was lying about is input like any other.
package keymedium

import (
	"errors"
	"io"
	"io/fs"

	"github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// maxFile bounds the file of a key, in bytes.
const maxFile = 1 << 20

// hint is how a medium is made.
const hint = "make one: mkimage keys medium DEVICE --key FILE"

// Read returns the key's file, plain or encrypted, of the file system that
// begins at byte 0 of r and has size bytes, and its name. The error is a
// *firstboot.Problem: CodeNoKey when there is no such file, CodeBadKey when the
// file system or the file cannot be read.
func Read(r io.ReaderAt, size int64) (name string, text []byte, err error) {
	return read(r, size, config.KeyFile, config.KeyFileEncrypted)
}

// ReadEncrypted is Read of a file system that must not have the key in the
// clear, such as an ESP: a plain key there is an error, not a key.
func ReadEncrypted(r io.ReaderAt, size int64) (text []byte, err error) {
	_, text, err = read(r, size, config.KeyFileEncrypted)
	if firstboot.CodeOf(err) != firstboot.CodeNoKey {
		return text, err
	}
	if _, _, plain := read(r, size, config.KeyFile); plain == nil {
		return nil, firstboot.NewProblem(firstboot.CodeBadKey, "encrypt it: age -p -a -o "+config.KeyFileEncrypted+" "+config.KeyFile+", and remove the other",
			"%s: is not encrypted, and everybody can read it there: not used", config.KeyFile)
	}
	return nil, err
}

func read(r io.ReaderAt, size int64, names ...string) (string, []byte, error) {
	files, err := reader.Open(r, size)
	if err != nil {
		return "", nil, firstboot.NewProblem(firstboot.CodeBadKey, hint, "no FAT32 file system: %w", err)
	}
	for _, name := range names {
		text, err := files.ReadAtMost(name, maxFile)
		switch {
		case err == nil:
			return name, text, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", nil, firstboot.NewProblem(firstboot.CodeBadKey, hint, "%w", err)
		}
	}
	return "", nil, firstboot.NewProblem(firstboot.CodeNoKey, hint, "there is no %s in its top directory", names[0])
}
