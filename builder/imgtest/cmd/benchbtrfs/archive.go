package main

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// archiveTime dates all that is in a synthetic archive.
var archiveTime = time.Unix(1_700_000_000, 0)

// smallArchive writes a tar archive of n files of 0 to 2047 bytes in
// directories of 1,000, unless there is one at that path.
func smallArchive(path string, n int) (err error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			os.Remove(path)
		}
	}()
	buf := bufio.NewWriterSize(f, 1<<20)
	if err := packSmall(tar.NewWriter(buf), n); err != nil {
		return err
	}
	return errors.Join(buf.Flush(), f.Sync())
}

func packSmall(w *tar.Writer, n int) error {
	var body [2048]byte
	for i := range n {
		dir := fmt.Sprintf("d%05d", i/1000)
		if i%1000 == 0 {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: archiveTime}); err != nil {
				return err
			}
		}
		size := i * 2654435761 % len(body)
		for at := 0; at < size; {
			at += copy(body[at:size], fmt.Sprintf("line %d of file %d, key=%x\n", at, i, i*at*2654435761))
		}
		h := tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("%s/file-%07d", dir, i), Mode: 0o644, Size: int64(size), ModTime: archiveTime}
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		if _, err := w.Write(body[:size]); err != nil {
			return err
		}
	}
	return w.Close()
}
