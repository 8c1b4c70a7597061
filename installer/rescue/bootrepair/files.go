package bootrepair

import (
	"bytes"
	"context"
	"path"

	"github.com/6FaNcY9/mkimage/installer/durable"
)

// writeFiles puts files onto a mounted ESP, each whole before the next.
func writeFiles(ctx context.Context, f durable.FS, list []file, progress Progress) error {
	var done, total int64
	for _, file := range list {
		total += int64(len(file.data))
	}
	for _, file := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeFile(f, "/"+file.path, file.data); err != nil {
			return err
		}
		done += int64(len(file.data))
		progress.report(done, total)
	}
	return nil
}

// writeFile writes a file unless it is as it should be. Who wrote it may have been stopped
// before its name, and what FAT has beside that, was on the disk.
func writeFile(f durable.FS, name string, data []byte) error {
	if old, err := durable.Read(f, name, int64(len(data))+1); err == nil && bytes.Equal(old, data) {
		if err := durable.Sync(f, name); err != nil {
			return err
		}
		return durable.Sync(f, path.Dir(name))
	}
	return durable.Write(f, name, data, 0o644)
}
