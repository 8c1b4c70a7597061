package elfclosure

import (
	"fmt"
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// Bounds of /etc/ld.so.conf: Debian's files have 44 bytes.
const (
	maxConf      = 64 << 10 // bytes of a file
	maxConfFiles = 256      // of all that include each other
)

// confPath is the file that ldconfig(8) reads.
const confPath = "etc/ld.so.conf"

// confFolders returns the folders of libraries that /etc/ld.so.conf lists, without a
// leading slash.
func (c *collector) confFolders() ([]string, error) {
	if c.confRead {
		return c.conf, nil
	}
	r := &confReader{collector: c}
	if err := r.read(confPath); err != nil {
		return nil, err
	}
	c.conf, c.confRead = r.folders, true
	return c.conf, nil
}

type confReader struct {
	*collector
	folders []string
	files   int
}

// read reads one file; one that is not there lists nothing.
func (r *confReader) read(at string) error {
	if r.files++; r.files > maxConfFiles {
		return input("%s: includes more than %d files", confPath, maxConfFiles-1)
	}
	e, err := r.follow(at)
	if e == nil || err != nil {
		return err
	}
	text, err := e.Read(maxConf)
	if err != nil {
		return input("%s: %w", e.Path(), err)
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(" \t\r\n:,", c) })
		switch {
		case len(words) == 0 || words[0] == "hwcap":
		case words[0] == "include":
			for _, pattern := range words[1:] {
				if err := r.include(path.Dir(at), pattern); err != nil {
					return fmt.Errorf("%s: %w", at, err)
				}
			}
		default:
			for _, folder := range words {
				folder, _, _ = strings.Cut(folder, "=") // with a type, as libc5 had
				r.folders = append(r.folders, clean(folder))
			}
		}
	}
	return nil
}

// include reads the files that a pattern names, whose last element alone may be one.
func (r *confReader) include(dir, pattern string) error {
	if !path.IsAbs(pattern) {
		pattern = dir + "/" + pattern
	}
	folder, last := path.Split(pattern)
	if _, err := path.Match(last, ""); err != nil || strings.ContainsAny(folder, "*?[") {
		return input("include %q: expected a pattern in the last element alone", pattern)
	}
	e, err := r.follow(folder)
	if e == nil || err != nil {
		return err
	}
	for _, child := range e.Children() {
		if !matches(last, child) {
			continue
		}
		if err := r.read(path.Join(folder, child.Name)); err != nil {
			return err
		}
	}
	return nil
}

// matches reports whether a name matches a pattern as glob(3) has it, for which a dot in
// front is special.
func matches(pattern string, e *fstree.Entry) bool {
	ok, err := path.Match(pattern, e.Name)
	return ok && err == nil && strings.HasPrefix(pattern, ".") == strings.HasPrefix(e.Name, ".")
}
