package btrfs

import (
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
)

// swapfile is a swap area to be written.
type swapfile struct {
	path     string // from the top level
	size     uint64
	uuid     ids.UUID
	holder   *volume
	physical ondisk.Physical // of the first page, once it is placed
}

func (a *arrangement) addSwapfiles(p *Params) error {
	for _, s := range p.Swapfiles {
		clean, err := cleanPath("swapfile", s.Path)
		if err != nil {
			return err
		}
		holder, rest := a.holder(clean)
		if a.byPath[clean] != nil {
			return fault.New(fault.Usage, "", "swapfile %s: there is a subvolume at this path", clean)
		}
		if holder.readOnly {
			return fault.New(fault.Usage, "put it into a subvolume of its own, such as @swap", "swapfile %s: subvolume %s is read-only", clean, holder.path)
		}
		if err := a.refuseCompressed(holder, rest, clean); err != nil {
			return err
		}
		o, dir, err := a.overlayAt(holder, path.Dir(rest))
		if err != nil {
			return fault.New(fault.ClassOf(err), fault.HintOf(err), "swapfile %s: %w", clean, err)
		}
		name := path.Base(rest)
		if o.children[name] != nil || (dir != nil && !o.hides && dir.Child(name) != nil) {
			return fault.New(fault.Usage, "give the swapfile another path", "swapfile %s: there is an entry at this path", clean)
		}
		f := &swapfile{path: clean, size: uint64(s.Size), uuid: a.seed.UUID("swap " + clean), holder: holder}
		inode := &fstree.Inode{Mode: fstree.TypeRegular | 0o600, Size: s.Size}
		inode.SetMTime(p.Timestamp)
		o.child(name, &fstree.Entry{Name: name, Inode: inode}).swap = f
		a.swapfiles = append(a.swapfiles, f)
	}
	return nil
}

// compressionXattr steers the kernel's compression of a file, and of the files
// that are made in a directory.
const compressionXattr = "btrfs.compression"

// refuseCompressed refuses a swapfile below a directory that asks for
// compression: the kernel takes no swapfile with compressed extents, and a
// file made anew at the same place would inherit it.
func (a *arrangement) refuseCompressed(v *volume, rest, full string) error {
	e := v.root.real
	for _, name := range append(splitPath(path.Dir(rest)), "") {
		if e == nil {
			return nil
		}
		at := slices.IndexFunc(e.Xattrs, func(x fstree.Xattr) bool { return x.Name == compressionXattr })
		if at >= 0 && compresses(e.Xattrs[at].Value) {
			return fault.New(fault.Usage, "put it into a subvolume of its own, such as @swap",
				"swapfile %s: directory %s has %s=%s, and a swapfile cannot be compressed", full, e.Path(), compressionXattr, e.Xattrs[at].Value)
		}
		e = e.Child(name)
	}
	return nil
}

// compresses reports whether a value of btrfs.compression asks for
// compression.
func compresses(value []byte) bool {
	s := string(value)
	return s != "" && s != "no" && s != "none"
}

// validCompression reports whether the kernel knows a value of
// btrfs.compression; of others it warns whenever the inode is read.
func validCompression(value []byte) bool {
	algorithm, _, _ := strings.Cut(string(value), ":")
	return !compresses(value) || algorithm == "zstd" || algorithm == "zlib" || algorithm == "lzo"
}

// writeSwapfile places a swapfile in a chunk of its own and returns its file
// extents. The first extent is shared by the header page and the preallocated
// rest of it, which is what "btrfs filesystem mkswapfile" leaves too.
func (w *writer) writeSwapfile(f *swapfile) ([]extentItem, error) {
	logical, physical, err := w.space.reserveData(f.size)
	if err != nil {
		return nil, err
	}
	f.physical = physical
	if err := w.data.write(swaparea.New(int64(f.size), f.uuid, ""), physical); err != nil {
		return nil, err
	}
	var items []extentItem
	for at := uint64(0); at < f.size; at += maxPlainExtent {
		length := min(f.size-at, maxPlainExtent)
		extent := w.extents.add(dataExtent{logical: logical + ondisk.Logical(at), length: length})
		if at == 0 {
			items = append(items, extentItem{fileOffset: 0, length: ondisk.SectorSize, extent: extent})
			items = append(items, extentItem{fileOffset: ondisk.SectorSize, length: length - ondisk.SectorSize,
				extent: extent, offset: ondisk.SectorSize, prealloc: true})
			continue
		}
		items = append(items, extentItem{fileOffset: at, length: length, extent: extent, prealloc: true})
	}
	return items, nil
}
