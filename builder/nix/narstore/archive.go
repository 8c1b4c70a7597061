package narstore

import (
	"errors"
	"fmt"
	"io"
	"os"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
	"github.com/SaveTheRbtz/zstd-seekable-format-go/pkg/framecache"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// frameSize is the content of a frame in bytes: twice what the writer of a file
// system reads at once, so that frames are rarely read for a small part of them.
const frameSize = 256 << 10

// Archive is an archive that can be read anywhere, from several goroutines. It
// has no descriptor of its own: a closure may have thousands.
type Archive struct {
	store *Store
	name  string // of the file
	plain bool   // the file is the archive itself
	size  int64  // bytes of the archive
	sums  []Hash // of its frames; nil: not sealed
}

// file is an open archive.
type file struct {
	*os.File
	frames *seekable.Reader // nil of a plain one
	size   int64            // of the content
}

func (f *file) close() {
	if f.frames != nil {
		_ = f.frames.Close() // it was read only
	}
	_ = f.File.Close()
}

// content reads the archive as it is unpacked.
func (f *file) content() io.ReaderAt {
	if f.frames != nil {
		return f.frames
	}
	return f.File
}

// frameKey names a part of an archive: a frame, or as much of a plain one.
type frameKey struct {
	archive *Archive
	index   int64
	sealed  bool // it was checked when it was read
}

func (s *Store) archive(name string, plain bool) (*Archive, error) {
	a := &Archive{store: s, name: name, plain: plain}
	f, err := a.open()
	if err != nil {
		return nil, err
	}
	a.size = f.size
	f.close()
	return a, nil
}

// Size returns the bytes of the archive.
func (a *Archive) Size() int64 { return a.size }

// Name returns the name of the file that it is in.
func (a *Archive) Name() string { return a.name }

// Seal makes every later read give what was read before, of which sums are the
// digests, or an error: others may write to the folder.
func (a *Archive) Seal(sums *Sums) { a.sums = sums.all() }

func (a *Archive) open() (*file, error) {
	// Not waiting for who would write to a pipe.
	f, err := os.OpenFile(a.name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	out := &file{File: f}
	if err := a.measure(out); err != nil {
		out.close()
		return nil, fmt.Errorf("%s: %w", a.name, err)
	}
	return out, nil
}

func (a *Archive) measure(f *file) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("is no regular file")
	case a.plain:
		f.size = info.Size()
		return nil
	}
	frames, err := seekable.NewReader(f.File, a.store.decoder, seekable.WithReaderFrameCache(framecache.NewFIFO(framecache.Limits{})))
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	f.frames = frames
	table, err := frames.SeekTable()
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	f.size = int64(table.Size())
	return nil
}

// errDamaged is in the chain of the error of a file that is no archive.
var errDamaged = errors.New("is damaged")

// ReadAt implements io.ReaderAt. Errors are of class fault.Input.
func (a *Archive) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("%s: offset %d", a.name, off)
	}
	var end error
	if left := max(0, a.size-off); int64(len(p)) > left {
		p, end = p[:left], io.EOF
	}
	n := 0
	for n < len(p) {
		at := off + int64(n)
		frame, err := a.store.frames.take(frameKey{a, at / frameSize, a.sums != nil}, func() ([]byte, error) { return a.frame(at / frameSize) })
		if err != nil {
			return n, err
		}
		n += copy(p[n:], frame.value[at%frameSize:])
		a.store.frames.put(frame)
	}
	return n, end
}

// frame returns the content of a frame.
func (a *Archive) frame(index int64) ([]byte, error) {
	f, err := a.store.files.take(a, a.open)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	defer a.store.files.put(f)
	at := index * frameSize
	out := a.store.buffer()[:min(frameSize, a.size-at)]
	if n, err := f.value.content().ReadAt(out, at); n < len(out) {
		return nil, fault.New(fault.Input, "build again, when nothing writes it", "%s: byte %d: %w", a.name, at+int64(n), err)
	}
	if a.sums != nil && sumOf(out) != a.sums[index] {
		return nil, fault.New(fault.Input, "build again, when nothing writes it", "%s: bytes %d to %d: have changed since they were checked", a.name, at, at+int64(len(out)))
	}
	return out, nil
}
