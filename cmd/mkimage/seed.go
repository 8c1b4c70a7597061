package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"hash"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// seedVersion is hashed first. It changes when the hashed form does, so that
// two forms cannot give one seed for different inputs.
const seedVersion = "mkimage seed 1"

// deriveSeed returns a seed that depends on all that is known without reading
// file content: the metadata of every file, and the parameters that shape the
// file system. Equal inputs thus give equal identities, and file systems made
// of different trees do not share an fsid. Trees that differ in content alone,
// at equal sizes and times, do: for those there is --seed.
func deriveSeed(tree *fstree.Tree, p *btrfs.Params) ids.Seed {
	h := digest{Hash: sha256.New()}
	h.text(seedVersion)
	h.params(p)
	links := map[*fstree.Inode]int64{}
	for e := range tree.All() {
		h.text(e.Path())
		if e.Links() > 1 && !e.IsDir() {
			if first, seen := links[e.Inode]; seen {
				h.numbers(first)
				continue
			}
			links[e.Inode] = int64(len(links)) + 1
		}
		h.numbers(0, int64(e.Mode), int64(e.UID), int64(e.GID), e.Sec, int64(e.Nsec), e.Size, int64(e.Rdev), int64(len(e.Xattrs)))
		h.text(e.Link)
		for _, x := range e.Xattrs {
			h.text(x.Name)
			h.text(string(x.Value))
		}
	}
	return ids.Seed(h.Sum(nil))
}

// digest hashes values in a form that can be read in one way only: numbers
// have 8 bytes, texts follow their length.
type digest struct{ hash.Hash }

func (d digest) numbers(list ...int64) {
	var b [8]byte
	for _, n := range list {
		binary.LittleEndian.PutUint64(b[:], uint64(n))
		d.Write(b[:])
	}
}

func (d digest) text(s string) {
	d.numbers(int64(len(s)))
	d.Write([]byte(s))
}

// params hashes what shapes the file system: not the seed, not the number of
// workers.
func (d digest) params(p *btrfs.Params) {
	shape := *p
	shape.Seed, shape.Workers, shape.Progress = ids.Seed{}, 0, nil
	b, err := json.Marshal(shapeOf{
		shape.Size, shape.Label, shape.Timestamp.UnixNano(), int(shape.Metadata), shape.Checksum.String(), shape.Compression.String(),
		shape.BlockGroupTree, shape.Subvolumes, shape.Snapshots, shape.Swapfiles, shape.Default,
	})
	if err != nil {
		panic("mkimage: parameters cannot be encoded: " + err.Error())
	}
	d.text(string(b))
}

// shapeOf is the part of btrfs.Params that reaches the bytes of a file system.
type shapeOf struct {
	Size                  int64
	Label                 string
	Timestamp             int64
	Metadata              int
	Checksum, Compression string
	BlockGroupTree        bool
	Subvolumes            []btrfs.Subvolume
	Snapshots             []btrfs.Snapshot
	Swapfiles             []btrfs.Swapfile
	Default               string
}
