package btrfs

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// Params says what file system to write. The zero value gives one subvolume,
// DUP metadata, crc32c, no compression and the smallest size that fits.
type Params struct {
	Size           int64               // bytes, rounded down to a sector; 0 means as small as fits
	Free           int64               // bytes left unallocated where Size is 0; the size is then a multiple of 1 MiB
	Label          string              // up to 255 bytes
	Seed           ids.Seed            // every UUID comes from it
	Timestamp      time.Time           // of creation; the zero time means the newest mtime of the tree
	Metadata       Profile             // of metadata and system chunks
	Checksum       ondisk.ChecksumType // of tree blocks and data
	Compression    Compression         // of file content
	BlockGroupTree bool                // needs Linux 6.1; speeds up the mount of large file systems
	Workers        int                 // goroutines that compress; 0 means GOMAXPROCS
	Subvolumes     []Subvolume         // below the top-level subvolume
	Snapshots      []Snapshot          // of subvolumes listed above
	Swapfiles      []Swapfile          // each in a subvolume of its own or beside others
	Default        string              // path of the default subvolume; "" is the top level
	Places         *Places             // of an older file system; used up by Write

	// Progress, when set, is called from one goroutine with the bytes of files
	// written so far and in all, holes counted.
	Progress func(done, total int64)
}

// Profile is the replication of metadata.
type Profile int

// Profiles of metadata and system chunks.
const (
	DUP    Profile = iota // two copies on the one device
	Single                // one copy
)

// copies returns how many stripes a chunk has.
func (p Profile) copies() int {
	if p == Single {
		return 1
	}
	return 2
}

// Subvolume asks for a subvolume.
type Subvolume struct {
	Path      string // from the top level, such as "@home" or "@/var/lib/machines"
	Source    string // directory of the tree whose content goes in; "" or "." is its root
	Empty     bool   // nothing of the tree goes in; Source is not looked at
	ReadOnly  bool
	NoDataCow bool // all its files: no copy-on-write, hence no compression and no data checksums
}

// Snapshot asks for a read-only snapshot that shares the data of a subvolume.
type Snapshot struct {
	Source string // path of a subvolume from the top level
	Path   string // path of the snapshot from the top level
}

// Swapfile asks for a preallocated swap area that lies in one physical run. If
// its directory is missing from the top level, it becomes a subvolume.
type Swapfile struct {
	Path string // from the top level, such as "@swap/swapfile"
	Size int64  // bytes, a multiple of 4096, at least MinSwapfile
}

// maxFree keeps a file system of any content below the 8 EiB that file offsets
// reach.
const maxFree = 1 << 60

// MinSwapfile is the smallest swap area that the kernel takes: ten pages.
const MinSwapfile = 10 * ondisk.SectorSize

// Compression is how file content is compressed.
type Compression struct {
	Level int // of zstd, 1 to 15; 0 stores plain
}

// MaxCompressionLevel is the highest level of zstd that btrfs knows.
const MaxCompressionLevel = 15

const defaultCompressionLevel = 3 // the kernel's for compress=zstd

// ParseCompression reads "none", "zstd" or "zstd:LEVEL".
func ParseCompression(text string) (Compression, error) {
	algorithm, level, hasLevel := strings.Cut(text, ":")
	switch {
	case text == "none":
		return Compression{}, nil
	case text == "zstd":
		return Compression{Level: defaultCompressionLevel}, nil
	case algorithm == "zstd" && hasLevel:
		if n, err := strconv.Atoi(level); err == nil && n >= 1 && n <= MaxCompressionLevel {
			return Compression{Level: n}, nil
		}
	}
	return Compression{}, fault.New(fault.Usage, "use for example zstd:3",
		"compression %q: expected none, zstd or zstd:1 to zstd:%d", text, MaxCompressionLevel)
}

// String returns the form that ParseCompression reads.
func (c Compression) String() string {
	if c.Level == 0 {
		return "none"
	}
	return fmt.Sprintf("zstd:%d", c.Level)
}

// Result describes the file system that was written. Sizes are in bytes.
type Result struct {
	Size       int64
	Timestamp  time.Time
	FSID       ids.UUID
	DeviceUUID ids.UUID
	Subvolumes []SubvolumeInfo // by id; the top level first
	Swapfiles  []SwapfileInfo  // in the order of Params

	Inodes        int64 // in all subvolumes, snapshots not counted
	DataBytes     int64 // file content read, holes not counted
	StoredBytes   int64 // what of it stands in data extents, on the device
	SharedBytes   int64 // content that found an equal extent and took no room
	KeptBytes     int64 // what of StoredBytes has its place from Params.Places
	MetadataBytes int64 // tree blocks, one copy
}

// SubvolumeInfo describes a subvolume or snapshot.
type SubvolumeInfo struct {
	ID       uint64
	Path     string // from the top level, whose own path is ""
	UUID     ids.UUID
	ReadOnly bool
	Bytes    int64 // sizes of its files, before compression; a snapshot has those of its origin
}

// SwapfileInfo describes a swapfile.
type SwapfileInfo struct {
	Path         string
	Size         int64
	UUID         ids.UUID
	PhysicalPage int64 // its first page on the device: the kernel's resume_offset
}

func (p *Params) validate() error {
	switch {
	case len(p.Label) > ondisk.MaxLabel:
		return fault.New(fault.Usage, "", "label: %d bytes, expected at most %d", len(p.Label), ondisk.MaxLabel)
	case strings.ContainsRune(p.Label, 0):
		return fault.New(fault.Usage, "", "label %q: holds a NUL byte", p.Label)
	case p.Size < 0:
		return fault.New(fault.Usage, "", "size %d: expected a positive number of bytes, or 0 for the smallest that fits", p.Size)
	case p.Free < 0 || p.Free > maxFree:
		return fault.New(fault.Usage, "", "free space of %d bytes: expected 0 to %d", p.Free, int64(maxFree))
	case !p.Checksum.Valid():
		return fault.New(fault.Usage, "", "%v", p.Checksum)
	case p.Compression.Level < 0 || p.Compression.Level > MaxCompressionLevel:
		return fault.New(fault.Usage, "", "compression level %d: expected 0 to %d", p.Compression.Level, MaxCompressionLevel)
	case p.Places != nil && p.Places.checksum != p.Checksum:
		return fault.New(fault.Usage, "", "places: of a file system with checksums of type %v, expected %v", p.Places.checksum, p.Checksum)
	case p.Metadata != DUP && p.Metadata != Single:
		return fault.New(fault.Usage, "", "metadata profile %d: expected DUP or Single", p.Metadata)
	}
	for _, s := range p.Swapfiles {
		if s.Size < MinSwapfile || s.Size%ondisk.SectorSize != 0 || s.Size/ondisk.SectorSize > 1<<32-1 {
			return fault.New(fault.Usage, "use for example 64MiB",
				"swapfile %s: %d bytes, expected a multiple of %d from %d", s.Path, s.Size, ondisk.SectorSize, MinSwapfile)
		}
	}
	return nil
}
