// Package fstree holds the tree of files that sources produce and writers
// consume.
//
// A Tree is names that point at inodes, as a file system is: two entries that
// share an Inode are hard links of each other. Entries are kept in one order
// whatever the order in which they were added: depth first, the children of a
// directory sorted by the bytes of their names. A tree holds no file content,
// only the means to open it, so that a tree of a million files fits in memory.
//
// Trees come from a directory of the host (ScanDir) or a tar archive (OpenTar,
// ScanTar); layers are laid over them (Tree.Apply). Reading content checks that
// it is still what was scanned.
//
// What it does not do: it never follows a symlink in a source, never writes to
// the host but for the spool file of OpenTar, and holds no times but the
// modification time.
package fstree

import (
	"io"
	"strings"
	"time"
)

// File types as they stand in Inode.Mode (the values of <sys/stat.h> on Linux).
const (
	TypeMask    uint32 = 0o170000
	TypeFIFO    uint32 = 0o010000
	TypeChar    uint32 = 0o020000
	TypeDir     uint32 = 0o040000
	TypeBlock   uint32 = 0o060000
	TypeRegular uint32 = 0o100000
	TypeSymlink uint32 = 0o120000
	TypeSocket  uint32 = 0o140000
)

// PermMask covers the permission bits with set-user-ID, set-group-ID and
// sticky.
const PermMask uint32 = 0o7777

// Inode is the object that one or more entries name. A tree has one for nearly every name,
// so its size counts: TestInodeSize bounds it.
type Inode struct {
	Mode     uint32 // file type and permission bits, as st_mode
	UID, GID uint32
	Nsec     uint32 // nanoseconds of the modification time
	Sec      int64  // seconds of the modification time since 1970
	Size     int64  // bytes of a regular file or of a symlink's target, else 0
	Link     string // target of a symlink
	Rdev     Rdev   // device of a character or block special file
	links    uint32 // entries that name the inode
	Xattrs   []Xattr
	Content  Content // of a regular file; nil means Size zero bytes (a hole)
}

// Rdev is a device number: major<<20 | minor, as the kernel keeps it.
type Rdev uint32

// MakeRdev makes a device number from a major and a minor of up to 12 and 20
// bits.
func MakeRdev(major, minor uint32) Rdev { return Rdev(major)<<20 | Rdev(minor&0xfffff) }

// Major returns the major number.
func (r Rdev) Major() uint32 { return uint32(r >> 20) }

// Minor returns the minor number.
func (r Rdev) Minor() uint32 { return uint32(r & 0xfffff) }

// Xattr is one extended attribute: its full name, such as "user.comment", and
// its value as getxattr(2) returns it. Inode.Xattrs is sorted by name.
type Xattr struct {
	Name  string
	Value []byte
}

// Links returns how many entries of the tree name the inode.
func (i *Inode) Links() int { return int(i.links) }

// MTime returns the modification time in UTC.
func (i *Inode) MTime() time.Time { return time.Unix(i.Sec, int64(i.Nsec)).UTC() }

// SetMTime sets the modification time.
func (i *Inode) SetMTime(t time.Time) { i.Sec, i.Nsec = t.Unix(), uint32(t.Nanosecond()) }

// Type returns the file type bits of Mode.
func (i *Inode) Type() uint32 { return i.Mode & TypeMask }

// IsDir reports whether the inode is a directory.
func (i *Inode) IsDir() bool { return i.Type() == TypeDir }

// IsRegular reports whether the inode is a regular file.
func (i *Inode) IsRegular() bool { return i.Type() == TypeRegular }

// IsSymlink reports whether the inode is a symbolic link.
func (i *Inode) IsSymlink() bool { return i.Type() == TypeSymlink }

// IsRaw reports whether the inode is a file whose content is Raw.
func (i *Inode) IsRaw() bool {
	_, raw := i.Content.(Raw)
	return raw
}

// IsDevice reports whether the inode is a character or block special file.
func (i *Inode) IsDevice() bool { t := i.Type(); return t == TypeChar || t == TypeBlock }

// Content opens the bytes of a regular file. One Content may serve many
// entries: the entry says which is meant.
type Content interface {
	// Open returns the file's bytes. It may be called from several goroutines
	// and more than once. The error names the file in the words of the source.
	Open(e *Entry) (File, error)
}

// Raw is content that writers store as it is, neither compressed nor in common with
// another file: an installer replaces parts of it in place.
type Raw struct{ Content }

// File is an open regular file of exactly Entry.Size bytes. ReadAt may be
// called from several goroutines. Close reports an error when the file was
// seen to change while it was open.
type File interface {
	io.ReaderAt
	io.Closer
	// Segments returns the parts of the file that hold data, in ascending
	// order and not touching; everything else reads as zeros. A file without
	// holes may return one segment over all of it.
	Segments() ([]Segment, error)
}

// Segment is a range of bytes of a file.
type Segment struct{ Offset, Length int64 }

// Entry is one name in a directory. The embedded Inode is shared by all hard
// links.
type Entry struct {
	Name string // one path element; "" for the root of a tree
	*Inode
	parent *Entry
	dir    *directory // of a directory, else nil
}

// MarkIndex says of a directory that what is in it has another name elsewhere in the
// tree, as a rule. Writers number and place such a file by that: readers want what
// lies together in the tree, not in an index.
func (e *Entry) MarkIndex() { e.dir.index = true }

// IsIndex reports whether a directory was marked as an index.
func (e *Entry) IsIndex() bool { return e.dir != nil && e.dir.index }

// Parent returns the directory that holds the entry, nil for the root.
func (e *Entry) Parent() *Entry { return e.parent }

// Path returns the path from the root of the tree, with neither a leading nor
// a trailing slash; the root itself is ".".
func (e *Entry) Path() string {
	if e.parent == nil {
		return "."
	}
	n := 0
	for p := e; p.parent != nil; p = p.parent {
		n += len(p.Name) + 1
	}
	buf := make([]byte, n-1)
	for p := e; p.parent != nil; p = p.parent {
		n -= len(p.Name) + 1
		copy(buf[n:], p.Name)
		if n > 0 {
			buf[n-1] = '/'
		}
	}
	return string(buf)
}

// ValidName reports whether name can stand in a directory: not empty, not "."
// or "..", without slash and NUL. Its length is for the writer to judge.
func ValidName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}
