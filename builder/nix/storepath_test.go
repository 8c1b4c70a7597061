package nix

import (
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

const someHash = "3db9l1ax3rihl2jw1rgllmbgm43h3imm"

func TestParseStorePath(t *testing.T) {
	for _, text := range []string{
		"/nix/store/" + someHash + "-etc",
		"/nix/store/" + someHash + "-" + strings.Repeat("n", maxName),
		"/nix/store/" + someHash + "-a.b+c-d_e?f=G9",
	} {
		p, err := ParseStorePath(text)
		if err != nil || p.String() != text || p.Hash != someHash || p.IsZero() {
			t.Errorf("%s: %+v, %v", text, p, err)
		}
	}
	for _, text := range []string{
		"", "/", "/nix/store", "/nix/store/", "nix/store/" + someHash + "-etc", "/nix/store//" + someHash + "-etc",
		"/nix/store/" + someHash, "/nix/store/" + someHash + "-", "/nix/store/" + someHash[1:] + "-etc", "/nix/store/e" + someHash[1:] + "-etc",
		"/nix/store/" + someHash + "0-etc", "/nix/store/" + someHash + "-etc/passwd", "/nix/store/" + someHash + "-..", "/nix/store/" + someHash + "-e tc",
		"/nix/store/" + someHash + "-etc\n", "/nix/store/../" + someHash + "-etc", "/gnu/store/" + someHash + "-etc",
		"/nix/store/" + someHash + "-" + strings.Repeat("n", maxName+1),
	} {
		if p, err := ParseStorePath(text); fault.ClassOf(err) != fault.Input || !p.IsZero() {
			t.Errorf("%q: %+v, %v; expected an error of class input", text, p, err)
		}
	}
}

// TestCompare: the order is that of the texts, which is the one in a directory.
func TestCompare(t *testing.T) {
	paths := []StorePath{{"b", "a"}, {"a", "b"}, {"a", "a-b"}, {"a", "a"}}
	slices.SortFunc(paths, StorePath.Compare)
	var got []string
	for _, p := range paths {
		got = append(got, p.Base())
	}
	if !slices.IsSorted(got) {
		t.Errorf("not sorted: %q", got)
	}
}
