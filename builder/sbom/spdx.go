package sbom

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix/storedb"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// Params says what the document is about.
type Params struct {
	Name     string    // of the image, such as "bandit-minimal": letters, digits and "._+:-", the first a letter, a digit or "_"
	Identity string    // unique to the image: a digest or an identity from its seed; letters, digits, ".", "-" and ":"
	Created  time.Time // the image's epoch
	Tool     string    // name and version of the program, such as "mkimage-1.0"
	Source   string    // where the files come from, such as "debian:trixie"
	SHA256   string    // of the archive of Source in hexadecimal, or ""
	Vendor   string    // of the packages: ID of os-release(5), which is what package URLs call it; "" is "debian"
	Packages []source.Package
	Objects  []storedb.Object // of a NixOS: all that is in its store, each with what it refers to
}

// The document, in the names and the order of the SPDX schema.
type (
	document struct {
		SPDXVersion       string         `json:"spdxVersion"`
		DataLicense       string         `json:"dataLicense"`
		SPDXID            string         `json:"SPDXID"`
		Name              string         `json:"name"`
		Comment           string         `json:"comment,omitempty"`
		DocumentNamespace string         `json:"documentNamespace"`
		CreationInfo      creationInfo   `json:"creationInfo"`
		Packages          []spdxPackage  `json:"packages"`
		Relationships     []relationship `json:"relationships"`
	}
	creationInfo struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		SPDXID           string        `json:"SPDXID"`
		Name             string        `json:"name"`
		Version          string        `json:"versionInfo,omitempty"`
		FileName         string        `json:"packageFileName,omitempty"`
		Supplier         string        `json:"supplier"`
		DownloadLocation string        `json:"downloadLocation"`
		FilesAnalyzed    bool          `json:"filesAnalyzed"`
		Purpose          string        `json:"primaryPackagePurpose,omitempty"`
		Checksums        []checksum    `json:"checksums,omitempty"`
		Homepage         string        `json:"homepage,omitempty"`
		SourceInfo       string        `json:"sourceInfo,omitempty"`
		LicenseConcluded string        `json:"licenseConcluded"`
		LicenseDeclared  string        `json:"licenseDeclared"`
		LicenseComments  string        `json:"licenseComments,omitempty"`
		CopyrightText    string        `json:"copyrightText"`
		ExternalRefs     []externalRef `json:"externalRefs,omitempty"`
	}
	checksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	externalRef struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	relationship struct {
		Element string `json:"spdxElementId"`
		Type    string `json:"relationshipType"`
		Related string `json:"relatedSpdxElement"`
	}
)

const (
	noAssertion = "NOASSERTION"
	documentID  = "SPDXRef-DOCUMENT"
	imageID     = "SPDXRef-Image"

	// namespace begins the URI of every document. Nothing is fetched from it.
	namespace = "https://github.com/6FaNcY9/mkimage/spdx/"
)

var (
	validName     = lazily(`^[A-Za-z0-9_][A-Za-z0-9._+:-]{0,255}$`)
	validIdentity = lazily(`^[A-Za-z0-9][A-Za-z0-9.:-]{0,255}$`)
	validVendor   = lazily(`^[a-z0-9._-]{0,255}$`) // as os-release(5) has it
	validTool     = lazily(`^[!-~]{1,255}$`)
	validHomepage = lazily(`^(https?|ftp)://[!-~]{1,1000}$`)
)

// lazily compiles an expression on its first use: these count so far that all
// at once they would take a quarter of the start of a program.
func lazily(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// SPDX returns the document, ending in a newline. Errors are of class
// fault.Config: the arguments cannot stand in a document.
func SPDX(p Params) ([]byte, error) {
	p.Vendor = strings.ToLower(p.Vendor) // package URLs of type deb have it so
	if err := p.check(); err != nil {
		return nil, err
	}
	doc := document{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", SPDXID: documentID, Name: p.Name,
		DocumentNamespace: namespace + p.Name + "-" + p.Identity,
		CreationInfo:      creationInfo{p.Created.UTC().Format("2006-01-02T15:04:05Z"), []string{"Tool: " + p.Tool}},
		Packages:          []spdxPackage{imagePackage(p)},
		Relationships:     []relationship{{documentID, "DESCRIBES", imageID}},
	}
	ids := map[string]bool{documentID: true, imageID: true}
	for _, pkg := range sorted(p.Packages) {
		id := packageID(pkg, ids)
		doc.Packages = append(doc.Packages, describe(pkg, id, cmp.Or(p.Vendor, "debian")))
		doc.Relationships = append(doc.Relationships, relationship{imageID, "CONTAINS", id})
	}
	if err := doc.addObjects(p.Objects, ids); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(doc, "", "  ")
	return append(data, '\n'), err
}

// check refuses what cannot stand in a document.
func (p *Params) check() error {
	switch {
	case !validName().MatchString(p.Name):
		return fault.New(fault.Config, "", "sbom: name %.80q: expected letters, digits and . _ + : -", p.Name)
	case !validIdentity().MatchString(p.Identity):
		return fault.New(fault.Config, "", "sbom: identity %.80q: expected letters, digits, dots, colons and dashes", p.Identity)
	case !validVendor().MatchString(p.Vendor):
		return fault.New(fault.Config, "", "sbom: vendor %.80q: expected an ID of os-release(5), of letters, digits and . _ -", p.Vendor)
	case !validTool().MatchString(p.Tool):
		return fault.New(fault.Config, "", "sbom: tool %.80q: expected a name without blanks", p.Tool)
	case p.Created.Unix() < 0 || p.Created.UTC().Year() > 9999:
		return fault.New(fault.Config, "", "sbom: time %v: expected one from 1970 to 9999", p.Created)
	}
	return nil
}

func imagePackage(p Params) spdxPackage {
	s := spdxPackage{
		SPDXID: imageID, Name: p.Name, Supplier: noAssertion, DownloadLocation: noAssertion, Purpose: "OPERATING-SYSTEM",
		LicenseConcluded: noAssertion, LicenseDeclared: noAssertion, CopyrightText: noAssertion,
	}
	if p.Source != "" {
		s.SourceInfo = "built from " + p.Source
		if p.SHA256 != "" {
			s.SourceInfo += ", SHA-256 of its archive " + p.SHA256
		}
	}
	return s
}

func sorted(packages []source.Package) []source.Package {
	packages = slices.Clone(packages)
	slices.SortStableFunc(packages, func(a, b source.Package) int {
		return strings.Compare(a.Name+" "+a.Architecture+" "+a.Version, b.Name+" "+b.Architecture+" "+b.Version)
	})
	return packages
}

// packageID makes an SPDXID of a package.
func packageID(p source.Package, taken map[string]bool) string {
	return newID("SPDXRef-Package-", p.Name+"-"+p.Architecture, taken)
}

// newID makes an SPDXID, which may hold letters, digits, dots and dashes only, that
// is not in taken, and adds it there.
func newID(prefix, text string, taken map[string]bool) string {
	base := prefix + strings.Map(func(r rune) rune {
		if r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '-'
	}, text)
	id := base
	for n := 2; taken[id]; n++ {
		id = fmt.Sprintf("%s.%d", base, n)
	}
	taken[id] = true
	return id
}

func describe(p source.Package, id, vendor string) spdxPackage {
	s := spdxPackage{
		SPDXID: id, Name: p.Name, Version: p.Version, Supplier: supplier(p.Supplier), DownloadLocation: noAssertion,
		LicenseConcluded: noAssertion, CopyrightText: noAssertion,
		ExternalRefs: []externalRef{{"PACKAGE-MANAGER", "purl", PackageURL(p, vendor)}},
	}
	if p.SHA256 != "" {
		s.Checksums = []checksum{{"SHA256", p.SHA256}}
	}
	if validHomepage().MatchString(p.Homepage) {
		s.Homepage = p.Homepage
	}
	if p.Source != "" {
		s.SourceInfo = "built from the source package " + p.Source
	}
	s.LicenseDeclared, s.LicenseComments = declared(p.Licenses)
	return s
}

// supplier turns "NAME <ADDRESS>" into SPDX's form of it.
func supplier(maintainer string) string {
	maintainer = strings.Join(strings.Fields(maintainer), " ")
	if maintainer == "" {
		return noAssertion
	}
	name, address, ok := strings.Cut(strings.TrimSuffix(maintainer, ">"), " <")
	if !ok {
		return "Organization: " + maintainer
	}
	return "Organization: " + name + " (" + address + ")"
}

// PackageURL returns the package URL of a Debian package:
// pkg:deb/VENDOR/NAME@VERSION?arch=ARCHITECTURE.
func PackageURL(p source.Package, vendor string) string {
	return "pkg:deb/" + percent(vendor) + "/" + percent(p.Name) + "@" + percent(p.Version) + "?arch=" + percent(p.Architecture)
}

// percent encodes all but the characters that package URLs leave as they are.
func percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte(".-_~:", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
