package source

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// Package is one installed package.
type Package struct {
	Name         string   `json:"name"`
	Version      string   `json:"version"`
	Architecture string   `json:"architecture"`       // of Debian; "all" for one that fits every machine
	Source       string   `json:"source,omitempty"`   // source package, where it has another name
	SHA256       string   `json:"sha256,omitempty"`   // of the .deb in hexadecimal; "" where nobody said it
	Licenses     []string `json:"licenses,omitempty"` // of its files, as its copyright file says if that is machine-readable; sorted
	Homepage     string   `json:"homepage,omitempty"` // URL
	Supplier     string   `json:"supplier,omitempty"` // the maintainer, "NAME <ADDRESS>"

	InstalledSize int64 `json:"-"` // bytes, as the package says; 0 where it does not
}

// The forms that Debian Policy gives to names, versions and architectures
// (5.6.1, 5.6.7, 5.6.12, 5.6.8). A name must not end in "-", which apt would
// take for the wish to remove.
var (
	validName    = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{0,126}[a-z0-9+.]$`)
	validVersion = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+:~-]{0,254}$`)
	validArch    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	validSHA256  = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// DpkgStatus is dpkg's database of what is installed, from the root.
const DpkgStatus = "var/lib/dpkg/status"

// InstalledPackages returns the packages that dpkg's database in the tree says
// are installed, sorted by name and architecture; none when there is no such
// database. Errors are of class fault.Input.
func InstalledPackages(t *fstree.Tree) ([]Package, error) {
	e, err := t.Follow(DpkgStatus)
	if err != nil || e == nil || !e.IsRegular() {
		return nil, nil // another kind of system, or none
	}
	r, closer, err := openEntry(e)
	if err != nil {
		return nil, err
	}
	packages, err := ReadStatus(r)
	if cerr := closer(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fault.New(fault.Input, "", "/%s: %w", DpkgStatus, err)
	}
	if err := addLicenses(t, packages); err != nil {
		return nil, err
	}
	return packages, nil
}

// openEntry returns a reader of a regular file of a tree and what closes it.
func openEntry(e *fstree.Entry) (io.Reader, func() error, error) {
	if e.Content == nil { // a hole
		return io.LimitReader(zeros{}, e.Size), func() error { return nil }, nil
	}
	f, err := e.Content.Open(e)
	if err != nil {
		return nil, nil, err
	}
	return io.NewSectionReader(f, 0, e.Size), f.Close, nil
}

type zeros struct{}

// Read fills p with zeros.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// ReadStatus reads dpkg's status file: the packages that are installed, sorted by
// name and architecture. Those that are removed, but for their configuration, are
// passed over. Licenses are not in that file.
func ReadStatus(r io.Reader) ([]Package, error) {
	var packages []Package
	err := eachStanza(r, func(s stanza) error {
		state := strings.Fields(s["status"])
		if len(state) != 3 || state[2] != "installed" {
			return nil
		}
		p, err := packageOf(s)
		packages = append(packages, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(packages, comparePackages)
	if i := firstTwin(packages); i >= 0 {
		return nil, fmt.Errorf("package %s:%s: occurs twice", packages[i].Name, packages[i].Architecture)
	}
	return packages, nil
}

// readPackages reads an index of an archive (the file Packages), or the part of
// it that apt-cache show prints.
func readPackages(r io.Reader) ([]Package, error) {
	var packages []Package
	err := eachStanza(r, func(s stanza) error {
		p, err := packageOf(s)
		if err == nil && !validSHA256.MatchString(p.SHA256) {
			err = fmt.Errorf("package %s: SHA256 %.80q: expected 64 hexadecimal digits", p.Name, p.SHA256)
		}
		packages = append(packages, p)
		return err
	})
	slices.SortStableFunc(packages, comparePackages)
	return packages, err
}

// packageOf takes what is of interest from a stanza of either file.
func packageOf(s stanza) (Package, error) {
	p := Package{
		Name: s["package"], Version: s["version"], Architecture: s["architecture"],
		SHA256: s["sha256"], Homepage: s["homepage"], Supplier: s["maintainer"],
	}
	if n, err := strconv.ParseInt(s["installed-size"], 10, 64); err == nil && n >= 0 && n <= math.MaxInt64>>20 {
		p.InstalledSize = n << 10 // KiB in the file (Debian Policy 5.6.20)
	}
	p.Source, _, _ = strings.Cut(s["source"], " ") // "NAME (VERSION)" where the version differs
	if p.Source == p.Name {
		p.Source = ""
	}
	return p, p.valid()
}

func (p Package) valid() error {
	switch {
	case !validName.MatchString(p.Name):
		return fmt.Errorf("package %.80q: not a name of a Debian package", p.Name)
	case !validVersion.MatchString(p.Version):
		return fmt.Errorf("package %s: version %.80q: not a Debian version", p.Name, p.Version)
	case !validArch.MatchString(p.Architecture):
		return fmt.Errorf("package %s: architecture %.80q: not a name of one", p.Name, p.Architecture)
	case p.Source != "" && !validName.MatchString(p.Source):
		return fmt.Errorf("package %s: source %.80q: not a name of a Debian package", p.Name, p.Source)
	}
	return nil
}

func comparePackages(a, b Package) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Architecture, b.Architecture))
}

// firstTwin returns the index of the first of two packages that are the same by
// comparePackages, which must have sorted them, or -1.
func firstTwin(packages []Package) int {
	for i := 1; i < len(packages); i++ {
		if comparePackages(packages[i-1], packages[i]) == 0 {
			return i - 1
		}
	}
	return -1
}

// addDigests gives each package the SHA-256 that an archive's index has for the
// same name, version and architecture. Every one must be there, and must be the
// same where several archives offer it.
func addDigests(packages, index []Package) error {
	type key struct{ name, version, arch string }
	digests := map[key]string{}
	for _, p := range index {
		k := key{p.Name, p.Version, p.Architecture}
		if other, ok := digests[k]; ok && other != p.SHA256 {
			return fmt.Errorf("package %s %s: two archives offer it with different contents: SHA-256 %s and %s", p.Name, p.Version, other, p.SHA256)
		}
		digests[k] = p.SHA256
	}
	for i, p := range packages {
		sum, ok := digests[key{p.Name, p.Version, p.Architecture}]
		if !ok {
			return fmt.Errorf("package %s %s: is installed, but in no index of the archive", p.Name, p.Version)
		}
		packages[i].SHA256 = sum
	}
	return nil
}
