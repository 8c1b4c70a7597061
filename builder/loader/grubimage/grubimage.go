// Package grubimage reads what a core image of GRUB for EFI was made with: where it
// looks for its configuration, and which modules it has in it.
//
// Such an image is an EFI program with a section "mods", which holds a list of objects:
// modules, a file system in memory, a configuration, and the prefix.
//
// What it does not do: it makes no image, and does not look into what those objects do.
//
// Sources: include/grub/kernel.h of GNU GRUB 2.12 (struct grub_module_info64 and
// grub_module_header), and for the names of modules the section .modname that
// grub-core/kern/dl.c reads.
package grubimage

import (
	"bytes"
	"debug/elf"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Image is what a core image has.
type Image struct {
	Prefix  string   // such as "/EFI/debian", or "(memdisk)/boot/grub"
	Modules []string // their names, sorted
}

// Section is the name of the section with the objects.
const Section = "mods"

// Sizes and values of what is in the section.
const (
	magic      = 0x676d696d // "mimg"
	infoSize   = 24         // magic, padding, offset of the first object, size of all with these bytes
	headerSize = 8          // of an object: its type, and its size with these bytes

	typeModule = 0
	typePrefix = 3
)

// maxObjects bounds the objects of an image; those of Debian have some 130.
const maxObjects = 4096

// maxName bounds the name of a module, and the prefix.
const maxName = 4096

// ErrNone is in the error for a program that is no image of GRUB.
var ErrNone = errors.New("no section " + Section + ", expected a core image of GRUB")

// Read returns what an image has. The error is ErrNone where the program is another one.
func Read(program []byte) (Image, error) {
	f, err := pe.NewFile(bytes.NewReader(program))
	if err != nil {
		return Image{}, fmt.Errorf("EFI program: %w", err)
	}
	for _, s := range f.Sections {
		if s.Name != Section {
			continue
		}
		end := int64(s.Offset) + int64(s.Size)
		if end > int64(len(program)) {
			return Image{}, fmt.Errorf("section %s: ends at byte %d, the file has %d", Section, end, len(program))
		}
		i, err := objects(program[s.Offset:end])
		if err != nil {
			return Image{}, fmt.Errorf("section %s: %w", Section, err)
		}
		return i, nil
	}
	return Image{}, ErrNone
}

// objects reads the section.
func objects(data []byte) (i Image, err error) {
	le := binary.LittleEndian
	if len(data) < infoSize || le.Uint32(data) != magic {
		return i, fmt.Errorf("begins with % x, expected mimg", data[:min(4, len(data))])
	}
	offset, size := le.Uint64(data[8:]), le.Uint64(data[16:])
	if size > uint64(len(data)) || offset < infoSize || offset > size {
		return i, fmt.Errorf("objects from %d to %d, expected them within %d and %d", offset, size, infoSize, len(data))
	}
	rest := data[offset:size]
	for n := 0; len(rest) > 0; n++ {
		if n == maxObjects {
			return i, fmt.Errorf("more than %d objects", maxObjects)
		}
		if len(rest) < headerSize {
			return i, fmt.Errorf("object %d: %d bytes, expected %d or more", n, len(rest), headerSize)
		}
		length := le.Uint32(rest[4:])
		if length < headerSize || uint64(length) > uint64(len(rest)) {
			return i, fmt.Errorf("object %d: %d bytes, expected %d to %d", n, length, headerSize, len(rest))
		}
		if err := i.add(le.Uint32(rest), rest[headerSize:length]); err != nil {
			return i, fmt.Errorf("object %d: %w", n, err)
		}
		rest = rest[length:]
	}
	slices.Sort(i.Modules)
	return i, nil
}

func (i *Image) add(kind uint32, data []byte) (err error) {
	switch kind {
	case typePrefix:
		i.Prefix, err = text(data)
	case typeModule:
		var name string
		if name, err = moduleName(data); err == nil {
			i.Modules = append(i.Modules, name)
		}
	}
	return err
}

// moduleName returns what a module calls itself.
func moduleName(data []byte) (string, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return "", fmt.Errorf("module: %w", err)
	}
	s := f.Section(".modname")
	if s == nil || s.Type == elf.SHT_NOBITS || s.Offset > uint64(len(data)) || s.FileSize > uint64(len(data))-s.Offset {
		return "", errors.New("module: no section .modname within it")
	}
	return text(data[s.Offset : s.Offset+s.FileSize])
}

// text returns what is before the first NUL.
func text(data []byte) (string, error) {
	end := bytes.IndexByte(data, 0)
	if end < 0 || end > maxName {
		return "", fmt.Errorf("text of %d bytes, expected a NUL within %d", len(data), maxName)
	}
	return string(data[:end]), nil
}

// Missing returns the modules of a list that the image lacks.
func (i Image) Missing(modules ...string) (list []string) {
	for _, m := range modules {
		if !slices.Contains(i.Modules, m) {
			list = append(list, m)
		}
	}
	return list
}

// validPrefix is the form of a folder that FAT holds.
var validPrefix = regexp.MustCompile(`^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$`)

// ConfigPath returns the path of the file that the image is configured with, from the
// root of the file system that it is started from, without a leading slash. An image that
// looks elsewhere is an error.
func (i Image) ConfigPath() (string, error) {
	if !validPrefix.MatchString(i.Prefix) {
		return "", fmt.Errorf("prefix %q, expected a folder of the file system that GRUB is started from, such as /EFI/debian", i.Prefix)
	}
	return path.Join(strings.TrimPrefix(i.Prefix, "/"), "grub.cfg"), nil
}
