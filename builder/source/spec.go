package source

import (
	"regexp"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/strict"
)

// Kind is a kind of source, as the word before the colon.
type Kind string

// The kinds of source.
const (
	Debian Kind = "debian"
	Tar    Kind = "tar"
	Dir    Kind = "dir"
)

const specHint = "name the source as debian:SUITE, tar:FILE or dir:PATH"

// Spec names a source.
type Spec struct {
	Kind  Kind
	Value string // the suite, or the path as it was written
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
	case Debian:
		if !validSuite.MatchString(value) {
			return Spec{}, fault.New(fault.Config, "name a release such as debian:trixie", "source %q: suite %q: expected 2 to 32 small letters", text, value)
		}
		return s, nil
	}
	kinds := []string{string(Debian), string(Tar), string(Dir)}
	return Spec{}, fault.New(fault.Config, specHint, "source %q: unknown kind %q%s", text, kind, strict.DidYouMean(kind, kinds))
}
