package source

import (
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/strict"
)

// Kind is a kind of source, as the word before the colon.
type Kind string

// The kinds of source.
const (
	Debian Kind = "debian"
	Tar    Kind = "tar"
	Dir    Kind = "dir"
	Cache  Kind = "cache" // a binary cache of Nix
	Nix    Kind = "nix"   // a store of Nix on this host
)

const specHint = "name the source as debian:SUITE, tar:FILE, dir:PATH, nix:/nix/store/HASH-NAME, nix:FLAKE#HOST or cache:URL#/nix/store/HASH-NAME"

// Spec names a source.
type Spec struct {
	Kind  Kind
	Value string // the suite, or the path as it was written; of a cache URL#STOREPATH, of Nix STOREPATH or FLAKE#ATTRIBUTE
}

// String returns the text that Parse reads.
func (s Spec) String() string { return string(s.Kind) + ":" + s.Value }

// validSuite is the form of a suite or codename of a Debian archive. A suite
// such as trixie-backports is none: it holds no whole system.
var validSuite = regexp.MustCompile(`^[a-z]{2,32}$`)

// Parse reads KIND:VALUE. Errors are of class fault.Config.
func Parse(text string) (Spec, error) {
	kind, value, ok := strings.Cut(text, ":")
	switch {
	case text == "":
		return Spec{}, fault.New(fault.Config, specHint, "source: is missing")
	case !ok:
		return Spec{}, fault.New(fault.Config, specHint, "source %q: names no kind", text)
	case value == "":
		return Spec{}, fault.New(fault.Config, specHint, "source %q: names nothing after the colon", text)
	}
	s := Spec{Kind(kind), value}
	switch s.Kind {
	case Tar, Dir:
		return s, nil
	case Cache:
		if _, _, err := s.cache(); err != nil {
			return Spec{}, err
		}
		return s, nil
	case Nix:
		if _, _, err := s.nix(); err != nil {
			return Spec{}, err
		}
		return s, nil
	case Debian:
		if !validSuite.MatchString(value) {
			return Spec{}, fault.New(fault.Config, "name a release such as debian:trixie", "source %q: suite %q: expected 2 to 32 small letters", text, value)
		}
		return s, nil
	}
	kinds := []string{string(Debian), string(Tar), string(Dir), string(Cache), string(Nix)}
	return Spec{}, fault.New(fault.Config, specHint, "source %q: unknown kind %q%s", text, kind, strict.DidYouMean(kind, kinds))
}

// cache returns the URL of the cache that the source names, and the object in it.
func (s Spec) cache() (address string, root nix.StorePath, err error) {
	const hint = "name it as cache:URL#/nix/store/HASH-NAME, with the toplevel of a system: nix path-info .#nixosConfigurations.HOST.config.system.build.toplevel"
	address, object, ok := strings.Cut(s.Value, "#")
	if !ok || address == "" {
		return "", root, fault.New(fault.Config, hint, "source %q: names no store path behind a #", s)
	}
	if root, err = nix.ParseStorePath(object); err != nil {
		return "", root, fault.New(fault.Config, hint, "source %q: %w", s, err)
	}
	if !strings.Contains(address, "://") {
		dir, err := filepath.Abs(address)
		return (&url.URL{Scheme: "file", Path: dir}).String(), root, err
	}
	return address, root, nil
}
