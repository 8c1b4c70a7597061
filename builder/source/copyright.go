package source

import (
	"bufio"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// maxCopyright bounds the copyright files that are read; the largest in Debian
// have some 2 MB.
const maxCopyright = 8 << 20

// addLicenses fills in Licenses from /usr/share/doc/PACKAGE/copyright where
// that is machine-readable. A file that is missing or in free text leaves the
// package without: nobody guesses licences.
func addLicenses(t *fstree.Tree, packages []Package) error {
	for i, p := range packages {
		e, err := t.Follow("usr/share/doc/" + p.Name + "/copyright")
		if err != nil || e == nil || !e.IsRegular() || e.Size > maxCopyright {
			continue
		}
		r, closer, err := openEntry(e)
		if err != nil {
			return err
		}
		packages[i].Licenses, err = readCopyright(r)
		if cerr := closer(); err == nil {
			err = cerr
		}
		if err != nil {
			return fault.New(fault.Input, "", "/%s: %w", e.Path(), err)
		}
	}
	return nil
}

// maxLicense bounds the name of a licence, which is longer only where a whole
// text stands in its place.
const maxLicense = 200

// readCopyright returns what a machine-readable copyright file (DEP-5,
// "copyright-format/1.0") says about the licences of files, sorted: short names,
// also joined by "and" and "or". It returns nothing for any other file, and only
// errors of reading: many files have stanzas that are not quite right, and what
// can be understood of them counts.
func readCopyright(r io.Reader) ([]string, error) {
	lines := bufio.NewReader(r)
	names := map[string]bool{}
	license, files := "", false // of the stanza
	for first := true; ; first = false {
		line, err := readLine(lines)
		if err != nil && err != io.EOF {
			return nil, err
		}
		field, value, _ := strings.Cut(line, ":")
		field, value = strings.ToLower(field), strings.Join(strings.Fields(value), " ")
		if first && (field != "format" || !strings.Contains(value, "copyright-format/1")) {
			return nil, nil
		}
		switch {
		case field == "files":
			files = true
		case field == "license":
			license = value
		}
		if strings.TrimSpace(line) == "" || err == io.EOF {
			// A stanza without files holds the text of a licence.
			if files && license != "" && len(license) <= maxLicense {
				names[license] = true
			}
			license, files = "", false
		}
		if err == io.EOF {
			return slices.Sorted(maps.Keys(names)), nil
		}
	}
}

// readLine returns a line without its end; of a long one only the beginning.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	text := strings.TrimRight(string(line), "\r\n")
	for err == bufio.ErrBufferFull {
		_, err = r.ReadSlice('\n')
	}
	return text, err
}
