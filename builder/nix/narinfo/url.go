package narinfo

import (
	"fmt"
	"net/url"
	"strings"
)

// checkURL refuses a URL that leaves its cache, or that means another file to a
// server, to a file system and to us. Nix takes any, even one of another host.
// Percent escapes stay as they are, but what they stand for is bound by the same
// rules. A query may follow the path: harmonia has one, a cache that serves a store
// as it is.
func checkURL(text string) error {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || strings.IndexByte(`\#`, c) >= 0 {
			return fmt.Errorf("%.300q: byte %#02x, expected a path of printable ASCII without space, backslash and fragment", text, c)
		}
	}
	path, query, asks := strings.Cut(text, "?")
	if asks && (query == "" || strings.Contains(query, "?")) {
		return fmt.Errorf("%.300q: query %q, expected something without a question mark", text, query)
	}
	elements := strings.Split(path, "/")
	if strings.Contains(elements[0], ":") {
		return fmt.Errorf("%.300q: has a scheme, expected a path in the cache", text)
	}
	for _, element := range elements {
		plain, err := url.PathUnescape(element)
		switch {
		case err != nil:
			return fmt.Errorf("%.300q: %w", text, err)
		case plain == "" || plain == "." || plain == "..":
			return fmt.Errorf("%.300q: path element %q, expected a path in the cache where no element is empty, dot or dot-dot", text, element)
		case strings.ContainsFunc(plain, escapedBadly):
			return fmt.Errorf("%.300q: path element %q hides a separator, a percent sign or a control character", text, element)
		}
	}
	return nil
}

// escapedBadly reports whether nothing honest hides r behind a percent escape:
// what would part a path, what a second decoder would decode again, and what no
// file name should have.
func escapedBadly(r rune) bool {
	return r < ' ' || r == 0x7f || strings.ContainsRune(`/\%`, r)
}
