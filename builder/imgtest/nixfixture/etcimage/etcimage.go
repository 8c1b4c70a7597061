// Package etcimage makes the images of /etc that NixOS makes with mkcomposefs: an erofs
// file system of directories, symlinks and small files, in which a larger file has no
// content, but says to overlayfs where that is.
//
// It writes one form of the format: inodes of 64 bytes, a slot for each, and content in
// blocks of its own. Nothing is compressed, and nothing has a time.
//
// Sources: erofs_fs.h of the kernel; Documentation/filesystems/overlayfs.rst, "Metadata
// only copy up".
package etcimage

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"
)

// File is one file of an image.
type File struct {
	Path     string // from the root of the image, without a slash at either end; "" is the root
	Mode     uint16 // with the type, as stat(2) has it
	Target   string // of a symlink
	Data     string // of a regular file that has its content in the image
	Redirect string // of one that has not: where it is in the directory with the contents, absolute
	Size     int64  // then
}

// Types of files, of File.Mode.
const (
	typeMask = 0o170000
	Dir      = 0o040000
	Regular  = 0o100000
	Symlink  = 0o120000
)

const (
	blockSize  = 4096
	slotSize   = 512       // of an inode with its attributes
	nidSize    = 32        // what the number of an inode counts
	firstInode = blockSize // behind the superblock
	superblock = 1024      // where it is
	magic      = 0xE0F5E1E2
	extended   = 1 // inodes of 64 bytes, with their content in whole blocks
	maxName    = 255
)

// Make returns an image of some files. Directories above a file are to be among them.
func Make(files []File) ([]byte, error) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	if len(files) == 0 || files[0].Path != "" {
		return nil, fmt.Errorf("image of %d files: has no root", len(files))
	}
	m := &maker{files: files, number: map[string]int{}}
	for i, f := range files {
		m.number[f.Path] = i
	}
	m.out = make([]byte, roundUp(firstInode+len(files)*slotSize))
	for i, f := range files {
		if err := m.file(i, f); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	m.superblock()
	return m.out, nil
}

func roundUp(n int) int { return (n + blockSize - 1) &^ (blockSize - 1) }

// maker puts an image together.
type maker struct {
	files  []File
	number map[string]int // in files
	out    []byte
}

// nid returns the number of an inode.
func nid(file int) int { return (firstInode + file*slotSize) / nidSize }

func (m *maker) superblock() {
	s := m.out[superblock:]
	binary.LittleEndian.PutUint32(s, magic)
	s[12] = 12 // blocks of 1<<12 bytes
	binary.LittleEndian.PutUint16(s[14:], uint16(nid(0)))
	binary.LittleEndian.PutUint64(s[16:], uint64(len(m.files)))
	binary.LittleEndian.PutUint32(s[36:], uint32(len(m.out)/blockSize))
}

// file writes the inode of a file and its content.
func (m *maker) file(i int, f File) error {
	content, links := []byte(f.Data), 1
	switch f.Mode & typeMask {
	case Symlink:
		content = []byte(f.Target)
	case Dir:
		var err error
		if content, links, err = m.directory(f.Path); err != nil {
			return err
		}
	}
	size := int64(len(content))
	var attributes []byte
	if f.Redirect != "" {
		size, content = f.Size, make([]byte, f.Size)
		attributes = xattrs([2]string{"overlay.metacopy", ""}, [2]string{"overlay.redirect", f.Redirect})
	}
	n := m.out[firstInode+i*slotSize:][:slotSize]
	if 64+len(attributes) > slotSize {
		return fmt.Errorf("%d bytes of attributes, expected at most %d", len(attributes), slotSize-64)
	}
	binary.LittleEndian.PutUint16(n, extended)
	if len(attributes) > 0 {
		binary.LittleEndian.PutUint16(n[2:], uint16(1+(len(attributes)-xattrHead)/4))
	}
	binary.LittleEndian.PutUint16(n[4:], f.Mode)
	binary.LittleEndian.PutUint64(n[8:], uint64(size))
	binary.LittleEndian.PutUint32(n[16:], uint32(len(m.out)/blockSize))
	binary.LittleEndian.PutUint32(n[20:], uint32(i+1))
	binary.LittleEndian.PutUint32(n[44:], uint32(links))
	copy(n[64:], attributes)
	m.out = append(m.out, content...)
	m.out = append(m.out, make([]byte, roundUp(len(m.out))-len(m.out))...)
	return nil
}

// xattrHead is the length of what is before the attributes of an inode.
const xattrHead = 12

// trusted is the number of the prefix of attributes that only root sees.
const trusted = 4

// xattrs returns attributes, names and values, as they are behind an inode.
func xattrs(list ...[2]string) []byte {
	out := make([]byte, xattrHead)
	for _, x := range list {
		out = append(out, byte(len(x[0])), trusted)
		out = binary.LittleEndian.AppendUint16(out, uint16(len(x[1])))
		out = append(out, x[0]+x[1]...)
		out = append(out, make([]byte, -len(out)&3)...)
	}
	return out
}

// entry is a name in a directory.
type entry struct {
	name string
	file int
}

// directory returns the content of a directory and how many names it has itself.
func (m *maker) directory(name string) (content []byte, links int, err error) {
	above := path.Dir("/" + name)[1:]
	list, links := []entry{{".", m.number[name]}, {"..", m.number[above]}}, 2
	for i, f := range m.files {
		if f.Path == "" || path.Dir("/"+f.Path) != "/"+name {
			continue
		}
		list = append(list, entry{path.Base(f.Path), i})
		if f.Mode&typeMask == Dir {
			links++
		}
	}
	slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	for len(list) > 0 {
		block, took := m.block(list)
		if took == 0 {
			return nil, 0, fmt.Errorf("name of %d bytes, expected at most %d", len(list[0].name), maxName)
		}
		content, list = append(content, block...), list[took:]
		if len(list) > 0 {
			content = append(content, make([]byte, roundUp(len(content))-len(content))...)
		}
	}
	return content, links, nil
}

// kinds are the numbers of types in a directory.
var kinds = map[uint16]byte{Regular: 1, Dir: 2, Symlink: 7}

// block returns a block of a directory and how many of its entries are in it: first all
// that has a fixed length, then the names.
func (m *maker) block(list []entry) (block []byte, took int) {
	const fixed = 12
	for used := 0; took < len(list) && len(list[took].name) <= maxName; took++ {
		if used += fixed + len(list[took].name); used > blockSize {
			break
		}
	}
	at := took * fixed
	for _, e := range list[:took] {
		block = binary.LittleEndian.AppendUint64(block, uint64(nid(e.file)))
		block = binary.LittleEndian.AppendUint16(block, uint16(at))
		block = append(block, kinds[m.files[e.file].Mode&typeMask], 0)
		at += len(e.name)
	}
	for _, e := range list[:took] {
		block = append(block, e.name...)
	}
	return block, took
}
