// Package mediumlog is the file of an installer medium in which an installation
// tells what it did.
//
// The file has its full size from the beginning. To write it, its bytes are
// replaced where they stand, and nothing of the file system of the ESP is changed
// for it, which the medium is started from. Who compares a medium with its manifest
// sees the file as it was made.
package mediumlog

import (
	"bytes"
	"fmt"
	"io"

	"github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Path is where the file is on the ESP, from its root.
const Path = "mkimage/install.log"

// Size is that of the file in bytes: some 20 installations, of which the oldest
// go first.
const Size = 64 << 10

// Made returns the file of a medium that has installed nothing yet: lines.
func Made() []byte { return fill("Nothing was installed from this medium yet.\n") }

// fill makes a text as long as the file. Empty lines are what every editor shows.
func fill(text string) []byte {
	return append([]byte(text), bytes.Repeat([]byte{'\n'}, Size-len(text))...)
}

// Add returns the file with one more entry, the newest first. Of what does not
// fit whole lines are left out, the oldest, and of an entry its end.
func Add(file []byte, entry string) []byte {
	if entry != "" && entry[len(entry)-1] != '\n' {
		entry += "\n"
	}
	if !bytes.Equal(file, Made()) {
		entry += "\n" + string(bytes.TrimRight(file, "\n\x00")) + "\n"
	}
	if len(entry) > Size {
		entry = entry[:bytes.LastIndexByte([]byte(entry[:Size]), '\n')+1]
	}
	return fill(entry)
}

// Find returns the byte of the ESP where the file begins. The error, of class
// fault.Input, says that it is not the file that was made.
func Find(esp *reader.FS) (int64, error) {
	extents, err := esp.Extents(Path)
	if err != nil {
		return 0, fault.New(fault.Input, "", "log of the medium: %w", err)
	}
	if len(extents) != 1 || extents[0].Length != Size {
		return 0, fault.New(fault.Input, "", "log of the medium: /%s has %d extents, expected one of %d bytes", Path, len(extents), Size)
	}
	return extents[0].Physical, nil
}

// AsMade reads a medium as it was made: at is the byte where the file begins.
func AsMade(r io.ReaderAt, at int64) io.ReaderAt { return &asMade{r, at, Made()} }

type asMade struct {
	r    io.ReaderAt
	at   int64
	made []byte
}

// ReadAt implements io.ReaderAt.
func (a *asMade) ReadAt(p []byte, off int64) (int, error) {
	n, err := a.r.ReadAt(p, off)
	from, to := max(off, a.at), min(off+int64(n), a.at+Size)
	if from < to {
		copy(p[from-off:to-off], a.made[from-a.at:])
	}
	return n, err
}

// Write replaces the file: at is the byte of w where it begins.
func Write(w io.WriterAt, at int64, file []byte) error {
	if len(file) != Size {
		return fmt.Errorf("bug: log of the medium: %d bytes, expected %d", len(file), Size)
	}
	if _, err := w.WriteAt(file, at); err != nil {
		return fmt.Errorf("log of the medium: %w", err)
	}
	return nil
}
