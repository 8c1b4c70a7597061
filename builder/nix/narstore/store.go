// Package narstore keeps archives of Nix in a folder of the host, so that they
// are fetched once and can be read anywhere, and beside them what binary caches say
// about objects.
//
// An archive is kept under its digest in frames of zstd with a table of them behind
// (Zstandard Seekable Format 0.1.0): any zstd unpacks it, and a file in its
// middle is read without what comes before. Which archives are kept has no
// influence on what is built of them.
//
// What it does not do: it does not know what is in an archive, and does not check
// that the content has the digest. Who fills the store and who reads an archive does,
// for a folder can be changed by others, and seals it, so that it stays what was
// checked.
package narstore

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// Limits of what is open or in memory at a time.
const (
	maxOpen   = 64 // files
	maxFrames = 48 // unpacked, of frameSize
)

// Names in the folder.
const (
	suffix   = ".nar.zst"
	partial  = ".partial"
	lockName = "lock"
)

// Hash is the SHA-256 of an archive.
type Hash = [sha256.Size]byte

// Store is an open folder of archives. It may be used from several goroutines, and
// by several processes.
type Store struct {
	dir     string
	lock    *os.File
	encoder *zstd.Encoder
	spare   sync.Pool // of *[frameSize]byte
	decoder *zstd.Decoder
	files   *pool[*Archive, *file]
	frames  *pool[frameKey, []byte]
}

// Open opens a folder, and makes it if it is not there, for whom the umask says. The store
// must be closed.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, folderError(err)
	}
	lock, err := openLock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, folderError(err)
	}
	s := &Store{dir: dir, lock: lock}
	if err := s.start(); err != nil {
		lock.Close()
		return nil, err
	}
	return s, nil
}

// openLock opens the file that is locked. Who shares the folder need not be allowed to
// write another's.
func openLock(name string) (*os.File, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return os.OpenFile(name, os.O_CREATE|os.O_RDONLY, 0o666)
	}
	return f, err
}

func (s *Store) start() error {
	// Who trims holds it alone, and not for long.
	if err := flock(s.lock, unix.LOCK_SH); err != nil {
		return fmt.Errorf("%s: lock: %w", s.lock.Name(), err)
	}
	var err error
	// The fastest level: an archive is packed to be unpacked a few times. Each
	// frame has a checksum in the table, no other is needed.
	if s.encoder, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithWindowSize(frameSize)); err != nil {
		return err
	}
	if s.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(frameSize)); err != nil {
		return err
	}
	s.files = newPool[*Archive](maxOpen, (*file).close)
	s.frames = newPool[frameKey](maxFrames, s.free)
	return nil
}

// buffer returns memory for a frame. It goes back with free.
func (s *Store) buffer() []byte {
	if b, ok := s.spare.Get().(*[frameSize]byte); ok {
		return b[:]
	}
	return make([]byte, frameSize)
}

// free takes a frame back, of which nothing is used any more.
func (s *Store) free(frame []byte) { s.spare.Put((*[frameSize]byte)(frame[:frameSize])) }

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Close closes the store; its archives cannot be read any more.
func (s *Store) Close() error {
	s.frames.clear()
	s.files.clear()
	s.decoder.Close()
	return errors.Join(s.encoder.Close(), s.lock.Close())
}

func (s *Store) path(h Hash) string { return filepath.Join(s.dir, hex.EncodeToString(h[:])+suffix) }

// Get returns the archive with a digest, nil where the store does not have it. One
// that is damaged is removed. It is the caller who checks the content.
func (s *Store) Get(h Hash) (*Archive, error) {
	a, err := s.archive(s.path(h), false)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, errDamaged):
		return nil, s.Remove(h)
	case err != nil:
		return nil, folderError(err)
	}
	touch(a.name)
	return a, nil
}

// Remove removes the archive with a digest, if it is there.
func (s *Store) Remove(h Hash) error { return folderError(s.drop(filepath.Base(s.path(h)))) }

// ErrFolder is in the chain of errors that the folder is to blame for, not what was to
// be kept in it.
var ErrFolder = errors.New("cache directory")

// Hint says what to do about an error of the folder.
func Hint(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "let this user read and write it, or name another with --cache-dir"
	}
	return "make room, or name another with --cache-dir"
}

func folderError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrFolder, err)
}

// Put keeps what fill writes, which must be the archive with the digest. When fill
// returns an error nothing is kept. One that is there already, for others fill the
// store at the same time, stays.
func (s *Store) Put(h Hash, fill func(w io.Writer) error) (*Archive, error) {
	name := s.path(h)
	f, err := createPartial(name)
	if err != nil {
		return nil, folderError(err)
	}
	err = s.pack(folderWriter{f}, fill)
	if err = errors.Join(err, folderError(f.Close())); err == nil {
		err = folderError(renameNew(f.Name(), name))
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(f.Name()))
	}
	a, err := s.archive(name, false)
	return a, folderError(err)
}

// createPartial makes a file that is to be called name once it is whole. Others may read
// it as far as the umask says, for they may share the folder.
func createPartial(name string) (*os.File, error) {
	for n := 0; ; n++ {
		f, err := os.OpenFile(fmt.Sprintf("%s.%d%s", name, n, partial), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// folderWriter says of errors that they are of the folder.
type folderWriter struct{ io.Writer }

func (w folderWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	return n, folderError(err)
}

// renameNew renames a file, or removes it where the new name is taken. Where the file
// system cannot do that at once it takes the place of the other.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case errors.Is(err, unix.EEXIST):
		return os.Remove(from)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return os.Rename(from, to)
	case err != nil:
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// Plain returns an archive that lies uncompressed in a file of the host.
func (s *Store) Plain(name string) (*Archive, error) { return s.archive(name, true) }

// Trim removes the files that were not used for longest until those that are left
// have at most so many bytes, and what killed processes left. It does nothing
// while another process has the store open, and leaves what belongs to others who share
// the folder. The store's own archives cannot be read any more.
func (s *Store) Trim(most int64) error {
	s.frames.clear()
	s.files.clear()
	if err := flock(s.lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			// A failed change of a lock may have lost it.
			return flock(s.lock, unix.LOCK_SH)
		}
		return fmt.Errorf("%s: lock: %w", s.lock.Name(), err)
	}
	return errors.Join(s.trim(most), flock(s.lock, unix.LOCK_SH))
}

func (s *Store) trim(most int64) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	total := int64(0)
	for _, e := range entries {
		switch info, err := e.Info(); {
		case errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular():
		case err != nil:
			return err
		case strings.HasSuffix(e.Name(), partial):
			if err := s.drop(e.Name()); err != nil && !errors.Is(err, fs.ErrPermission) {
				return err
			}
		case strings.HasSuffix(e.Name(), suffix), strings.HasSuffix(e.Name(), textSuffix):
			files, total = append(files, info), total+info.Size()
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), strings.Compare(a.Name(), b.Name()))
	})
	for _, f := range files {
		if total <= most {
			break
		}
		err := s.drop(f.Name())
		if errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return err
		}
		total -= f.Size()
	}
	return nil
}

// drop removes a file, if it is there.
func (s *Store) drop(name string) error {
	if err := os.Remove(filepath.Join(s.dir, name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
