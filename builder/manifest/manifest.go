// Package manifest says what an image is made of and what every part of it
// must read as.
//
// The bytes of an image are divided into chunks on a fixed grid of 1 MiB. A
// chunk that holds anything but zeros is listed with its SHA-256; all others
// must read as zeros. So a manifest does not depend on which zeros the host's
// file system keeps as holes.
//
// A manifest is written beside its image and on the image's ESP. That copy
// cannot hold the digests of the chunks that it lies in, and says so.
package manifest

import (
	"cmp"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// Version is the version of the JSON form.
const Version = 1

// ChunkSize is the pitch of the grid, in bytes. The last chunk of an image may
// be shorter.
const ChunkSize int64 = 1 << 20

// ESPPath is where the copy on the ESP is, from its root, and SignaturePath where
// the signature of that copy is, if it has one. Suffix is what the name of the
// file beside the image ends in.
const (
	ESPPath       = "mkimage/manifest.json"
	SignaturePath = ESPPath + ".minisig"
	Suffix        = ".manifest.json"
)

// Manifest describes one image.
type Manifest struct {
	Version    int         `json:"version"`
	Plan       *plan.Plan  `json:"plan"`
	Inputs     Inputs      `json:"inputs"`
	Image      Image       `json:"image"`
	Partitions []Partition `json:"partitions"` // in the order on the disk
	Subvolumes []Subvolume `json:"subvolumes"`
	Swapfile   *Swapfile   `json:"swapfile,omitempty"`
	Files      []File      `json:"files"`           // of the ESP, sorted by path, but for the manifest itself and its signature
	Omits      *Range      `json:"omits,omitempty"` // chunks that touch it are not spoken of
	Chunks     []Chunk     `json:"chunks"`          // that are not all zeros, ascending
}

// Inputs is what the image was made from, besides the plan. Digests are as
// their makers write them, "" where there is none.
type Inputs struct {
	Mkimage string   `json:"mkimage"` // version of the program
	Source  string   `json:"source"`  // digest of the source
	Lock    string   `json:"lock,omitempty"`
	Like    *SHA256  `json:"like,omitempty"` // digest of the places of an older image that were kept
	Kernels []Kernel `json:"kernels"`        // the default first
	// Generations are entries of the boot menu that a NixOS names itself, the default
	// first. They stand for the first entry of the plan.
	Generations []Generation `json:"generations,omitempty"`
}

// Kernel is a kernel on the ESP.
type Kernel struct {
	Version   string `json:"version"`
	Linux     SHA256 `json:"linux"`
	Initramfs SHA256 `json:"initramfs"`
	// Prelude is what comes before the initrds of the systems themselves, nil where they
	// do not start by these.
	Prelude *SHA256 `json:"prelude,omitempty"`
	// Words of the command line that the system itself needs, behind those of the
	// plan's entries.
	Words []string `json:"words,omitempty"`
}

// Generation is an entry of the boot menu as NixOS's own boot loader builder makes
// it, but for what comes from us: an initramfs and what the command line says of the
// disk, or what comes before its own initrd.
type Generation struct {
	File    string   `json:"file"` // name of the entry, such as nixos-generation-1.conf
	Title   string   `json:"title"`
	SortKey string   `json:"sort_key"`
	Version string   `json:"version"`
	Kernel  int      `json:"kernel"`           // index in Inputs.Kernels
	Linux   string   `json:"linux"`            // where NixOS has its kernel, from the root of the ESP, without a leading slash
	Initrd  string   `json:"initrd,omitempty"` // where it has its initrd, if it starts by that
	Words   []string `json:"words"`            // of the command line, behind those of the plan
}

// Image is the image as a whole.
type Image struct {
	Size int64 `json:"size"` // bytes
}

// Partition is a partition as it was written.
type Partition struct {
	Role   string `json:"role"`   // as in the plan
	Start  int64  `json:"start"`  // bytes
	Size   int64  `json:"size"`   // bytes
	Used   int64  `json:"used"`   // bytes that its file system has given away
	Chunks int    `json:"chunks"` // how many of the listed ones touch it
}

// Range returns the bytes of the partition.
func (p Partition) Range() Range { return Range{p.Start, p.Size} }

// Subvolume is a subvolume or snapshot as it was written.
type Subvolume struct {
	Path     string   `json:"path"` // from the top level
	ID       uint64   `json:"id"`
	UUID     ids.UUID `json:"uuid"`
	ReadOnly bool     `json:"read_only"`
	Bytes    int64    `json:"bytes"` // of its files, before compression
}

// Swapfile is the swapfile as it was written.
type Swapfile struct {
	Path         string `json:"path"`          // from the top level
	Size         int64  `json:"size"`          // bytes
	ResumeOffset int64  `json:"resume_offset"` // pages of 4096 bytes from the start of the partition
}

// File is a file on the ESP. Its digest is there so that the copy of the
// manifest on the ESP, which cannot hold digests of chunks that it lies in,
// says all the same what the others must read as.
type File struct {
	Path   string `json:"path"` // from the root of the ESP, without a leading slash
	Size   int64  `json:"size"` // bytes
	SHA256 SHA256 `json:"sha256"`
}

// Chunk is a chunk that is not all zeros.
type Chunk struct {
	Offset int64  `json:"offset"` // a multiple of ChunkSize
	Length int64  `json:"length"` // ChunkSize, or less at the end of the image
	SHA256 SHA256 `json:"sha256"`
}

// Range is a range of bytes of an image.
type Range struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// touches reports whether the ranges have a byte in common.
func (r Range) touches(o Range) bool {
	return r.Offset < o.Offset+o.Length && o.Offset < r.Offset+r.Length
}

// NixOS reports whether the system of the image is one: it names the entries of its
// menu, and makes its own /etc, with the fstab, when it is activated.
func (m *Manifest) NixOS() bool { return len(m.Inputs.Generations) > 0 }

// Partition returns the partition of a role, or nil.
func (m *Manifest) Partition(role string) *Partition {
	for i := range m.Partitions {
		if m.Partitions[i].Role == role {
			return &m.Partitions[i]
		}
	}
	return nil
}

// AddChunks puts digests into their places and counts those of each
// partition. No chunk may be there already.
func (m *Manifest) AddChunks(chunks []Chunk) {
	m.Chunks = append(m.Chunks, chunks...)
	slices.SortFunc(m.Chunks, func(a, b Chunk) int { return cmp.Compare(a.Offset, b.Offset) })
	for i := range m.Partitions {
		p := &m.Partitions[i]
		p.Chunks = 0
		for _, c := range m.Chunks {
			if p.Range().touches(Range{c.Offset, c.Length}) {
				p.Chunks++
			}
		}
	}
}

// Without returns a copy that does not speak of the chunks that touch a range,
// nor of how much of the partitions there is used, for a manifest that is
// itself written there.
func (m *Manifest) Without(r Range) *Manifest {
	out := *m
	out.Omits = &r
	out.Partitions = slices.Clone(m.Partitions)
	for i := range out.Partitions {
		if p := &out.Partitions[i]; p.Range().touches(r) {
			p.Used = 0
		}
	}
	out.Chunks = nil
	out.AddChunks(slices.DeleteFunc(slices.Clone(m.Chunks), func(c Chunk) bool { return r.touches(Range{c.Offset, c.Length}) }))
	return &out
}
