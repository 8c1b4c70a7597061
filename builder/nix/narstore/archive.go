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
	id    fileID // of the file when it was opened first
}

// fileID tells whether a file is still what it was.
type fileID struct {
	dev, ino uint64
	size     int64
	mtime    unix.Timespec
}

// file is an open archive.
type file struct {
	*os.File
	frames *seekable.Reader // nil of a plain one
	size   int64            // of the content
	id     fileID
}

func (f *file) close() {
	if f.frames != nil {
		_ = f.frames.Close() // it was read only
	}
	_ = f.File.Close()
}

// frameKey names an unpacked frame.
type frameKey struct {
	archive *Archive
	index   int64
}

func (s *Store) archive(name string, plain bool) (*Archive, error) {
	a := &Archive{store: s, name: name, plain: plain}
	f, err := a.open()
	if err != nil {
		return nil, err
	}
	a.size, a.id = f.size, f.id
	f.close()
	return a, nil
}

// Size returns the bytes of the archive.
func (a *Archive) Size() int64 { return a.size }

// Name returns the name of the file that it is in.
func (a *Archive) Name() string { return a.name }

func (a *Archive) open() (*file, error) {
	f, err := os.Open(a.name)
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
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.New("is no regular file")
	}
	f.size = stat.Size
	// A change of the times is no change: see Get.
	f.id = fileID{dev: uint64(stat.Dev), ino: stat.Ino, size: stat.Size}
	if a.plain {
		f.id.mtime = stat.Mtim
		return nil
	}
	frames, err := seekable.NewReader(f.File, a.store.decoder, seekable.WithReaderFrameCache(framecache.NewFIFO(framecache.Limits{})))
	if err != nil {
		return err
	}
	f.frames = frames
	table, err := frames.SeekTable()
	if err != nil {
		return err
	}
	f.size = int64(table.Size())
	return nil
}

// take returns the open file, which the caller gives back.
func (a *Archive) take() (*pooled[*Archive, *file], error) {
	f, err := a.store.files.take(a, a.open)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	if f.value.id != a.id {
		a.store.files.put(f)
		return nil, fault.New(fault.Input, "build again when nothing writes it", "%s: has changed while it was read", a.name)
	}
	return f, nil
}

// ReadAt implements io.ReaderAt. Errors are of class fault.Input.
func (a *Archive) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("%s: offset %d", a.name, off)
	}
	var end error
	if left := max(0, a.size-off); int64(len(p)) > left {
		p, end = p[:left], io.EOF
	}
	if a.plain {
		return a.readPlain(p, off, end)
	}
	n := 0
	for n < len(p) {
		at := off + int64(n)
		frame, err := a.store.frames.take(frameKey{a, at / frameSize}, func() ([]byte, error) { return a.unpack(at / frameSize) })
		if err != nil {
			return n, err
		}
		n += copy(p[n:], frame.value[at%frameSize:])
		a.store.frames.put(frame)
	}
	return n, end
}

func (a *Archive) readPlain(p []byte, off int64, end error) (int, error) {
	f, err := a.take()
	if err != nil {
		return 0, err
	}
	defer a.store.files.put(f)
	n, err := f.value.ReadAt(p, off)
	if n < len(p) {
		return n, fault.New(fault.Input, "", "%s: byte %d: %w", a.name, off+int64(n), err)
	}
	return n, end
}

// unpack returns the content of a frame.
func (a *Archive) unpack(index int64) ([]byte, error) {
	f, err := a.take()
	if err != nil {
		return nil, err
	}
	defer a.store.files.put(f)
	at := index * frameSize
	out := make([]byte, min(frameSize, a.size-at))
	if n, err := f.value.frames.ReadAt(out, at); n < len(out) {
		return nil, fault.New(fault.Input, "remove it, and build again", "%s: byte %d: %w", a.name, at+int64(n), err)
	}
	return out, nil
}
