package source

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEachStanza(t *testing.T) {
	tests := []struct {
		name, in string
		want     []stanza
		err      string
	}{
		{"none", "\n\n \n", nil, ""},
		{"two", "Package: a\nVersion:1\n\n\nPACKAGE: b\n", []stanza{{"package": "a", "version": "1"}, {"package": "b"}}, ""},
		{"several lines", "A: one\n two\n\tthree \n .\nB:\n x\n", []stanza{{"a": "one\ntwo\nthree\n.", "b": "\nx"}}, ""},
		{"comment", "# x\nA: b\n# y\n c\n", []stanza{{"a": "b\nc"}}, ""},
		{"line ends", "A: b\r\n\r\nC: d\r\n", []stanza{{"a": "b"}, {"c": "d"}}, ""},
		{"no field", "A: b\nfoo\n", nil, `line 2: "foo": expected a field, "Name: value"`},
		{"blank in name", "A b: c\n", nil, `line 1: "A b: c": expected a field, "Name: value"`},
		{"empty name", ": c\n", nil, `line 1: ": c": expected a field, "Name: value"`},
		{"twice", "A: b\na: c\n", nil, `line 2: field "a": occurs twice`},
		{"twice, continued", "A: b\n c\na: c\n", nil, `line 3: field "a": occurs twice`},
		{"continuation first", "A: b\n\n c\n", []stanza{{"a": "b"}}, `line 3: continuation " c": no field before it`},
		{"longest line", "A: " + strings.Repeat("x", maxControlLine-4), []stanza{{"a": strings.Repeat("x", maxControlLine-4)}}, ""},
		{"longer line", "A: b\n\nA: " + strings.Repeat("x", maxControlLine-3), []stanza{{"a": "b"}}, "line 3: bufio.Scanner: token too long"},
		{"large stanza", "A: b\n" + strings.Repeat(" "+strings.Repeat("x", 1<<19)+"\n", 8), nil, "line 9: stanza of more than 4194304 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []stanza
			err := eachStanza(strings.NewReader(tt.in), func(s stanza) error { got = append(got, s); return nil })
			if errorText(err) != tt.err {
				t.Errorf("error %q; want %q", errorText(err), tt.err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("stanzas (-want +got):\n%.2000s", d)
			}
		})
	}
}

// TestEachStanzaStops hands on the error of each, also of the last stanza.
func TestEachStanzaStops(t *testing.T) {
	stop := errors.New("stop")
	for _, in := range []string{"A: b", "A: b\n\nA: c\n"} {
		n := 0
		err := eachStanza(strings.NewReader(in), func(stanza) error { n++; return stop })
		if !errors.Is(err, stop) || n != 1 {
			t.Errorf("%q: error %v after %d stanzas; want %v after 1", in, err, n, stop)
		}
	}
}

func TestReadStatus(t *testing.T) {
	const in = `Package: libc6
Status: install ok installed
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Multi-Arch: same
Source: glibc (2.41-1)
Version: 2.41-12

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: adduser
Status: install ok installed
Architecture: all
Source: adduser
Homepage: https://example.org/
Installed-Size: 700
Version: 3.152
Description: add
 and remove
`
	want := []Package{
		{Name: "adduser", Version: "3.152", Architecture: "all", Homepage: "https://example.org/", InstalledSize: 700 << 10},
		{Name: "libc6", Version: "2.41-12", Architecture: "amd64", Source: "glibc", Supplier: "GNU Libc Maintainers <debian-glibc@lists.debian.org>"},
	}
	got, err := ReadStatus(strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("packages (-want +got):\n%s", d)
	}
}

// TestReadStatusSize: what is no size of a package is none, and no error.
func TestReadStatusSize(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "0": 0, "1": 1024, "-1": 0, "x": 0, "8796093022207": 8796093022207 << 10, "8796093022208": 0} {
		got, err := ReadStatus(strings.NewReader("Package: foo\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nInstalled-Size: " + text + "\n"))
		if err != nil || len(got) != 1 || got[0].InstalledSize != want {
			t.Errorf("Installed-Size %q: %+v, %v; want %d bytes", text, got, err, want)
		}
	}
}

func TestReadStatusRefuses(t *testing.T) {
	stanzaOf := func(name, version, arch, src string) string {
		return "Package: " + name + "\nStatus: install ok installed\nVersion: " + version + "\nArchitecture: " + arch + "\nSource: " + src + "\n\n"
	}
	tests := []struct{ name, in, want string }{
		{"name", stanzaOf("../x", "1", "all", ""), `package "../x": not a name of a Debian package`},
		{"removal", stanzaOf("foo-", "1", "all", ""), `package "foo-": not a name of a Debian package`},
		{"version", stanzaOf("foo", "1 2", "all", ""), `package foo: version "1 2": not a Debian version`},
		{"architecture", stanzaOf("foo", "1", "a b", ""), `package foo: architecture "a b": not a name of one`},
		{"source", stanzaOf("foo", "1", "all", "X"), `package foo: source "X": not a name of a Debian package`},
		{"twice", stanzaOf("foo", "1", "all", "") + stanzaOf("foo", "2", "all", ""), `package foo:all: occurs twice`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ReadStatus(strings.NewReader(tt.in)); err == nil || !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("error %q; want %q", errorText(err), tt.want)
			}
		})
	}
}

func TestAddDigests(t *testing.T) {
	one, two := strings.Repeat("1", 64), strings.Repeat("2", 64)
	entry := func(name, version, sum string) string {
		return "Package: " + name + "\nVersion: " + version + "\nArchitecture: all\nSHA256: " + sum + "\n\n"
	}
	tests := []struct{ name, index, want, err string }{
		{"found", entry("ab", "2", two) + entry("ab", "1", one), one, ""},
		{"offered twice", entry("ab", "1", one) + entry("ab", "1", one), one, ""},
		{"missing", entry("ab", "2", two), "", "package ab 1: is installed, but in no index of the archive"},
		{"contradiction", entry("ab", "1", one) + entry("ab", "1", two), "", "package ab 1: two archives offer it with different contents: SHA-256 " + one + " and " + two},
		{"no digest", entry("ab", "1", "x"), "", `line 5: package ab: SHA256 "x": expected 64 hexadecimal digits`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			packages := []Package{{Name: "ab", Version: "1", Architecture: "all"}}
			index, err := readPackages(strings.NewReader(tt.index))
			if err == nil {
				err = addDigests(packages, index)
			}
			if packages[0].SHA256 != tt.want || errorText(err) != tt.err {
				t.Errorf("digest %q, error %q; want %q, %q", packages[0].SHA256, errorText(err), tt.want, tt.err)
			}
		})
	}
}

func FuzzReadStatus(f *testing.F) {
	f.Add("Package: ab\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nSource: x1 (2)\n\nPackage: b1\n c\n")
	f.Add("#\n\n A\n")
	f.Fuzz(func(t *testing.T, in string) {
		packages, err := ReadStatus(strings.NewReader(in))
		if err != nil {
			return
		}
		for i, p := range packages {
			if p.valid() != nil || i > 0 && comparePackages(packages[i-1], p) >= 0 {
				t.Fatalf("packages are not valid or not sorted: %+v", packages)
			}
		}
	})
}

func FuzzReadPackages(f *testing.F) {
	f.Add("Package: ab\nVersion: 1\nArchitecture: all\nSHA256: " + strings.Repeat("a", 64) + "\n")
	f.Add("Package: ab\nVersion: 1\nArchitecture: all\nSHA256: x")
	f.Fuzz(func(t *testing.T, in string) {
		packages, err := readPackages(strings.NewReader(in))
		if err != nil {
			return
		}
		for _, p := range packages {
			if p.valid() != nil || !validSHA256.MatchString(p.SHA256) {
				t.Fatalf("package is not valid: %+v", p)
			}
		}
	})
}
