package installer

import (
	"context"
	"io"
	"sync"

	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/manifest"
)

// espImage is an ESP in memory, in chunks of the manifest's size. Its writer
// wants zeros where it writes nothing, which no disk has; and what is in memory
// can be compared with what the disk has kept.
type espImage struct {
	mu     sync.Mutex
	chunks [][]byte // up to the last one that something was written to; nil is all zeros
}

// makeESP makes the file system.
func makeESP(ctx context.Context, tree *fstree.Tree, p esp.Params) (*espImage, error) {
	image := &espImage{}
	if _, err := esp.Write(ctx, image, tree, p); err != nil {
		return nil, err
	}
	return image, nil
}

// WriteAt implements io.WriterAt.
func (e *espImage) WriteAt(p []byte, off int64) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for n := 0; n < len(p); {
		at := off + int64(n)
		i, skip := int(at/manifest.ChunkSize), at%manifest.ChunkSize
		for len(e.chunks) <= i {
			e.chunks = append(e.chunks, nil)
		}
		if e.chunks[i] == nil {
			e.chunks[i] = make([]byte, manifest.ChunkSize)
		}
		n += copy(e.chunks[i][skip:], p[n:])
	}
	return len(p), nil
}

// writeTo writes the file system to a disk, from byte at on, and returns what
// was written. What lies behind its last file keeps what the disk has there.
func (e *espImage) writeTo(ctx context.Context, to io.WriterAt, at int64, progress func(done, total int64)) ([]written, error) {
	var list []written
	for i, data := range e.chunks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if data == nil {
			data = zeros[:]
		}
		start := at + int64(i)*manifest.ChunkSize
		if _, err := to.WriteAt(data, start); err != nil {
			return nil, unwritten(start, err)
		}
		list = append(list, written{extent{start, int64(len(data))}, sumOf(data)})
		if progress != nil {
			progress(int64(i+1)*manifest.ChunkSize, int64(len(e.chunks))*manifest.ChunkSize)
		}
	}
	return list, nil
}
