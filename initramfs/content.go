package initramfs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"runtime"
	"strings"
	"sync"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/unpack"
)

// maxFile bounds a module or a file of firmware, compressed or not. The
// largest module of Debian's kernel, amdgpu, has 26 MB.
const maxFile = 256 << 20

// moduleSuffixes are what may be behind .ko (CONFIG_MODULE_COMPRESS_*).
var moduleSuffixes = []string{"", ".xz", ".zst", ".gz"}

// loaded is a module with its content.
type loaded struct {
	ordered
	data []byte // decompressed: an ELF object, perhaps with a signature behind it
}

// plainPath is the path of the module without a suffix for its compression.
func (m moduleFile) plainPath() string {
	i := strings.LastIndex(m.path, ".ko")
	return m.path[:i+len(".ko")]
}

// load reads and decompresses modules, as many at a time as there are
// processors.
func (x *index) load(ctx context.Context, order []ordered) ([]loaded, error) {
	modules := make([]loaded, len(order))
	errs := make([]error, len(order))
	next := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range next {
				modules[i].ordered = order[i]
				modules[i].data, errs[i] = x.content(order[i].path)
			}
		})
	}
	for i := range order {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, err := range errs { // the first in order, whoever was fastest
		if err != nil {
			return nil, err
		}
	}
	return modules, nil
}

// content returns the decompressed content of a module.
func (x *index) content(file string) ([]byte, error) {
	name := x.dir + "/" + file
	e, err := x.tree.Follow(name)
	if err != nil {
		return nil, input("", "%w", err)
	}
	data, err := readEntry(e, maxFile)
	if err == nil {
		data, err = decompress(data, path.Ext(file))
	}
	if err != nil {
		return nil, input("", "%s: %w", name, err)
	}
	return data, nil
}

// readEntry returns the content of a regular file of at most limit bytes. No
// entry at all is an error.
func readEntry(e *fstree.Entry, limit int64) ([]byte, error) {
	if e == nil {
		return nil, input("", "does not exist")
	}
	data, err := e.Read(limit)
	if err != nil {
		return nil, input("", "%w", err)
	}
	return data, nil
}

// decompress undoes a compression by the suffix of the file that has it; any
// other suffix means none.
func decompress(data []byte, suffix string) ([]byte, error) {
	format := unpack.BySuffix(suffix)
	if format == nil {
		return data, nil
	}
	r, err := format.Open(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readAll(r, 4*len(data), maxFile, format.Name)
}

// readAll reads up to limit bytes of a decompressor; guess is how many to make
// room for at first.
func readAll(r io.Reader, guess int, limit int64, format string) ([]byte, error) {
	out := bytes.NewBuffer(make([]byte, 0, min(int64(guess), limit)))
	n, err := io.Copy(out, io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, err
	case n > limit:
		return nil, fmt.Errorf("%s: more than %d bytes when decompressed", format, limit)
	}
	return out.Bytes(), nil
}
