package nar

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// bufferSize is what is read at once, in bytes.
const bufferSize = 128 << 10

// Read reads one archive up to the end of r. Errors of the visitor and of r are
// returned so that errors.Is finds them; one that ends too early is
// io.ErrUnexpectedEOF.
func Read(r io.Reader, v Visitor) error {
	d := &decoder{r: bufio.NewReaderSize(r, bufferSize), visit: v}
	err := d.archive()
	var own visitorError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own.error
	case err == io.EOF: // not one that another reader has in an error of its own
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("NAR: byte %d: %w", d.at, err)
}

// visitorError is an error that is not of the archive.
type visitorError struct{ error }

// decoder reads one archive.
type decoder struct {
	r     *bufio.Reader
	at    int64 // bytes read
	visit Visitor
	buf   [maxTarget]byte
}

func (d *decoder) archive() error {
	if err := d.want(magic); err != nil {
		return err
	}
	if err := d.node(""); err != nil {
		return err
	}
	switch _, err := d.r.ReadByte(); {
	case err == nil:
		return errors.New("goes on behind its end")
	case err != io.EOF:
		return err
	}
	return nil
}

// node reads a file, a symlink or a directory with all that is in it.
func (d *decoder) node(path string) error {
	if err := d.want(open, typeWord); err != nil {
		return err
	}
	kind, err := d.text(maxWord)
	if err != nil {
		return err
	}
	switch string(kind) {
	case regular:
		err = d.file(path)
	case symlink:
		err = d.symlink(path)
	case directory:
		return d.directory(path)
	default:
		return fmt.Errorf("%.300q: type %q, expected %s, %s or %s", path, kind, regular, symlink, directory)
	}
	if err != nil {
		return err
	}
	return d.want(end)
}

func (d *decoder) file(path string) error {
	word, err := d.text(maxWord)
	if err != nil {
		return err
	}
	f := File{Path: path, Executable: string(word) == executable}
	if f.Executable {
		if err := d.want(""); err != nil {
			return err
		}
		if word, err = d.text(maxWord); err != nil {
			return err
		}
	}
	if string(word) != contents {
		return fmt.Errorf("%.300q: %q, expected %q", path, word, contents)
	}
	if f.Size, err = d.length(maxSize); err != nil {
		return err
	}
	f.Offset = d.at
	content := &io.LimitedReader{R: d.r, N: f.Size}
	err = d.visit.File(f, content)
	d.at += f.Size - content.N
	if err != nil {
		return visitorError{err}
	}
	if err := d.skip(content.N); err != nil {
		return err
	}
	return d.padding(f.Size)
}

// skip reads what a visitor has left of a file.
func (d *decoder) skip(n int64) error {
	for n > 0 {
		some, err := d.r.Discard(int(min(n, 1<<30)))
		d.at += int64(some)
		n -= int64(some)
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) symlink(path string) error {
	if err := d.want(target); err != nil {
		return err
	}
	text, err := d.text(maxTarget)
	if err != nil {
		return err
	}
	to := string(text)
	if to == "" || strings.IndexByte(to, 0) >= 0 {
		return fmt.Errorf("%.300q: %q is no target of a symlink", path, to)
	}
	if err := d.visit.Symlink(path, to); err != nil {
		return visitorError{err}
	}
	return nil
}

func (d *decoder) directory(path string) error {
	if err := d.visit.Directory(path); err != nil {
		return visitorError{err}
	}
	prefix, before := "", ""
	if path != "" {
		prefix = path + "/"
	}
	for {
		switch word, err := d.text(maxWord); {
		case err != nil:
			return err
		case string(word) == end:
			return nil
		case string(word) != entry:
			return fmt.Errorf("%.300q: %.32q, expected an entry or the end of the directory", path, word)
		}
		name, err := d.entry(path, before)
		if err != nil {
			return err
		}
		if len(prefix)+len(name) > maxPath {
			return fmt.Errorf("%.300q: path of %d bytes, expected at most %d", prefix, len(prefix)+len(name), maxPath)
		}
		if err := d.node(prefix + name); err != nil {
			return err
		}
		if err := d.want(end); err != nil {
			return err
		}
		before = name
	}
}

// entry reads the name of an entry, up to its node.
func (d *decoder) entry(dir, before string) (string, error) {
	if err := d.want(open, nameWord); err != nil {
		return "", err
	}
	text, err := d.text(maxName)
	if err != nil {
		return "", err
	}
	name := string(text)
	switch {
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00"):
		return "", fmt.Errorf("%.300q: %q is no name", dir, name)
	case name <= before: // which at first is empty, as no name is
		return "", fmt.Errorf("%.300q: %q comes after %q", dir, name, before)
	}
	return name, d.want(node)
}

// want reads words of the format.
func (d *decoder) want(words ...string) error {
	for _, w := range words {
		got, err := d.text(maxWord)
		if err != nil {
			return err
		}
		if string(got) != w {
			return fmt.Errorf("%.300q, expected %q", got, w)
		}
	}
	return nil
}

// text reads a string of at most so many bytes. It is good until the next one.
func (d *decoder) text(most int64) ([]byte, error) {
	n, err := d.length(most)
	if err != nil {
		return nil, err
	}
	b := d.buf[:n]
	if err := d.full(b); err != nil {
		return nil, err
	}
	return b, d.padding(n)
}

func (d *decoder) length(most int64) (int64, error) {
	var b [8]byte
	if err := d.full(b[:]); err != nil {
		return 0, err
	}
	n := binary.LittleEndian.Uint64(b[:])
	if n > uint64(most) {
		return 0, fmt.Errorf("%d bytes, expected at most %d", n, most)
	}
	return int64(n), nil
}

// padding reads what fills up a string of n bytes.
func (d *decoder) padding(n int64) error {
	var b [8]byte
	if err := d.full(b[:pad(n)]); err != nil {
		return err
	}
	if b != [8]byte{} {
		return errors.New("padding that is not zeros")
	}
	return nil
}

func (d *decoder) full(b []byte) error {
	n, err := io.ReadFull(d.r, b)
	d.at += int64(n)
	return err
}
