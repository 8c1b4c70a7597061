package source

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func sumOf(c string) string { return strings.Repeat(c, 64) }

func sampleLock() *Lock {
	return &Lock{Version: LockVersion, Source: "debian:trixie", Architecture: "amd64", Packages: []Package{
		{Name: "apt", Version: "3.0.4", Architecture: "amd64", SHA256: sumOf("a")},
		{Name: "g++", Version: "4:14.2.0-1", Architecture: "amd64", SHA256: sumOf("b")},
		{Name: "tzdata", Version: "2025b-4+deb13u1", Architecture: "all", SHA256: sumOf("c")},
	}}
}

func TestLockEncode(t *testing.T) {
	l := sampleLock()
	described := sampleLock()
	slices.Reverse(described.Packages)
	described.Packages[0].Licenses, described.Packages[0].Homepage = []string{"ISC"}, "https://example.org/"
	const want = `{
  "version": 1,
  "source": "debian:trixie",
  "architecture": "amd64",
  "packages": [
    {
      "name": "apt",
      "version": "3.0.4",
      "architecture": "amd64",
      "sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    },
`
	for _, in := range []*Lock{l, described} {
		data, err := in.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(data), want) || !strings.HasSuffix(string(data), "]\n}\n") {
			t.Errorf("Encode gives\n%s\nwant it to begin\n%s", data, want)
		}
		back, err := DecodeLock("x.lock", data)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(l, back); d != "" {
			t.Errorf("read back (-want +got):\n%s", d)
		}
	}
}

func TestDecodeLockRefuses(t *testing.T) {
	valid, err := sampleLock().Encode()
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, by string) string { return strings.Replace(string(valid), old, by, 1) }
	tests := []struct{ name, in, want string }{
		{"empty", "", "x.lock: EOF"},
		{"no JSON", "packages = 1", "x.lock: invalid character 'p' looking for beginning of value"},
		{"other version", replace(`"version": 1`, `"version": 2`), "x.lock: version 2 of lock files; this program knows 1"},
		{"unknown field", replace(`"source"`, `"sauce"`), `x.lock: json: unknown field "sauce"`},
		{"more behind", string(valid) + "{}", "x.lock: there is more behind the lock"},
		{"source without packages", replace("debian:trixie", "tar:x"), `x.lock: source "tar:x": expected one that has packages, such as debian:trixie`},
		{"architecture", replace(`"amd64"`, `"AMD"`), `x.lock: architecture "AMD": not a name of one`},
		{"none", `{"version":1,"source":"debian:trixie","architecture":"amd64","packages":[]}`, "x.lock: 0 packages, expected 1 to 200000"},
		{"name", replace(`"apt"`, `"a;b"`), `x.lock: package "a;b": not a name of a Debian package`},
		{"hostile version", replace("3.0.4", "$(id)"), `x.lock: package apt: version "$(id)": not a Debian version`},
		{"digest", replace(sumOf("a"), sumOf("a")[1:]), `x.lock: package apt: sha256 "` + sumOf("a")[1:] + `": expected 64 hexadecimal digits`},
		{"order", replace(`"apt"`, `"zsh"`), "x.lock: package g++: is out of order or occurs twice"},
		{"twice", replace(`"g++"`, `"apt"`), "x.lock: package apt: is out of order or occurs twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := DecodeLock("x.lock", []byte(tt.in))
			if errorText(err) != tt.want {
				t.Errorf("error %q; want %q", errorText(err), tt.want)
			}
			if err != nil && (fault.ClassOf(err) != fault.Input || fault.HintOf(err) == "") {
				t.Errorf("class %d, hint %q; want class %d and a hint", fault.ClassOf(err), fault.HintOf(err), fault.Input)
			}
		})
	}
	if _, err := DecodeLock("x.lock", make([]byte, maxLock+1)); err == nil || !strings.Contains(err.Error(), "has 67108865 bytes, expected at most 67108864") {
		t.Errorf("a file above the limit: %v", err)
	}
}

func TestLockDrift(t *testing.T) {
	change := func(f func([]Package) []Package) []Package { return f(sampleLock().Packages) }
	tests := []struct {
		name  string
		found []Package
		want  string
	}{
		{"the same", change(func(p []Package) []Package { return p }), ""},
		{"newer", change(func(p []Package) []Package { p[1].Version = "4:14.3"; return p }),
			"debian:trixie: 1 packages differ from the lock:\n  g++ amd64: locked 4:14.2.0-1, found 4:14.3"},
		{"another file", change(func(p []Package) []Package { p[2].SHA256 = sumOf("d"); return p }),
			"debian:trixie: 1 packages differ from the lock:\n  tzdata all: 2025b-4+deb13u1: locked SHA-256 " + sumOf("c") + ", found " + sumOf("d")},
		{"first gone, one new", change(func(p []Package) []Package {
			return append(p[1:], Package{Name: "zsh", Version: "5.9", Architecture: "amd64"})
		}), "debian:trixie: 2 packages differ from the lock:\n  apt amd64: locked 3.0.4, found none\n  zsh amd64: not locked, found 5.9"},
		{"last gone, one new before", change(func(p []Package) []Package {
			return append([]Package{{Name: "aa", Version: "1", Architecture: "all"}}, p[:2]...)
		}), "debian:trixie: 2 packages differ from the lock:\n  aa all: not locked, found 1\n  tzdata all: locked 2025b-4+deb13u1, found none"},
		{"another architecture", change(func(p []Package) []Package { p[2].Architecture = "amd64"; return p }),
			"debian:trixie: 2 packages differ from the lock:\n  tzdata all: locked 2025b-4+deb13u1, found none\n  tzdata amd64: not locked, found 2025b-4+deb13u1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := sampleLock().drift(tt.found)
			if errorText(err) != tt.want {
				t.Errorf("drift:\n%s\nwant:\n%s", errorText(err), tt.want)
			}
			if err != nil && (fault.ClassOf(err) != fault.Input || fault.HintOf(err) == "") {
				t.Errorf("class %d, hint %q; want class %d and a hint", fault.ClassOf(err), fault.HintOf(err), fault.Input)
			}
		})
	}
}

func TestLockDriftLists(t *testing.T) {
	for _, n := range []int{maxListed - 1, maxListed, maxListed + 1} {
		l := sampleLock()
		l.Packages = nil
		for i := range n {
			l.Packages = append(l.Packages, Package{Name: fmt.Sprintf("p%02d", i), Version: "1", Architecture: "all"})
		}
		text := errorText(l.drift(nil))
		if got, want := strings.Count(text, "found none"), min(n, maxListed); got != want {
			t.Errorf("%d differences: %d listed; want %d", n, got, want)
		}
		if got, want := strings.Contains(text, "and 1 more"), n > maxListed; got != want {
			t.Errorf("%d differences: says that there are more: %v; want %v", n, got, want)
		}
	}
}

func FuzzDecodeLock(f *testing.F) {
	valid, err := sampleLock().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valid)
	f.Add(valid[:len(valid)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := DecodeLock("x.lock", data)
		if err != nil {
			return
		}
		again, err := l.Encode()
		if err != nil {
			t.Fatalf("a lock that was read cannot be written: %v", err)
		}
		if back, err := DecodeLock("x.lock", again); err != nil || back.drift(l.Packages) != nil {
			t.Fatalf("read back: %v, %v", err, back.drift(l.Packages))
		}
	})
}
