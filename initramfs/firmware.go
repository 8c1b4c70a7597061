package initramfs

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// firmwareSuffixes are what the kernel tries behind the name of a file of
// firmware, in its order (_request_firmware in drivers/base/firmware_loader).
var firmwareSuffixes = []string{"", ".zst", ".xz"}

// addFirmware adds the firmware that the modules name, as far as the source
// has it, and what the patterns of p match. It stays compressed as it is: the
// kernel decompresses it.
func (a *Archive) addFirmware(c *contents, p Params, modules []loaded) error {
	s := firmwareSet{tree: p.Root, contents: c, kernel: p.Kernel, first: map[*fstree.Inode]string{}}
	if err := s.findDirs(p.FirmwareDir); err != nil {
		return err
	}
	for _, m := range modules {
		names, err := firmwareOf(m.data)
		if err != nil {
			return input("", "kernel module %s: %w", m.path, err)
		}
		for _, name := range names {
			if _, err := s.match(name); err != nil {
				return fmt.Errorf("firmware %s of kernel module %s: %w", name, m.name, err)
			}
		}
	}
	for _, pattern := range p.Firmware {
		if err := checkPattern(pattern); err != nil {
			return input("", "firmware %s: %w", pattern, err)
		}
		n, err := s.match(pattern)
		if err != nil {
			return fmt.Errorf("firmware %s: %w", pattern, err)
		}
		if n == 0 {
			return input("add the package that has it to the source, or take the pattern out of the profile",
				"firmware %q: nothing in /usr/lib/firmware of the source matches", pattern)
		}
	}
	slices.Sort(s.paths)
	a.Firmware = s.paths
	return nil
}

// firmwareSet collects firmware.
type firmwareSet struct {
	tree     *fstree.Tree
	contents *contents
	kernel   string
	dirs     []string                 // where firmware is, from the root of the tree
	first    map[*fstree.Inode]string // path in the archive of what is there already
	paths    []string
}

// findDirs finds the directories of firmware: that which is known, and else all. In a
// NixOS system they are in the store.
func (s *firmwareSet) findDirs(known string) error {
	candidates := []string{"usr/lib/firmware", "lib/firmware"}
	if known != "" {
		candidates = []string{known}
	} else if store := s.tree.Lookup("nix/store"); store != nil {
		for _, e := range store.Children() {
			if strings.HasSuffix(e.Name, "-firmware") {
				candidates = append(candidates, e.Path()+"/lib/firmware")
			}
		}
	}
	seen := map[*fstree.Entry]bool{}
	for _, dir := range candidates {
		e, err := s.tree.Follow(dir)
		if err != nil {
			return input("", "%w", err)
		}
		if e != nil && e.IsDir() && !seen[e] {
			seen[e] = true
			s.dirs = append(s.dirs, dir)
		}
	}
	return nil
}

// checkPattern returns why a pattern of the user's cannot name firmware. What
// modules say is not his making: "/*(DEBLOBBED)*/" of linux-libre matches
// nothing, as firmware that is not there does.
func checkPattern(pattern string) error {
	if !isLocal(pattern) || pattern == "." {
		return errors.New("expected a path below /usr/lib/firmware")
	}
	for element := range strings.SplitSeq(pattern, "/") {
		if _, err := path.Match(element, ""); err != nil {
			return err
		}
	}
	return nil
}

// match adds the files that a pattern names, from the first directory that
// has any, and returns how many they are.
func (s *firmwareSet) match(pattern string) (int, error) {
	for _, dir := range s.dirs {
		// Where the kernel looks, in its order.
		for _, sub := range []string{"updates/" + s.kernel + "/", "updates/", s.kernel + "/", ""} {
			found, err := s.expand(dir, sub, strings.Split(pattern, "/"))
			if err != nil || found > 0 {
				return found, err
			}
		}
	}
	return 0, nil
}

// expand adds the files below dir/at whose path matches the elements of a
// pattern.
func (s *firmwareSet) expand(dir, at string, elements []string) (int, error) {
	e, err := s.tree.Follow(dir + "/" + at)
	if err != nil {
		return 0, input("", "%w", err)
	}
	if e == nil || !e.IsDir() {
		return 0, nil
	}
	found := 0
	for _, child := range e.Children() {
		if !matchName(elements[0], child.Name, len(elements) == 1) {
			continue
		}
		n, next := 1, at+child.Name
		if len(elements) == 1 {
			n, err = s.addFile(dir, next)
		} else {
			n, err = s.expand(dir, next+"/", elements[1:])
		}
		if err != nil {
			return 0, err
		}
		found += n
	}
	return found, nil
}

// matchName reports whether a name matches an element of a pattern; a file's
// may have the suffix of a compression. A malformed element matches nothing.
func matchName(pattern, name string, file bool) bool {
	for _, suffix := range firmwareSuffixes {
		plain, ok := strings.CutSuffix(name, suffix)
		if !ok || !file && suffix != "" {
			continue
		}
		if matches, err := path.Match(pattern, plain); matches && err == nil {
			return true
		}
	}
	return false
}

// addFile adds one file and returns 1, or 0 if it is no file. A second name of
// the same file becomes a symlink.
func (s *firmwareSet) addFile(dir, name string) (int, error) {
	e, err := s.tree.Follow(dir + "/" + name)
	if err != nil {
		return 0, input("", "%w", err)
	}
	if e == nil || !e.IsRegular() {
		return 0, nil
	}
	to := "/lib/firmware/" + name
	if _, ok := s.contents.records[to[1:]]; ok {
		return 1, nil
	}
	s.paths = append(s.paths, to)
	if first, ok := s.first[e.Inode]; ok {
		s.contents.addSymlink(to[1:], first)
		return 1, nil
	}
	s.first[e.Inode] = to
	data, err := readEntry(e, maxFile)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", e.Path(), err)
	}
	s.contents.addFile(to[1:], 0o644, data)
	return 1, nil
}

// firmwareOf returns the names of the firmware that a module may ask for: the
// fields firmware= of its section .modinfo.
func firmwareOf(module []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil || section.Type == elf.SHT_NOBITS {
		return nil, nil
	}
	info, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf(".modinfo: %w", err)
	}
	var names []string
	for field := range strings.SplitSeq(string(info), "\x00") {
		if name, ok := strings.CutPrefix(field, "firmware="); ok && name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}
