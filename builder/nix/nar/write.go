package nar

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// Encoder writes one archive of what it is told as a Visitor, in the order of an
// archive. It must be closed.
type Encoder struct {
	w     *bufio.Writer
	begun bool
	dirs  []string // that are open, the outermost first
	last  []string // name of the last entry of each
}

// NewEncoder returns an encoder that writes to w.
func NewEncoder(w io.Writer) *Encoder { return &Encoder{w: bufio.NewWriterSize(w, bufferSize)} }

// Directory implements Visitor.
func (e *Encoder) Directory(path string) error {
	if err := e.begin(path); err != nil {
		return err
	}
	e.words(open, typeWord, directory)
	e.dirs, e.last = append(e.dirs, path), append(e.last, "")
	return nil
}

// File implements Visitor. Content must have f.Size bytes at least; f.Offset is not
// looked at.
func (e *Encoder) File(f File, content io.Reader) error {
	if err := e.begin(f.Path); err != nil {
		return err
	}
	e.words(open, typeWord, regular)
	if f.Executable {
		e.words(executable, "")
	}
	e.words(contents)
	e.number(uint64(f.Size))
	if _, err := io.CopyN(e.w, content, f.Size); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("%q: %w", f.Path, err)
	}
	e.pad(f.Size)
	e.finish(f.Path)
	return nil
}

// Symlink implements Visitor.
func (e *Encoder) Symlink(path, to string) error {
	if err := e.begin(path); err != nil {
		return err
	}
	e.words(open, typeWord, symlink, target, to)
	e.finish(path)
	return nil
}

// Close ends the archive. It does not close what it is written to.
func (e *Encoder) Close() error {
	if !e.begun {
		return fmt.Errorf("NAR: nothing in it")
	}
	for len(e.dirs) > 0 {
		e.leave()
	}
	return e.w.Flush()
}

// begin writes what comes before a node, and ends the directories that it is not
// in.
func (e *Encoder) begin(path string) error {
	if path == "" {
		if e.begun {
			return fmt.Errorf("NAR: a second node of its own")
		}
		e.begun = true
		e.words(magic)
		return nil
	}
	dir, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, name = path[:i], path[i+1:]
	}
	for len(e.dirs) > 0 && e.dirs[len(e.dirs)-1] != dir {
		e.leave()
	}
	if len(e.dirs) == 0 {
		return fmt.Errorf("NAR: %q: its directory is not open", path)
	}
	before := &e.last[len(e.last)-1]
	if name <= *before {
		return fmt.Errorf("NAR: %q: %q comes after %q", dir, name, *before)
	}
	*before = name
	e.words(entry, open, nameWord, name, node)
	return nil
}

// finish ends a node.
func (e *Encoder) finish(path string) {
	e.words(end)
	if path != "" {
		e.words(end) // of the entry
	}
}

// leave ends the innermost directory.
func (e *Encoder) leave() {
	e.finish(e.dirs[len(e.dirs)-1])
	e.dirs, e.last = e.dirs[:len(e.dirs)-1], e.last[:len(e.last)-1]
}

// words writes strings. The buffer keeps an error for the next Flush.
func (e *Encoder) words(words ...string) {
	for _, s := range words {
		e.number(uint64(len(s)))
		e.w.WriteString(s)
		e.pad(int64(len(s)))
	}
}

func (e *Encoder) number(n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	e.w.Write(b[:])
}

func (e *Encoder) pad(n int64) {
	var zeros [8]byte
	e.w.Write(zeros[:pad(n)])
}
