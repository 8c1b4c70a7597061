package installed

import (
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest/nixcache"
)

func TestWords(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{" \n", nil},
		{"a", []string{"a"}},
		{" a  b\tc\n", []string{"a", "b", "c"}},
		{`a="b c" d`, []string{`a="b c"`, "d"}},
		{`"a b`, []string{`"a b`}},
		{`"" x`, []string{`""`, "x"}},
	} {
		if got := words(tt.in); !slices.Equal(got, tt.want) {
			t.Errorf("words(%q) = %q; want %q", tt.in, got, tt.want)
		}
	}
}

// FuzzWords: nothing but space between words is lost.
func FuzzWords(f *testing.F) {
	for _, seed := range []string{"", "a  b", `a="b c" "d`, " \n\t\r", "é\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		rest := line
		for _, w := range words(line) {
			before, after, ok := strings.Cut(rest, w)
			if w == "" || !ok || strings.Trim(before, " \t\n\r") != "" {
				t.Fatalf("words(%q): word %q, of %q", line, w, rest)
			}
			rest = after
		}
		if strings.Trim(rest, " \t\n\r") != "" {
			t.Fatalf("words(%q): %q is left over", line, rest)
		}
	})
}

func TestWithout(t *testing.T) {
	top := nixcache.Path("nixos-system-fox-1").String()
	for _, tt := range []struct{ in, others, want string }{
		{"", "", ""},
		{"root=X init=" + top + "/init quiet quiet a", "quiet loglevel=4", "root=X quiet a"},
		{"init=/bin/sh quiet", "", "init=/bin/sh quiet"},
	} {
		if got := strings.Join(without(words(tt.in), words(tt.others)), " "); got != tt.want {
			t.Errorf("without(%q, %q) = %q; want %q", tt.in, tt.others, got, tt.want)
		}
	}
	for in, want := range map[string]string{
		"init=" + top + "/init": top, "quiet init=" + top + "/init": top,
		"init=/bin/sh": "", "init=" + top: "", "init=": "", "": "", "xinit=" + top + "/init": "",
	} {
		if got, ok := toplevelOf(words(in)); got != want || ok != (want != "") {
			t.Errorf("toplevelOf(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
}

func TestPrettyName(t *testing.T) {
	for in, want := range map[string]string{
		"ID=x\nPRETTY_NAME=\"Debian 13\"\n": "Debian 13", "PRETTY_NAME='A'": "A", "PRETTY_NAME=A": "A", "NAME=A": "", "": "",
	} {
		if got := prettyName(in); got != want {
			t.Errorf("prettyName(%q) = %q; want %q", in, got, want)
		}
	}
}
