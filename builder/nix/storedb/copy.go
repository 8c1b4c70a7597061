package storedb

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
)

// copyPiece is how much is copied at a time, in bytes.
const copyPiece = 256 << 10

// copyFile copies a file from its begin to the new file name.
func copyFile(ctx context.Context, from *os.File, name string) (err error) {
	to, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, to.Close()) }()
	return pieces(ctx, from, func(p []byte, _ int64) error {
		_, err := to.Write(p)
		return err
	})
}

// same returns errChanged unless a file is byte for byte what its copy is.
func same(ctx context.Context, file *os.File, twin string) error {
	other, err := os.Open(twin)
	if err != nil {
		return err
	}
	defer other.Close()
	info, err := other.Stat()
	if err != nil {
		return err
	}
	buf, end := make([]byte, copyPiece), int64(0)
	err = pieces(ctx, file, func(p []byte, off int64) error {
		n, err := other.ReadAt(buf[:len(p)], off)
		if err != nil && err != io.EOF {
			return err
		}
		if !bytes.Equal(p, buf[:n]) {
			return errChanged
		}
		end = off + int64(n)
		return nil
	})
	if err == nil && end != info.Size() {
		return errChanged
	}
	return err
}

// pieces calls f with each piece of a file and where it is.
func pieces(ctx context.Context, file *os.File, f func(p []byte, off int64) error) error {
	buf := make([]byte, copyPiece)
	for off := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := file.ReadAt(buf, off)
		if n > 0 {
			if err := f(buf[:n], off); err != nil {
				return err
			}
			off += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
