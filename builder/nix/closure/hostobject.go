package closure

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix/nar"
)

// hostFetcher makes a closure of objects of a store of this host.
type hostFetcher struct {
	*fetcher
	host *HostStore
}

// object hashes an object where it lies, as the archive that it would be, and puts it
// into the tree.
func (h *hostFetcher) object(ctx context.Context, o *found) error {
	digest, address := sha256.New(), newAddress(o.content)
	out := &sizedWriter{ctx: ctx, w: io.MultiWriter(digest, address.ofNAR()), left: o.info.NarSize, progress: h.advance}
	r := &hostReader{host: h.host, encoder: nar.NewEncoder(out), planter: &planter{fetcher: h.fetcher, object: o, address: address}}
	err := r.read(h.host.objects, nil, o.info.Path.Base(), "")
	if err == nil {
		err = r.encoder.Close()
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errLarger):
		return h.host.damaged("%w than %d bytes as an archive, which the database of the store says", errLarger, o.info.NarSize)
	case errors.Is(err, errNoFile):
		return h.host.damaged("%w", err)
	case err != nil:
		return err
	case out.left > 0:
		return h.host.damaged("%d bytes as an archive, the database of the store says %d", o.info.NarSize-out.left, o.info.NarSize)
	case !bytes.Equal(digest.Sum(nil), o.info.NarHash[:]):
		return h.host.damaged("SHA-256 %x as an archive, the database of the store says %x", digest.Sum(nil), o.info.NarHash)
	}
	if err := address.check(o.info); err != nil {
		return h.host.damaged("%w", err)
	}
	return nil
}

// errLarger is the error of an object that has more bytes than it should.
var errLarger = errors.New("more")

// sizedWriter writes so many bytes at most.
type sizedWriter struct {
	ctx      context.Context
	w        io.Writer
	left     int64
	progress func(n int64)
}

// Write implements io.Writer.
func (s *sizedWriter) Write(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	if int64(len(p)) > s.left {
		return 0, errLarger
	}
	s.left -= int64(len(p))
	s.progress(int64(len(p)))
	return s.w.Write(p)
}

// hostReader reads one object of a store of this host.
type hostReader struct {
	host    *HostStore
	encoder *nar.Encoder
	planter *planter
}

// read reads what has a name in a directory: dir, which is at place in the object's
// path of the host, nil for the store directory. Path is where it is in the object.
func (r *hostReader) read(dir *os.Root, at *place, name, path string) error {
	info, err := dir.Lstat(name)
	if err != nil {
		return r.failed(at, name, err)
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		return r.directory(dir, at, name, path)
	case fs.ModeSymlink:
		to, err := dir.Readlink(name)
		if err != nil {
			return r.failed(at, name, err)
		}
		if err := r.encoder.Symlink(path, to); err != nil {
			return err
		}
		return r.planter.Symlink(path, to)
	case 0:
		return r.file(dir, at, name, path)
	}
	return r.host.damaged("%s: is of type %s, expected a file, a directory or a symlink", r.host.name(at.join(name)), info.Mode().Type())
}

func (r *hostReader) directory(dir *os.Root, at *place, name, path string) error {
	if err := r.encoder.Directory(path); err != nil {
		return err
	}
	if err := r.planter.Directory(path); err != nil {
		return err
	}
	sub, err := dir.OpenRoot(name)
	if err != nil {
		return r.failed(at, name, err)
	}
	defer sub.Close()
	names, err := namesIn(sub)
	if err != nil {
		return r.failed(at, name, err)
	}
	inner := &place{at, name}
	for _, n := range names {
		below := n
		if path != "" {
			below = path + "/" + n
		}
		if err := r.read(sub, inner, n, below); err != nil {
			return err
		}
	}
	return nil
}

// namesIn returns the names in a directory in the order of an archive.
func namesIn(dir *os.Root) ([]string, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (r *hostReader) file(dir *os.Root, at *place, name, path string) error {
	f, err := openRegular(dir, name)
	if err != nil {
		return r.failed(at, name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return r.failed(at, name, err)
	}
	const ownerMayRun = 0o100 // which is all that Nix looks at
	file := nar.File{Path: path, Executable: info.Mode()&ownerMayRun != 0, Size: info.Size()}
	e, err := r.planter.file(file)
	if err != nil {
		return err
	}
	sums := &pieceSums{}
	to, sum := r.planter.hashes(file)
	if err := r.encoder.File(file, io.TeeReader(f, io.MultiWriter(sums, to))); err != nil {
		if errors.Is(err, errLarger) {
			return err
		}
		return r.failed(at, name, err)
	}
	if file.Size > 0 {
		e.Content = &hostContent{store: r.host, at: at, name: e.Name, sums: sums.all()}
	}
	r.planter.keepSum(e, sum)
	return nil
}

// openRegular opens a file, and does not wait for who would write to a pipe.
func openRegular(dir *os.Root, name string) (*os.File, error) {
	f, err := dir.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is no regular file any more")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// failed is the error of what could not be read.
func (r *hostReader) failed(at *place, name string, err error) error {
	switch path := r.host.name(at.join(name)); {
	case errors.Is(err, fs.ErrNotExist):
		return r.host.damaged("%s: %w, but the database of the store has it", path, cause(err))
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Input, hintReadable, "%s: %w", path, cause(err))
	default:
		return fault.New(fault.Input, "", "%s: %w", path, cause(err))
	}
}
