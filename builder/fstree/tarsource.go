package fstree

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/unpack"
)

// TarSource is a tar archive on the host and the tree in it.
type TarSource struct {
	Tree *Tree
	name string
	file *os.File // the archive itself or a spool file without a name
	stat unix.Stat_t
}

// OpenTar opens the archive at a path, or standard input if it is "-", and
// scans it. A plain archive in a regular file is read where it is. Anything
// else is first unpacked, from gzip, zstd, xz or bzip2, into a file in spoolDir that
// has no name and so vanishes with the process; "" is the directory for
// temporary files, which often is in memory. opts.Name defaults to the path.
//
// The caller must Close the source when the contents of its tree are no longer
// needed. Errors are of class fault.Input, but for those of the spool file.
func OpenTar(ctx context.Context, path, spoolDir string, opts TarOptions) (*TarSource, error) {
	f, err := os.Stdin, error(nil)
	if path != "-" {
		if f, err = os.Open(path); err != nil {
			return nil, fault.New(fault.Input, "", "%w", err)
		}
	}
	if opts.Name == "" {
		opts.Name = path
		if path == "-" {
			opts.Name = "standard input"
		}
	}
	s, err := openArchive(ctx, f, spoolDir, opts)
	if (err != nil || s.file != f) && path != "-" {
		f.Close()
	}
	return s, err
}

func openArchive(ctx context.Context, f *os.File, spoolDir string, opts TarOptions) (*TarSource, error) {
	s := &TarSource{name: opts.Name, file: f}
	plain, err := isPlain(f)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%s: %w", s.name, err)
	}
	if !plain {
		if s.file, err = spool(ctx, f, spoolDir, s.name); err != nil {
			return nil, err
		}
	}
	if err = unix.Fstat(int(s.file.Fd()), &s.stat); err == nil {
		s.Tree, err = ScanTar(ctx, s.file, s.stat.Size, opts)
	}
	if err != nil {
		if s.file != f {
			s.file.Close()
		}
		return nil, err
	}
	return s, nil
}

// isPlain reports whether f is a regular file, read from its start, that holds
// an archive as it is.
func isPlain(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if info.IsDir() {
		return false, fmt.Errorf("is a directory, expected a tar archive")
	}
	if !info.Mode().IsRegular() {
		return false, nil
	}
	if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != 0 {
		return false, err
	}
	var head [unpack.MagicLength]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return false, err
	}
	return unpack.Detect(head[:n]) == nil, nil
}

// spool unpacks r into a new file that has no name.
func spool(ctx context.Context, r io.Reader, dir, name string) (_ *os.File, err error) {
	d, err := decompress(contextReader{ctx, r})
	if err != nil {
		return nil, inputError(ctx, name, err)
	}
	defer d.Close()
	f, err := os.CreateTemp(dir, "mkimage-spool-*.tar")
	if err != nil {
		return nil, fmt.Errorf("spool file: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("spool file: %w", err)
	}
	w := &spoolWriter{w: f}
	if _, err := io.CopyBuffer(w, struct{ io.Reader }{d}, make([]byte, 1<<18)); err != nil {
		if w.err != nil {
			return nil, fmt.Errorf("spool file for %s: %w", name, w.err)
		}
		return nil, inputError(ctx, name, err)
	}
	return f, nil
}

// inputError blames the input unless the caller gave up.
func inputError(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fault.New(fault.Input, "", "%s: %w", name, err)
}

// spoolWriter remembers that it was the writer that failed.
type spoolWriter struct {
	w   io.Writer
	err error
}

func (s *spoolWriter) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}

// contextReader ends a long copy when its context does.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// Close closes the archive. It reports an error of class fault.Input if the
// archive was changed since it was opened, for then what was read may be
// neither the old nor the new.
func (s *TarSource) Close() error {
	var now unix.Stat_t
	err := unix.Fstat(int(s.file.Fd()), &now)
	if err == nil && (now.Size != s.stat.Size || now.Mtim != s.stat.Mtim) {
		err = fault.New(fault.Input, "", "%s: changed while it was read: %d bytes, it had %d", s.name, now.Size, s.stat.Size)
	}
	if cerr := s.file.Close(); err == nil {
		err = cerr
	}
	return err
}
