package source

import (
	"bufio"
	"io"
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

// readCopyright returns the short names of licences in a machine-readable
// copyright file (DEP-5, "copyright-format/1.0"), sorted, and nothing for any
// other file. It returns only errors of reading, for many files have stanzas
// that are not quite right: what can be understood of them counts.
func readCopyright(r io.Reader) ([]string, error) {
	lines := bufio.NewReader(r)
	names := map[string]bool{}
	for first := true; ; first = false {
		line, err := readLine(lines)
		if err != nil && err != io.EOF {
			return nil, err
		}
		field, value, _ := strings.Cut(line, ":")
		field, value = strings.ToLower(field), strings.TrimSpace(value)
		if first && (field != "format" || !strings.Contains(value, "copyright-format/1")) {
			return nil, nil
		}
		if field == "license" && value != "" && len(value) <= 200 {
			for _, name := range licenseNames(value) {
				names[name] = true
			}
		}
		if err == io.EOF {
			break
		}
	}
	var list []string
	for name := range names {
		list = append(list, name)
	}
	slices.Sort(list)
	return list, nil
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

// licenseNames splits "A or B and C" into its names. An exception stays with
// its licence: "GPL-2+ with OpenSSL exception".
func licenseNames(value string) []string {
	var names []string
	var now []string
	flush := func() {
		if len(now) > 0 {
			names = append(names, strings.Join(now, " "))
		}
		now = nil
	}
	for _, word := range strings.Fields(value) {
		switch bare := strings.TrimRight(word, ","); {
		case bare == "and" || bare == "or":
			flush()
		case bare != word:
			now = append(now, bare)
			flush()
		default:
			now = append(now, word)
		}
	}
	flush()
	return names
}
