package bincache

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// folder is a cache in a folder of the host.
type folder string

func (f folder) path(name string) string { return filepath.Join(string(f), filepath.FromSlash(name)) }

func (f folder) open(_ context.Context, name string, _ int64) (io.ReadCloser, error) {
	file, err := os.OpenFile(f.path(name), os.O_RDONLY|unix.O_NONBLOCK, 0) // not waiting for who would write to a pipe
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.Input, "", "%s: %w", f.path(name), ErrAbsent)
	case err != nil:
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		file.Close()
		return nil, fault.New(fault.Input, "", "%s: is no regular file", f.path(name))
	}
	return file, nil
}

func (f folder) read(ctx context.Context, name string, most int64) ([]byte, error) {
	file, err := f.open(ctx, name, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readAll(file, f.path(name), most)
}

// readAll reads a file of at most so many bytes.
func readAll(r io.Reader, name string, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	switch {
	case err != nil:
		return nil, fault.New(fault.Input, "", "%s: %w", name, err)
	case int64(len(data)) > most:
		return nil, fault.New(fault.Input, "", "%s: more than %d bytes", name, most)
	}
	return data, nil
}
