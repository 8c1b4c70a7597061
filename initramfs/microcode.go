package initramfs

import (
	"fmt"
	"path"
	"regexp"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// microcode is one vendor's early microcode: the kernel wants one file, which
// is all of the vendor's one behind the other
// (Documentation/arch/x86/microcode.rst).
type microcode struct {
	name string         // in kernel/x86/microcode of the archive
	dir  string         // below a directory of firmware
	file *regexp.Regexp // the files that count, less a suffix for compression
}

// Names as linux-firmware and Intel's releases have them. Beside them there
// are signatures, and on Debian files that its package holds back.
var microcodes = []microcode{
	{"AuthenticAMD.bin", "amd-ucode", regexp.MustCompile(`^microcode_amd\w*\.bin$`)},
	{"GenuineIntel.bin", "intel-ucode", regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{2}-[0-9a-f]{2}$`)},
}

// addMicrocode adds the segment of early microcode. A source that has none
// gives none.
func (a *Archive) addMicrocode(p Params) error {
	if !p.Microcode {
		return nil
	}
	s := firmwareSet{tree: p.Root}
	if err := s.findDirs(p.FirmwareDir); err != nil {
		return err
	}
	c := newContents()
	for _, m := range microcodes {
		data, err := m.read(p.Root, s.dirs)
		if err != nil {
			return fmt.Errorf("microcode: %w", err)
		}
		if len(data) > 0 {
			c.addFile("kernel/x86/microcode/"+m.name, 0o644, data)
			a.Microcode = append(a.Microcode, m.name)
		}
	}
	if len(a.Microcode) == 0 {
		return nil
	}
	raw, err := c.bytes()
	if err != nil {
		return err
	}
	a.append("microcode", raw)
	return nil
}

// read returns the vendor's files from the first directory that has them, in
// the order of their names. They are decompressed: the kernel reads them long
// before it could.
func (m microcode) read(t *fstree.Tree, dirs []string) ([]byte, error) {
	var all []byte
	for _, dir := range dirs {
		e, err := t.Follow(dir + "/" + m.dir)
		if err != nil {
			return nil, input("", "%w", err)
		}
		if e == nil {
			continue
		}
		for _, child := range e.Children() {
			suffix := path.Ext(child.Name)
			if !slices.Contains(firmwareSuffixes, suffix) {
				suffix = ""
			}
			if !m.file.MatchString(child.Name[:len(child.Name)-len(suffix)]) {
				continue
			}
			name := dir + "/" + m.dir + "/" + child.Name
			file, err := t.Follow(name)
			if err != nil {
				return nil, input("", "%w", err)
			}
			data, err := readEntry(file, maxFile)
			if err == nil {
				data, err = decompress(data, suffix)
			}
			if err != nil {
				return nil, input("", "%s: %w", name, err)
			}
			all = append(all, data...)
		}
		if len(all) > 0 {
			return all, nil
		}
	}
	return nil, nil
}
