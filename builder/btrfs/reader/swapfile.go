package reader

import (
	"errors"
	"fmt"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
)

const hintSwapfile = "make a new one with: btrfs filesystem mkswapfile"

// Swapfile describes a file that the kernel would take as swap space.
type Swapfile struct {
	Size      int64    // bytes in use, a multiple of the page size
	Offset    int64    // physical page of its header, the value of resume_offset=
	Fragments int      // physically contiguous pieces
	Signature string   // swaparea.Signature or swaparea.HibernateSignature
	UUID      ids.UUID // of the swap space
}

// SwapfileOffset returns the value of the kernel parameter resume_offset= for
// the swapfile of this name; see Swapfile.
func (v *Volume) SwapfileOffset(name string) (int64, error) {
	s, err := v.Swapfile(name)
	if err != nil {
		return 0, err
	}
	return s.Offset, nil
}

// Swapfile checks that the kernel can swap to the file of this name, as
// btrfs_swap_activate does, and that its header stands where its extents say.
func (v *Volume) Swapfile(name string) (*Swapfile, error) {
	s, err := v.MapSwapfile(name)
	if err != nil {
		return nil, err
	}
	if err := v.fs.readSwapHeader(s); err != nil {
		return nil, swapfileError(name, err)
	}
	return s, nil
}

// MapSwapfile is Swapfile without a look at the header: the Signature and the
// UUID of its result are not set. Of a file whose only fault is that its extents
// seem to be shared it returns both the place and the error: kernels differ in
// how well they find that out, and one may swap to it.
func (v *Volume) MapSwapfile(name string) (*Swapfile, error) {
	o, err := v.resolve(name, false)
	if err != nil {
		return nil, pathError("swapfile", name, err)
	}
	s, err := v.fs.swapfile(o)
	if err != nil {
		return s, swapfileError(name, err)
	}
	return s, nil
}

func swapfileError(name string, err error) error {
	if fault.ClassOf(err) == fault.Internal {
		err = fault.New(fault.Input, hintSwapfile, "%w", err)
	}
	return pathError("swapfile", name, err)
}

func (f *FS) swapfile(o *object) (*Swapfile, error) {
	if !o.isRegular() {
		return nil, errNotRegular
	}
	switch flags := o.inode.Flags; {
	case flags&ondisk.InodeNoDataCow == 0:
		return nil, errors.New("flag NODATACOW (chattr +C) is missing")
	case flags&ondisk.InodeNoDataSum == 0:
		return nil, errors.New("flag NODATASUM is missing")
	case flags&ondisk.InodeCompress != 0:
		return nil, errors.New("flag COMPRESS is set")
	}
	s := &Swapfile{Size: int64(o.inode.Size) / swaparea.PageSize * swaparea.PageSize}
	if s.Size < 2*swaparea.PageSize {
		return nil, fmt.Errorf("has %d bytes, expected at least two pages of %d", o.inode.Size, swaparea.PageSize)
	}
	shared, err := f.mapSwapfile(o, s)
	if err != nil {
		return nil, err
	}
	return s, shared
}

// mapSwapfile walks the extents up to the size in use and sets Offset and
// Fragments. shared is why the first extent that seems to be shared does.
func (f *FS) mapSwapfile(o *object, s *Swapfile) (shared, err error) {
	var next int64
	var physical ondisk.Physical // behind the extent before
	err = f.fileExtents(o, func(e *extent) error {
		if e.start >= s.Size {
			return errStop
		}
		if e.start != next {
			return fmt.Errorf("hole at %d", next)
		}
		at, err := f.placeOfSwap(o, e)
		if err != nil {
			return err
		}
		if shared == nil {
			shared = f.checkUnshared(o, e)
		}
		if e.start == 0 {
			if e.Offset != 0 {
				return fmt.Errorf("first extent begins %d bytes into its space on the device, expected 0", e.Offset)
			}
			s.Offset = int64(at) / swaparea.PageSize
		}
		if e.start == 0 || at != physical {
			s.Fragments++
		}
		next, physical = e.end(), at+ondisk.Physical(e.length)
		return nil
	})
	if err != nil && err != errStop {
		return nil, err
	}
	if next < s.Size {
		return nil, fmt.Errorf("hole at %d", next)
	}
	return shared, nil
}

// placeOfSwap checks one extent and returns its physical address.
func (f *FS) placeOfSwap(o *object, e *extent) (ondisk.Physical, error) {
	switch {
	case e.Kind == ondisk.ExtentInline:
		return 0, errors.New("content is inline in the tree")
	case e.Compression != ondisk.CompressNone:
		return 0, fmt.Errorf("extent at %d is compressed", e.start)
	case e.isHole():
		return 0, fmt.Errorf("hole at %d", e.start)
	}
	at := e.DiskBytenr + ondisk.Logical(e.Offset)
	chunk, err := f.chunkOf(at, e.length)
	if err != nil {
		return 0, o.damaged("%w", err)
	}
	if profile := chunk.Chunk.Type & ondisk.GroupProfileMask; profile != 0 || len(chunk.Chunk.Stripes) != 1 {
		return 0, fmt.Errorf("extent at %d is in a chunk with %d copies, expected profile single", e.start, len(chunk.Chunk.Stripes))
	}
	return chunk.Chunk.Stripes[0].Offset + ondisk.Physical(at-chunk.Logical), nil
}

// readSwapHeader reads the header page at the place that Offset gives, which
// proves the mapping.
func (f *FS) readSwapHeader(s *Swapfile) error {
	page := make([]byte, swaparea.PageSize)
	if err := f.ReadCopy(page, ondisk.Physical(s.Offset)*swaparea.PageSize); err != nil {
		return err
	}
	header, err := swaparea.Decode(page)
	if err != nil {
		return fmt.Errorf("physical page %d: %w", s.Offset, err)
	}
	if header.Size() > s.Size {
		return fmt.Errorf("header counts %d pages, the file has %d", header.Pages, s.Size/swaparea.PageSize)
	}
	s.Signature, s.UUID = header.Signature, header.UUID
	return nil
}
