package reader

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// errAbsent says that a file is not there, without the repository's own path.
var errAbsent = errors.New("is not there")

// open opens a file of the repository, which may lie behind symlinks, as restic
// has it.
func (r *Repository) open(name string) (*os.File, int64, error) {
	f, err := os.OpenFile(filepath.Join(r.dir, name), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, unread(name, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = damaged(name, "is no regular file")
	}
	if err != nil {
		f.Close()
		return nil, 0, unread(name, err)
	}
	return f, info.Size(), nil
}

// unread is the problem of a file that cannot be read.
func unread(name string, err error) error {
	var p *fs.PathError
	switch {
	case firstboot.CodeOf(err) != 0:
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return damaged(name, "%w", errAbsent)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return damaged(name, "has fewer bytes than a moment before")
	case errors.As(err, &p):
		err = p.Err
	}
	return firstboot.NewProblem(firstboot.CodeDisk, "", "%s: %w", name, err)
}

// read returns a whole file.
func (r *Repository) read(name string, most int64) ([]byte, error) {
	f, size, err := r.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > most {
		return nil, damaged(name, "has %d bytes, expected at most %d", size, most)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(f, text); err != nil {
		return nil, unread(name, err)
	}
	return text, nil
}

// named returns a whole file whose name is the hash of its content. restic reads
// no other one.
func (r *Repository) named(dir string, id ID, most int64) ([]byte, error) {
	name := path.Join(dir, id.String())
	text, err := r.read(name, most)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(text); sum != id {
		return nil, damaged(name, "the SHA-256 of its content is %.8s…, expected that of its name", ID(sum))
	}
	return text, nil
}

// document returns the JSON of an encrypted file.
func (r *Repository) document(dir string, id ID, most int64) ([]byte, error) {
	sealed, err := r.named(dir, id, most)
	if err != nil {
		return nil, err
	}
	text, err := r.key.open(sealed)
	if err == nil {
		text, err = r.unpack(text, most)
	}
	if err != nil {
		return nil, damaged(path.Join(dir, id.String()), "%w", err)
	}
	return text, nil
}

// list returns the IDs of the files of a directory, sorted. What has another
// name is left out, as restic does: such as what a backup that was cut short has
// left.
func (r *Repository) list(dir string) ([]ID, error) {
	entries, err := os.ReadDir(filepath.Join(r.dir, dir))
	if err != nil {
		return nil, unread(dir, err)
	}
	var ids []ID
	for _, e := range entries {
		if id, err := ParseID(e.Name()); err == nil {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, compareIDs)
	return ids, nil
}

// encodingZstd is the first byte of a compressed document of format 2; a first
// byte of JSON says that it is not compressed.
const encodingZstd = 2

// unpack returns the JSON of a document, of at most so many bytes.
func (r *Repository) unpack(text []byte, most int64) ([]byte, error) {
	if r.version < 2 || len(text) > 0 && (text[0] == '{' || text[0] == '[') {
		return text, nil
	}
	if len(text) == 0 || text[0] != encodingZstd {
		return nil, fmt.Errorf("encoding %.1x of a document, expected %d or JSON", text, encodingZstd)
	}
	return r.decompress(text[1:], most, nil)
}

// newDecoder returns a decoder that writes no more than there is room for.
func newDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxTree), zstd.WithDecodeAllCapLimit(true))
}

// maxBlock is what a block of zstd has at most when it is decompressed, and
// minBlock what it takes at least: RFC 8878, section 3.1.1.2.
const maxBlock, minBlock = 128 << 10, 4

// decompress returns what zstd has made smaller, of at most so many bytes, in room if
// it fits. A frame that says that it has more is not begun. One that does not say it,
// as restic writes small ones and other programs all, gets more room until it fits.
func (r *Repository) decompress(text []byte, most int64, room []byte) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(text); err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	size := min(max(4*int64(len(text)), maxBlock), most)
	if h.HasFCS {
		most = min(most, (int64(len(text))/minBlock+1)*maxBlock)
		if h.FrameContentSize > uint64(most) {
			return nil, fmt.Errorf("zstd: %d bytes, expected at most %d", h.FrameContentSize, most)
		}
		size = int64(h.FrameContentSize)
	}
	for {
		if int64(cap(room)) < size {
			room = make([]byte, 0, size)
		}
		plain, err := r.zstd.DecodeAll(text, room[:0:size])
		if err == nil {
			return plain, nil
		}
		if h.HasFCS || size == most {
			return nil, fmt.Errorf("zstd: %w, expected at most %d bytes", err, size)
		}
		size = min(2*size, most)
	}
}
