package nix

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

func TestSplitName(t *testing.T) {
	for _, tt := range []struct{ name, pname, version string }{
		{"hello-2.12.1", "hello", "2.12.1"},
		{"glibc-2.40-66-bin", "glibc", "2.40-66-bin"},
		{"system-path", "system-path", ""},
		{"nixos-system-fox-26.05.20260601.0000000", "nixos-system-fox", "26.05.20260601.0000000"},
		{"foo-unstable-2024-01-01", "foo-unstable", "2024-01-01"},
		{"unit-sshd.service", "unit-sshd.service", ""},
		{"foo-", "foo-", ""},
		{"foo--1", "foo", "-1"},
		{"-1", "", "1"},
		{"-", "-", ""},
		{"a", "a", ""},
		{"", "", ""},
		{"foo-_x", "foo", "_x"},
		{"foo-=1", "foo", "=1"},
		{"foo-R-1.0", "foo-R", "1.0"},
		{"python3.13-requests-2.32.3", "python3.13-requests", "2.32.3"},
	} {
		if pname, version := SplitName(tt.name); pname != tt.pname || version != tt.version {
			t.Errorf("SplitName(%q) = %q, %q; want %q, %q", tt.name, pname, version, tt.pname, tt.version)
		}
	}
}

func TestCutOutput(t *testing.T) {
	for _, tt := range []struct{ version, rest, name string }{
		{"2.40-66-bin", "2.40-66", "bin"},
		{"2.40-66", "2.40-66", ""},
		{"1.0-lib32", "1.0", "lib32"},
		{"1.0-lib64", "1.0", "lib64"},
		{"1.0-lib6", "1.0-lib6", ""},
		{"1.0-beta", "1.0-beta", ""},
		{"1.0-Beta", "1.0-Beta", ""},
		{"1.0-unstable-2024-01-01", "1.0-unstable-2024-01-01", ""},
		{"1.0-beta-dev", "1.0-beta", "dev"},
		{"-bin", "-bin", ""},
		{"1-", "1-", ""},
		{"", "", ""},
	} {
		if rest, name := CutOutput(tt.version); rest != tt.rest || name != tt.name {
			t.Errorf("CutOutput(%q) = %q, %q; want %q, %q", tt.version, rest, name, tt.rest, tt.name)
		}
	}
}

// versions are compared with each other.
var versions = []string{
	"", "1", "1.0", "1.0.0", "01", "1.0pre", "1.0pre1", "1.0-pre", "1.0a", "1.0b", "1.0.1", "1.0-1", "1-0-1", "1..1", "2.3", "2.3a", "2.3.1",
	"2.3pre1", "2.3pre3", "2.3pre12", "2.3q", "2.40-66", "2.40-7", "2024-01-01", "20240101", "2147483647", "2147483648", "99999999999", "pre", "pre1",
	"x", "rc1", "6.12-rc1", "6.12", "6.12.1", "1.0_1", "1.0+git", "1.0~b", "-", ".", "-1", "+1", "_", "26.05.20260601.0000000", "26.05pre-git",
}

func TestCompareVersions(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"1.0", "2.3", -1}, {"2.1", "2.3", -1}, {"2.3", "2.3", 0}, {"2.5", "2.3", 1}, {"3.1", "2.3", 1},
		{"2.3.1", "2.3", 1}, {"2.3.1", "2.3a", 1}, {"2.3pre1", "2.3", -1}, {"2.3pre3", "2.3pre12", -1},
		{"2.3a", "2.3c", -1}, {"2.3pre1", "2.3c", -1}, {"2.3pre1", "2.3q", -1},
		{"", "", 0}, {"", "1", -1}, {"2147483647", "2147483646", 1},
		{"2147483648", "3", -1}, // no number any more, but a word
		{"2147483647", "3", 1},
	} {
		if got := CompareVersions(tt.a, tt.b); got != tt.want {
			t.Errorf("CompareVersions(%q, %q) = %d; want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestNamesOfNix compares all of it with Nix itself.
func TestNamesOfNix(t *testing.T) {
	imgtest.Need(t, "nix-instantiate")
	names := []string{"", "-", "a", "a-", "a-1", "a--1", "-1", "a-b-1.0-bin", "a-_", "a-=", "a-+1", "a-.1", "a-?", "a.b-1", "a-B-2", "a-1-b-2", "a-é"}
	type split struct{ Name, Version string }
	want := struct {
		Names    []split
		Versions [][]int
	}{}
	expression := fmt.Sprintf("let v = %s; in { Names = map (n: let p = builtins.parseDrvName n; in { Name = p.name; Version = p.version; }) %s; Versions = map (a: map (builtins.compareVersions a) v) v; }",
		nixList(versions), nixList(names))
	cmd := exec.Command("nix-instantiate", "--store", "dummy://", "--eval", "--strict", "--json", "--expr", expression)
	cmd.Env = append(cmd.Environ(), "HOME="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("nix-instantiate: %v\n%s", err, expression)
	}
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	got := want
	got.Names, got.Versions = nil, nil
	for _, n := range names {
		pname, version := SplitName(n)
		got.Names = append(got.Names, split{pname, version})
	}
	for _, a := range versions {
		var row []int
		for _, b := range versions {
			row = append(row, CompareVersions(a, b))
		}
		got.Versions = append(got.Versions, row)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Nix says otherwise (-want +got):\n%s", diff)
	}
}

// FuzzNames: a name is whole again when it is put together, and two versions have the
// reverse order the other way round.
func FuzzNames(f *testing.F) {
	for _, v := range versions {
		f.Add("hello-"+v, v)
	}
	f.Add("foo-1.0-bin", "1.0-lib32")
	f.Fuzz(func(t *testing.T, a, b string) {
		if pname, version := SplitName(a); pname != a && pname+"-"+version != a {
			t.Errorf("SplitName(%q) = %q, %q", a, pname, version)
		}
		if rest, name := CutOutput(b); name != "" && rest+"-"+name != b || name == "" && rest != b {
			t.Errorf("CutOutput(%q) = %q, %q", b, rest, name)
		}
		if c, d := CompareVersions(a, b), CompareVersions(b, a); c != -d || CompareVersions(a, a) != 0 {
			t.Errorf("CompareVersions(%q, %q) = %d, and %d the other way round", a, b, c, d)
		}
	})
}

func nixList(words []string) string {
	return `[ "` + strings.Join(words, `" "`) + `" ]`
}
