package fstree

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// isEmpty reports whether no record was taken.
func (p *paxRecords) isEmpty() bool {
	return p.path == "" && p.link == "" && p.size == nil && p.uid == nil && p.gid == nil && p.mtime == nil &&
		len(p.xattrs) == 0 && p.sparse.name == "" && p.sparse.size == nil && p.sparse.major == "" && !p.sparse.hasMap
}

var modeOfFlag = map[byte]uint32{
	flagRegular: TypeRegular, flagSparse: TypeRegular, flagLink: TypeRegular, flagSymlink: TypeSymlink,
	flagChar: TypeChar, flagBlock: TypeBlock, flagDir: TypeDir, flagFIFO: TypeFIFO,
}

// describe makes the inode but for its content.
func (m *tarMember) describe(p *paxRecords, b *tarBlock) error {
	fileType, ok := modeOfFlag[m.flag]
	if !ok {
		return fmt.Errorf("type %q is not supported", m.flag)
	}
	// Some programs put more than the permissions there.
	mode, err := b.number("mode", 100, 8, math.MaxInt64)
	if err != nil {
		return err
	}
	m.inode = &Inode{Mode: fileType | uint32(mode&int64(PermMask)), Xattrs: p.sortedXattrs()}
	if m.inode.UID, err = ownerNumber("uid", p.uid, b, 108); err != nil {
		return err
	}
	if m.inode.GID, err = ownerNumber("gid", p.gid, b, 116); err != nil {
		return err
	}
	if p.mtime != nil {
		m.inode.Sec, m.inode.Nsec = p.mtime.sec, p.mtime.nsec
	} else if m.inode.Sec, err = tarNumber(b[136:148]); err != nil {
		return fmt.Errorf("mtime: %w", err)
	}
	switch m.flag {
	case flagSymlink:
		m.inode.Mode = TypeSymlink | 0o777 // what unpacking makes of any mode
		return m.setTarget()
	case flagChar, flagBlock:
		return m.setDevice(b)
	}
	return nil
}

func ownerNumber(what string, record *int64, b *tarBlock, off int) (uint32, error) {
	if record != nil {
		return uint32(*record), inRange(what, *record, math.MaxUint32)
	}
	n, err := b.number(what, off, 8, math.MaxUint32)
	return uint32(n), err
}

func (m *tarMember) setTarget() error {
	if m.link == "" || strings.Contains(m.link, "\x00") {
		return fmt.Errorf("symlink target %q, expected 1 to %d bytes without NUL", m.link, maxPath)
	}
	m.inode.Link = strings.Clone(m.link)
	m.inode.Size = int64(len(m.link))
	return nil
}

func (m *tarMember) setDevice(b *tarBlock) error {
	const maxMajor, maxMinor = 1<<12 - 1, 1<<20 - 1 // Linux: MINORBITS is 20 of 32
	major, err := b.number("major device number", 329, 8, maxMajor)
	if err != nil {
		return err
	}
	minor, err := b.number("minor device number", 337, 8, maxMinor)
	m.inode.Rdev = MakeRdev(uint32(major), uint32(minor))
	return err
}

// place puts the member where unpacking would.
func (s *tarScan) place(m *tarMember) error {
	if s.opts.Owner != nil {
		m.inode.UID, m.inode.GID = s.opts.Owner.UID, s.opts.Owner.GID
	}
	if m.flag == flagLink {
		target, err := s.tree.linkTarget(m.link)
		if err != nil {
			return fmt.Errorf("hard link to %q: %w", m.link, err)
		}
		m.inode = target
	}
	switch {
	case m.parts != nil:
		m.inode.Size = m.size
		if len(m.parts) > 0 {
			m.inode.Content = &sparseContent{src: s.src, parts: m.parts}
		}
	case m.size > 0:
		m.inode.Size = m.size
		m.inode.Content = &tarContent{src: s.src, pos: m.data}
	}
	return s.tree.put(m.name, m.inode)
}

// linkTarget finds what a hard link may name.
func (t *Tree) linkTarget(path string) (*Inode, error) {
	elements, err := splitPath(path)
	if err != nil {
		return nil, err
	}
	e := t.root
	for _, name := range elements {
		if e.IsSymlink() {
			return nil, fmt.Errorf("leads through the symlink %q -> %q", e.Path(), e.Link)
		}
		if e = e.Child(name); e == nil {
			return nil, errors.New("no earlier member has that name")
		}
	}
	if e.IsDir() {
		return nil, errors.New("it is a directory")
	}
	return e.Inode, nil
}
