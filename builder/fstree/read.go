package fstree

import (
	"errors"
	"fmt"
	"io"
)

// Read returns the content of a regular file of at most so many bytes. Errors do
// not name the file, but for those of reading it.
func (e *Entry) Read(most int64) (data []byte, err error) {
	switch {
	case !e.IsRegular():
		return nil, fmt.Errorf("is a %s, expected a regular file", e.TypeName())
	case e.Size > most:
		return nil, fmt.Errorf("%d bytes, expected at most %d", e.Size, most)
	}
	data = make([]byte, e.Size)
	if e.Content == nil || e.Size == 0 {
		return data, nil
	}
	f, err := e.Content.Open(e)
	if err != nil {
		return nil, err
	}
	// Close says when the file has changed meanwhile.
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.ReadFull(io.NewSectionReader(f, 0, e.Size), data)
	return data, err
}
