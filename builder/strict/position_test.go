package strict

import (
	"slices"
	"strings"
	"testing"
)

func TestKeys(t *testing.T) {
	tests := []struct {
		name, got, want string
	}{
		{"join to nothing", Join("", "a"), "a"},
		{"join", Join("a.b", "c"), "a.b.c"},
		{"join a name", Join("subvolumes", "@/var"), "subvolumes.@/var"},
		{"join what needs quotes", Join("a", "b.c"), `a."b.c"`},
		{"join nothing", Join("a", ""), `a.""`},
		{"index", Index("a.b", 3), "a.b[3]"},
		{"parent", parent("a.b.c"), "a.b"},
		{"parent of the first", parent("a"), ""},
		{"parent of an element", parent("a.b[10]"), "a.b"},
		{"parent of quotes", parent(`a."b.c"`), "a"},
		{"parent of quotes with brackets", parent(`a."b[1]"`), "a"},
		{"parent of nothing", parent(""), ""},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("%s: %s; want %s", test.name, test.got, test.want)
		}
	}
}

func TestSplitKey(t *testing.T) {
	tests := []struct {
		in   string
		want []string // nil means an error
	}{
		{"a", []string{"a"}},
		{"a.b", []string{"a", "b"}},
		{`a."b.c".d`, []string{"a", `"b.c"`, "d"}},
		{`"a"`, []string{`"a"`}},
		{"a..b", []string{"a", "", "b"}},
		{"", []string{""}},
		{`a."b`, nil},
		{`"a"b`, nil},
	}
	for _, test := range tests {
		got, err := splitKey(test.in)
		if !slices.Equal(got, test.want) || (err == nil) != (test.want != nil) {
			t.Errorf("splitKey(%q) = %q, %v; want %q", test.in, got, err, test.want)
		}
	}
}

func TestPositionString(t *testing.T) {
	tests := []struct {
		in   Position
		want string
	}{
		{Position{"a/f.toml", 3, 14}, "a/f.toml:3:14"},
		{Position{File: "--set"}, "--set"},
		{Position{}, ""},
	}
	for _, test := range tests {
		if got := test.in.String(); got != test.want || test.in.IsZero() != (test.want == "") {
			t.Errorf("String() = %q, IsZero() = %v; want %q", got, test.in.IsZero(), test.want)
		}
	}
}

func TestOrigins(t *testing.T) {
	in := "text = 'x'\nwords = ['a',\n 'b']\n[inner.depth]\nwords = ['c']\n[[items]]\nname = 'n'\ncount = 1\n"
	var s sample
	o, err := Decode("f", []byte(in), &s)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		key          string
		line, column int
	}{
		{"text", 1, 1},
		{"words", 2, 1},
		{"words[0]", 2, 10},
		{"words[1]", 3, 2},
		{"words[2]", 2, 1}, // not there: the list
		{"inner", 4, 2},
		{"inner.depth.words[0]", 5, 10},
		{"inner.text", 4, 2}, // not set: the table
		{"items.n", 6, 3},
		{"items.n.count", 8, 1},
		{"items.n.words", 6, 3},
		{"flag", 0, 0}, // not set: the file
	}
	for _, test := range tests {
		if got, want := o.Of(test.key), (Position{"f", test.line, test.column}); got != want {
			t.Errorf("Of(%q) = %v; want %v", test.key, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"text", "timeout", "password_file", "tmpfs_root", "debug"}
	tests := []struct{ in, want string }{
		{"text", "text"},
		{"txet", "text"},
		{"tex", "text"},
		{"timeoutt", "timeout"},
		{"tmieuot", "timeout"},
		{"xxxxout", ""},
		{"pasword", "password_file"},
		{"tmpfs", "tmpfs_root"},
		{"", ""},
		{"zzz", ""},
	}
	for _, test := range tests {
		if got := Nearest(test.in, names); got != test.want {
			t.Errorf("Nearest(%q) = %q; want %q", test.in, got, test.want)
		}
	}
	if got := Nearest("pasword", names[2:]); got != "password_file" {
		t.Errorf("the first of the names is not found by its first word, but %q", got)
	}
	if got := Nearest("tzxt", []string{"text", "taxt"}); got != "text" {
		t.Errorf("of two that are as near Nearest gives %q; want the first", got)
	}
	for n := maxNearest - 1; n <= maxNearest+1; n++ {
		long := strings.Repeat("x", n)
		if got := Nearest("y"+long[1:], []string{long}); (got == long) != (n <= maxNearest) {
			t.Errorf("a name of %d letters: %q", n, got)
		}
		if got := Nearest(long[1:], []string{long}); (got == long) != (n <= maxNearest) {
			t.Errorf("a name of %d letters for one less: %q", n, got)
		}
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "ac", 1},
		{"abc", "abxc", 1}, {"abc", "bac", 1}, {"kitten", "sitting", 3}, {"ä", "a", 1}, {"ca", "abc", 3},
	}
	for _, test := range tests {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("distance(%q, %q) = %d; want %d", test.a, test.b, got, test.want)
		}
	}
}
