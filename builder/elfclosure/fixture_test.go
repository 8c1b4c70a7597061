package elfclosure

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// image describes the least that is an ELF program or library.
type image struct {
	interpreter     string
	soname          string
	needed          []string
	rpath, runpath  string
	flags1          elf.DynFlag1
	segments        int // in all; those that are too few are of type PT_NULL
	extra           int // further entries of the dynamic section
	machine         elf.Machine
	class           elf.Class
	kind            elf.Type
	baseOfAddresses uint64
	unloaded        uint64 // bytes at the end that are in no segment
}

// data is a file that may not be run.
type data string

// bytes makes the file: header, program headers, dynamic section, strings.
func (m image) bytes() []byte {
	text := "\x00"
	str := func(s string) uint64 {
		text += s + "\x00"
		return uint64(len(text) - len(s) - 1)
	}
	var dyn []elf.Dyn64
	add := func(tag elf.DynTag, value uint64) { dyn = append(dyn, elf.Dyn64{Tag: int64(tag), Val: value}) }
	for range m.extra {
		add(elf.DT_BIND_NOW, 0)
	}
	for _, n := range m.needed {
		add(elf.DT_NEEDED, str(n))
	}
	for _, v := range []struct {
		tag  elf.DynTag
		text string
	}{{elf.DT_SONAME, m.soname}, {elf.DT_RPATH, m.rpath}, {elf.DT_RUNPATH, m.runpath}} {
		if v.text != "" {
			add(v.tag, str(v.text))
		}
	}
	if m.flags1 != 0 {
		add(elf.DT_FLAGS_1, uint64(m.flags1))
	}
	add(elf.DT_STRTAB, 0) // the last but one, set below
	add(elf.DT_NULL, 0)
	interpreter := str(m.interpreter)

	count := max(3, m.segments)
	dynAt := uint64(64 + count*segmentSize)
	textAt := dynAt + uint64(len(dyn)*16)
	dyn[len(dyn)-2].Val = m.baseOfAddresses + textAt
	all := elf.Prog64{Type: uint32(elf.PT_LOAD), Vaddr: m.baseOfAddresses, Filesz: textAt + uint64(len(text)) - m.unloaded}
	segments := make([]elf.Prog64, count)
	segments[0], segments[1] = all, elf.Prog64{Type: uint32(elf.PT_DYNAMIC), Off: dynAt, Vaddr: m.baseOfAddresses + dynAt, Filesz: uint64(len(dyn) * 16)}
	if m.interpreter != "" {
		segments[2] = elf.Prog64{Type: uint32(elf.PT_INTERP), Off: textAt + interpreter, Filesz: uint64(len(m.interpreter) + 1)}
	}
	h := elf.Header64{Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: segmentSize, Phnum: uint16(count)}
	copy(h.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	if m.machine != 0 {
		h.Machine = uint16(m.machine)
	}
	if m.class != 0 {
		h.Ident[elf.EI_CLASS] = byte(m.class)
	}
	if m.kind != 0 {
		h.Type = uint16(m.kind)
	}
	var b bytes.Buffer
	for _, v := range []any{h, segments, dyn, []byte(text)} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

// The loader of most tests.
const loaderPath = "/lib64/ld.so.2"

func program(needed ...string) image { return image{interpreter: loaderPath, needed: needed} }

func library(soname string, needed ...string) image { return image{soname: soname, needed: needed} }

// system makes a tree. A text that begins with -> is a symlink; everything else may be
// run.
func system(t testing.TB, files map[string]any) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	for at, content := range files {
		dir, name := "", at
		if i := strings.LastIndex(at, "/"); i >= 0 {
			dir, name = at[:i], at[i+1:]
		}
		parent, err := tree.MkdirAll(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		var b []byte
		mode := uint32(0o755)
		switch c := content.(type) {
		case image:
			b = c.bytes()
		case string:
			b = []byte(c)
		case data:
			b, mode = []byte(c), 0o644
		}
		inode := &fstree.Inode{Mode: fstree.TypeRegular | mode, Size: int64(len(b)), Content: fstree.Bytes(b)}
		if target, ok := strings.CutPrefix(string(b), "->"); ok {
			inode = &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Link: target, Size: int64(len(target))}
		}
		if _, err := parent.Add(name, inode); err != nil {
			t.Fatal(err)
		}
	}
	tree.Freeze()
	return tree
}

// listing returns the files of a closure, symlinks with their target.
func listing(c *Closure) []string {
	var lines []string
	for _, f := range c.Files {
		line := f.Path
		if f.Link != "" {
			line += " -> " + f.Link
		}
		lines = append(lines, line)
	}
	return lines
}
