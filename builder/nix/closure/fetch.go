package closure

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix/nar"
	"github.com/6FaNcY9/mkimage/builder/nix/narinfo"
	"github.com/6FaNcY9/mkimage/builder/nix/narstore"
	"github.com/6FaNcY9/mkimage/builder/unpack"
)

// each calls do for all objects, some at a time, and tells of progress.
func (f *fetcher) each(ctx context.Context, objects []*found, do func(context.Context, *found) error) error {
	for _, o := range objects {
		f.total += o.info.NarSize
	}
	f.Progress(0, f.total)
	// The largest first: at the end no worker is left with one that takes long.
	order := slices.Clone(objects)
	slices.SortStableFunc(order, func(a, b *found) int { return cmp.Compare(b.info.NarSize, a.info.NarSize) })
	var next atomic.Int64
	group, inner := errgroup.WithContext(ctx)
	for range min(f.Workers, len(order)) {
		group.Go(func() error {
			for inner.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(order) {
					return nil
				}
				if err := do(inner, order[i]); err != nil {
					return about(order[i], err)
				}
			}
			return context.Cause(inner)
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// about names the object in an error, unless it does so already.
func about(o *found, err error) error {
	if strings.HasPrefix(err.Error(), o.info.Path.String()) || fault.ClassOf(err) != fault.Input {
		return err
	}
	return fault.New(fault.Input, fault.HintOf(err), "%s: %w", o.info.Path, err)
}

// of says that an error is of what a cache has, unless it is of this host.
func of(place string, err error) error {
	switch {
	case errors.Is(err, narstore.ErrFolder):
		return fault.New(fault.Internal, narstore.Hint(err), "%w", err)
	case errors.Is(err, errInternal):
		return err
	}
	return fault.New(fault.Input, fault.HintOf(err), "%s: %w", place, err)
}

// object brings the archive of an object into the store and lists it: from there, or
// from the first cache that has it whole.
func (f *fetcher) object(ctx context.Context, o *found) error {
	if o.archive == nil {
		var err error
		if o.archive, err = f.Store.Get(o.info.NarHash); err != nil {
			return of("cache directory", err)
		}
	}
	if o.archive != nil {
		err := f.takeStored(ctx, o)
		if err == nil || ctx.Err() != nil {
			return err
		}
		f.Log(fmt.Sprintf("%s: %v; fetching it again", o.info.Path, err))
		if err := f.Store.Remove(o.info.NarHash); err != nil {
			return of("cache directory", err)
		}
		o.archive = nil
	}
	return f.download(ctx, o)
}

// download takes an archive from the cache that the object was found in, or from one
// behind it that has the same.
func (f *fetcher) download(ctx context.Context, o *found) error {
	if o.cache < 0 {
		again, err := f.ask(ctx, o.info.Path, 0, o)
		if err != nil {
			return err
		}
		o.info, o.cache, o.content = again.info, again.cache, again.content
	}
	for {
		err := f.unpack(ctx, o)
		if err == nil || ctx.Err() != nil || fault.ClassOf(err) != fault.Input {
			return err
		}
		other, otherErr := f.ask(ctx, o.info.Path, o.cache+1, o)
		switch {
		case otherErr != nil && o.cache+1 < len(f.Caches):
			return fault.New(fault.Input, fault.HintOf(err), "%w; and of the other caches: %w", err, otherErr)
		case otherErr != nil:
			return err
		}
		f.Log(fmt.Sprintf("%v; taking it from %s", about(o, err), f.Caches[other.cache].URL))
		o.info, o.cache, o.content = other.info, other.cache, other.content
	}
}

// unpack takes an archive from a cache into the store. One that lies uncompressed
// on this host stays where it is.
func (f *fetcher) unpack(ctx context.Context, o *found) (err error) {
	c := f.Caches[o.cache]
	if name := c.File(o.info); name != "" && o.info.Compression == "none" {
		if o.archive, err = f.Store.Plain(name); err != nil {
			return fault.New(fault.Input, "", "%w", err)
		}
		if err = f.takeStored(ctx, o); err != nil && ctx.Err() == nil {
			err = of(name, err)
		}
		return err
	}
	format := unpack.ByName(o.info.Compression)
	if o.info.Compression != "none" && (format == nil || !format.Supported()) {
		return fault.New(fault.Input, "name another cache; its owner can fill a new one with compression=zstd", "compressed with %s, expected xz, zstd, gzip, bzip2 or none", o.info.Compression)
	}
	packed, err := c.Archive(ctx, o.info)
	if err != nil {
		return err
	}
	defer packed.Close()
	in := &checkedReader{r: packed, size: o.info.FileSize, most: mostPacked(o.info), sum: o.info.FileHash, hash: sha256.New()}
	o.archive, err = f.Store.Put(o.info.NarHash, func(w io.Writer) error {
		var r io.Reader = in
		if format != nil {
			d, err := f.unpacker.Open(format, in)
			if err != nil {
				return err
			}
			defer d.Close()
			r = d
		}
		return f.take(ctx, o, r, w, in.end)
	})
	if err == nil {
		o.archive.Seal(o.sums)
		return nil
	}
	f.uproot(o) // should keeping it have failed
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return of(c.Name(o.info.URL), err)
}

// mostPacked is the most bytes that an archive has when it is compressed: formats
// lengthen what they cannot compress by less than a hundredth.
func mostPacked(info *narinfo.Info) int64 { return info.NarSize + info.NarSize/16 + 1<<20 }

// checkedReader reads a file of a cache whose size and digest may be known.
type checkedReader struct {
	r    io.Reader
	size int64              // 0: not known
	most int64              // bytes; said by nobody, see mostPacked
	sum  *[sha256.Size]byte // nil: not known
	hash hash.Hash
	n    int64
}

// Read implements io.Reader.
func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.sum != nil {
		c.hash.Write(p[:n])
	}
	switch c.n += int64(n); {
	case c.size > 0 && c.n > c.size:
		return 0, fmt.Errorf("more than %d bytes, which FileSize says", c.size)
	case c.n > c.most:
		return 0, fmt.Errorf("more than %d bytes, which is too much for its NarSize", c.most)
	}
	return n, err
}

// end checks what is left behind what was needed.
func (c *checkedReader) end() error {
	if _, err := io.Copy(io.Discard, c); err != nil {
		return err
	}
	if c.size > 0 && c.n != c.size {
		return fmt.Errorf("%d bytes, FileSize says %d", c.n, c.size)
	}
	if c.sum != nil && !bytes.Equal(c.hash.Sum(nil), c.sum[:]) {
		return fmt.Errorf("SHA-256 %x, FileHash says %x", c.hash.Sum(nil), *c.sum)
	}
	return nil
}

// takeStored takes an archive that can be read where it is.
func (f *fetcher) takeStored(ctx context.Context, o *found) error {
	err := f.take(ctx, o, io.NewSectionReader(o.archive, 0, o.archive.Size()), io.Discard, func() error { return nil })
	if err == nil {
		o.archive.Seal(o.sums)
	}
	return err
}

// take reads an archive that is to be that of an object, copies it to w, and puts
// what is in it into the tree. End is called when all that is well, and may find
// more. After an error the tree has nothing of it.
func (f *fetcher) take(ctx context.Context, o *found, r io.Reader, w io.Writer, end func() error) error {
	digest, address := sha256.New(), newAddress(o.content)
	o.sums, o.files = narstore.NewSums(), nil
	v := &planter{fetcher: f, object: o, address: address}
	in := &sizedReader{ctx: ctx, r: r, left: o.info.NarSize, progress: f.advance}
	err := nar.Read(io.TeeReader(in, io.MultiWriter(digest, o.sums, address.ofNAR(), w)), v)
	switch {
	case err != nil:
	case in.left > 0:
		err = fmt.Errorf("%d bytes, NarSize says %d", o.info.NarSize-in.left, o.info.NarSize)
	case !bytes.Equal(digest.Sum(nil), o.info.NarHash[:]):
		err = fmt.Errorf("SHA-256 %x, NarHash says %x", digest.Sum(nil), o.info.NarHash)
	default:
		if err = address.check(o.info); err == nil {
			err = end()
		}
	}
	if err == nil {
		return nil
	}
	f.uproot(o)
	f.advance(in.left - o.info.NarSize)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

var errInternal = errors.New("tree")

// advance counts bytes of archives.
func (f *fetcher) advance(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done += n
	f.Progress(f.done, f.total)
}

// sizedReader reads so many bytes at most.
type sizedReader struct {
	ctx      context.Context
	r        io.Reader
	left     int64
	progress func(n int64)
}

// Read implements io.Reader.
func (s *sizedReader) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	if int64(n) > s.left {
		return 0, errors.New("more bytes than NarSize says")
	}
	s.left -= int64(n)
	s.progress(int64(n))
	return n, err
}

// address checks a content address.
type address struct {
	hash  hash.Hash // nil: nothing is to be checked
	whole bool      // of the archive, not of the file in it
	want  []byte
}

func newAddress(ca *narinfo.CA) *address {
	if ca == nil {
		return &address{}
	}
	whole, algorithm, digest := ca.Digest()
	if whole && algorithm == crypto.SHA256 {
		return &address{} // it is NarHash, see narinfo.Info.ContentAddressed
	}
	return &address{hash: algorithm.New(), whole: whole, want: digest}
}

// ofNAR returns what the archive is written to.
func (a *address) ofNAR() io.Writer {
	if a.hash == nil || !a.whole {
		return io.Discard
	}
	return a.hash
}

// ofFile reports whether the address is that of the content of a file.
func (a *address) ofFile() bool { return a.hash != nil && !a.whole }

// ofContent returns what the content of a file is written to.
func (a *address) ofContent() io.Writer {
	if !a.ofFile() {
		return io.Discard
	}
	return a.hash
}

// errNoFile is the error of an object that has the address of a file. Its size says
// nothing, as nothing but the content is proven, so that it is not read further.
var errNoFile = errors.New("its content address is that of a file that is not executable, which it is not")

func (a *address) check(info *narinfo.Info) error {
	switch {
	case a.hash == nil:
		return nil
	case !bytes.Equal(a.hash.Sum(nil), a.want):
		return fmt.Errorf("%x, its content address %s says %x", a.hash.Sum(nil), info.CA, a.want)
	}
	return nil
}
