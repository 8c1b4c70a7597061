package sbom

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/source"
)

var update = flag.Bool("update", false, "write the golden file anew")

func sample() Params {
	return Params{
		Name: "bandit-minimal", Identity: "sha256:0123", Created: time.Date(2025, 1, 2, 3, 4, 5, 6, time.FixedZone("x", 3600)),
		Tool: "mkimage-1.0", Source: "debian:trixie", SHA256: strings.Repeat("d", 64),
		Packages: []source.Package{
			{Name: "tzdata", Version: "2025b-4+deb13u1", Architecture: "all", SHA256: strings.Repeat("c", 64), Licenses: []string{"ISC", "public-domain"}},
			{Name: "g++", Version: "4:14.2.0-1", Architecture: "amd64", Source: "gcc-defaults", SHA256: strings.Repeat("b", 64),
				Licenses: []string{"GPL-1+ or Artistic", "GPL-2+"}, Homepage: "https://gcc.gnu.org/", Supplier: "Debian GCC Maintainers  <debian-gcc@lists.debian.org>"},
			{Name: "g--", Version: "1~rc1", Architecture: "amd64", Homepage: "no URL"},
		},
	}
}

func encode(t *testing.T, p Params) []byte {
	t.Helper()
	data, err := SPDX(p)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// checkGolden compares a document with a file, or writes that anew.
func checkGolden(t *testing.T, golden string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("document (-want +got):\n%s", d)
	}
}

func TestSPDX(t *testing.T) {
	got := encode(t, sample())
	checkGolden(t, "testdata/sample.spdx.json", got)
	p := sample()
	slices.Reverse(p.Packages)
	if again := encode(t, p); !bytes.Equal(got, again) {
		t.Error("the order of packages counts")
	}
	checkRules(t, got)
}

// TestSPDXEmpty is an image of which no packages are known.
func TestSPDXEmpty(t *testing.T) {
	checkRules(t, encode(t, Params{Name: "x", Identity: "y", Tool: "mkimage", Created: time.Unix(0, 0)}))
}

// The forms of values in the schema of SPDX 2.3 (its clauses 6 to 11).
var (
	ruleID         = regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`)
	ruleCreated    = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)
	ruleCreator    = regexp.MustCompile(`^(Tool|Person|Organization): .+$`)
	ruleSupplier   = regexp.MustCompile(`^(NOASSERTION|(Person|Organization): .+)$`)
	rulePurl       = regexp.MustCompile(`^(pkg:deb/[a-z0-9.-]+/[A-Za-z0-9.%-]+@[A-Za-z0-9.%~:_-]+\?arch=[a-z0-9-]+|pkg:nix/[A-Za-z0-9._%-]+(@[A-Za-z0-9.%_-]+)?\?outputhash=[0-9a-z]{32})$`)
	ruleExpression = regexp.MustCompile(`^(NOASSERTION|NONE|[A-Za-z0-9.() -]+)$`)
	rulePurpose    = []string{"", "APPLICATION", "FRAMEWORK", "LIBRARY", "CONTAINER", "OPERATING-SYSTEM", "DEVICE", "FIRMWARE", "SOURCE", "ARCHIVE", "FILE", "INSTALL", "OTHER"}
)

// checkRules checks a document against the rules of the specification: which
// fields there must be, their forms, and that every identifier that is named is
// defined, once.
func checkRules(t *testing.T, data []byte) {
	t.Helper()
	var doc document
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	is := func(what, got string, ok bool) {
		t.Helper()
		if !ok {
			t.Errorf("%s: %q is against the rules", what, got)
		}
	}
	is("spdxVersion", doc.SPDXVersion, doc.SPDXVersion == "SPDX-2.3")
	is("dataLicense", doc.DataLicense, doc.DataLicense == "CC0-1.0")
	is("SPDXID", doc.SPDXID, doc.SPDXID == "SPDXRef-DOCUMENT")
	is("name", doc.Name, doc.Name != "")
	u, err := url.Parse(doc.DocumentNamespace)
	is("documentNamespace", doc.DocumentNamespace, err == nil && u.IsAbs() && u.Fragment == "" && !strings.Contains(doc.DocumentNamespace, "#"))
	is("created", doc.CreationInfo.Created, ruleCreated.MatchString(doc.CreationInfo.Created))
	for _, c := range doc.CreationInfo.Creators {
		is("creator", c, ruleCreator.MatchString(c))
	}
	ids := map[string]bool{doc.SPDXID: true}
	for _, p := range doc.Packages {
		is("SPDXID", p.SPDXID, ruleID.MatchString(p.SPDXID) && !ids[p.SPDXID])
		ids[p.SPDXID] = true
		is("name", p.Name, p.Name != "")
		is("packageFileName", p.FileName, p.FileName == "" || strings.HasPrefix(p.FileName, "/nix/store/"))
		is("downloadLocation", p.DownloadLocation, p.DownloadLocation == "NOASSERTION")
		is("supplier", p.Supplier, ruleSupplier.MatchString(p.Supplier))
		is("licenseDeclared", p.LicenseDeclared, ruleExpression.MatchString(p.LicenseDeclared))
		is("licenseConcluded", p.LicenseConcluded, ruleExpression.MatchString(p.LicenseConcluded))
		is("copyrightText", p.CopyrightText, p.CopyrightText != "")
		is("primaryPackagePurpose", p.Purpose, slices.Contains(rulePurpose, p.Purpose))
		for _, c := range p.Checksums {
			is("checksum", c.Value, c.Algorithm == "SHA256" && len(c.Value) == 64)
		}
		for _, r := range p.ExternalRefs {
			is("externalRef", r.Locator, r.Category == "PACKAGE-MANAGER" && r.Type == "purl" && rulePurl.MatchString(r.Locator))
		}
	}
	types := map[string]int{}
	for _, r := range doc.Relationships {
		is("relationship", r.Element+" "+r.Related, ids[r.Element] && ids[r.Related] && r.Element != r.Related)
		is("relationshipType", r.Type, r.Type == "DESCRIBES" || r.Type == "CONTAINS" || r.Type == "DEPENDS_ON")
		types[r.Type]++
	}
	if types["DESCRIBES"] != 1 || types["CONTAINS"] != len(doc.Packages)-1 {
		t.Errorf("relationships %v for %d packages", types, len(doc.Packages))
	}
}

// TestNames writes documents of images whose names an SPDXID could not hold.
func TestNames(t *testing.T) {
	longest := strings.Repeat("x", 256)
	for _, name := range []string{"my_x", "_x", "a+b:c.d-e", longest} {
		p := sample()
		p.Name = name
		data := encode(t, p)
		checkRules(t, data)
		if want := `"documentNamespace": "https://github.com/6FaNcY9/mkimage/spdx/` + name + "-"; !strings.Contains(string(data), want) {
			t.Errorf("name %.10s: the document lacks %q", name, want)
		}
	}
	for _, name := range []string{longest + "x", "-x", "a/b", "a#b"} {
		if _, err := SPDX(Params{Name: name, Identity: "y", Tool: "mkimage"}); fault.ClassOf(err) != fault.Config {
			t.Errorf("name %.10s: %v; want a config error", name, err)
		}
	}
}

func TestVendor(t *testing.T) {
	for vendor, want := range map[string]string{"": "pkg:deb/debian/", "ubuntu": "pkg:deb/ubuntu/", "Deepin": "pkg:deb/deepin/", "a.b_c-1": "pkg:deb/a.b_c-1/"} {
		p := sample()
		p.Vendor = vendor
		if data := encode(t, p); strings.Count(string(data), want) != len(p.Packages) {
			t.Errorf("vendor %q: want %s in each package", vendor, want)
		}
	}
}

func TestSPDXRefuses(t *testing.T) {
	tests := []struct {
		name, want string
		change     func(*Params)
	}{
		{"name", `sbom: name "a b": expected letters, digits and . _ + : -`, func(p *Params) { p.Name = "a b" }},
		{"no name", `sbom: name "": expected letters, digits and . _ + : -`, func(p *Params) { p.Name = "" }},
		{"vendor", `sbom: vendor "a/b": expected an ID of os-release(5), of letters, digits and . _ -`, func(p *Params) { p.Vendor = "a/b" }},
		{"identity", `sbom: identity "#": expected letters, digits, dots, colons and dashes`, func(p *Params) { p.Identity = "#" }},
		{"tool", `sbom: tool "": expected a name without blanks`, func(p *Params) { p.Tool = "" }},
		{"time", `sbom: time 1969-12-31 23:59:59 +0000 UTC: expected one from 1970 to 9999`, func(p *Params) { p.Created = time.Unix(-1, 0).UTC() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := sample()
			tt.change(&p)
			if _, err := SPDX(p); err == nil || err.Error() != tt.want || fault.ClassOf(err) != fault.Config {
				t.Errorf("error %v; want %q of class %d", err, tt.want, fault.Config)
			}
		})
	}
}

func TestPackageURL(t *testing.T) {
	tests := []struct {
		name, want string
		in         source.Package
	}{
		{"plain", "pkg:deb/debian/sudo@1.9.16p2-3?arch=amd64", source.Package{Name: "sudo", Version: "1.9.16p2-3", Architecture: "amd64"}},
		{"plus", "pkg:deb/debian/g%2B%2B@4:14.2.0-1%2Bb1?arch=amd64", source.Package{Name: "g++", Version: "4:14.2.0-1+b1", Architecture: "amd64"}},
		{"tilde", "pkg:deb/debian/tz@2025b~rc1?arch=all", source.Package{Name: "tz", Version: "2025b~rc1", Architecture: "all"}},
	}
	for _, tt := range tests {
		if got := PackageURL(tt.in, "debian"); got != tt.want {
			t.Errorf("%s: PackageURL = %q; want %q", tt.name, got, tt.want)
		}
	}
}

func TestPackageIDs(t *testing.T) {
	taken := map[string]bool{}
	for i, want := range []string{"SPDXRef-Package-g---amd64", "SPDXRef-Package-g---amd64.2", "SPDXRef-Package-g---amd64.3"} {
		name := []string{"g++", "g--", "g+-"}[i]
		if got := packageID(source.Package{Name: name, Architecture: "amd64"}, taken); got != want {
			t.Errorf("packageID(%s) = %q; want %q", name, got, want)
		}
	}
}

func TestDeclared(t *testing.T) {
	tests := []struct {
		name          string
		in            []string
		want, comment string
	}{
		{"none", nil, "NOASSERTION", ""},
		{"one", []string{"Expat"}, "MIT", ""},
		{"any case", []string{"bsd-3-CLAUSE"}, "BSD-3-Clause", ""},
		{"several", []string{"GPL-2+", "Expat", "expat"}, "GPL-2.0-or-later AND MIT", ""},
		{"choice", []string{"GPL-1+ or Artistic"}, "Artistic-1.0-Perl OR GPL-1.0-or-later", ""},
		{"choice among several", []string{"GPL-1+ or Artistic", "ISC"}, "(Artistic-1.0-Perl OR GPL-1.0-or-later) AND ISC", ""},
		{"no choice", []string{"GPL-2 or GPL-2.0"}, "GPL-2.0-only", ""},
		{"both", []string{"ISC and Expat"}, "ISC AND MIT", ""},
		{"unknown", []string{"ISC", "public-domain"}, "NOASSERTION", "the copyright file names: ISC; public-domain"},
		{"mixed", []string{"ISC and Expat or X11"}, "NOASSERTION", "the copyright file names: ISC and Expat or X11"},
		{"exception", []string{"GPL-2+ with OpenSSL exception"}, "NOASSERTION", "the copyright file names: GPL-2+ with OpenSSL exception"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, comment := declared(tt.in); got != tt.want || comment != tt.comment {
				t.Errorf("declared(%q) = %q, %q; want %q, %q", tt.in, got, comment, tt.want, tt.comment)
			}
		})
	}
	if _, comment := declared([]string{strings.Repeat("é", maxComment)}); len(comment) > maxComment+9 || !strings.HasSuffix(comment, "é and more") {
		t.Errorf("comment of %d bytes ends in %q", len(comment), comment[len(comment)-12:])
	}
}

func TestSupplier(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "NOASSERTION",
		"Alice <a@example.org>":  "Organization: Alice (a@example.org)",
		"A  B\n <a@example.org>": "Organization: A B (a@example.org)",
		"Alice":                  "Organization: Alice",
	} {
		if got := supplier(in); got != want {
			t.Errorf("supplier(%q) = %q; want %q", in, got, want)
		}
	}
}
