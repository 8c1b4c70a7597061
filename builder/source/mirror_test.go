package source

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestPickMirrors(t *testing.T) {
	public := Mirrors{publicArchive, publicSecurity}
	tests := []struct {
		name  string
		lines []string
		want  Mirrors
	}{
		{"no apt", nil, public},
		{"both", []string{"Debian|main|http://m.example/x", "Debian-Security|main|http://s.example/y"}, Mirrors{"http://m.example/x", "http://s.example/y"}},
		{"first wins", []string{"Debian|main|http://one.example/debian", "Debian|main|http://two.example/debian"}, Mirrors{"http://one.example/debian", publicSecurity}},
		{"others are passed over", []string{"Node|main|https://node.example/debian", "Debian|contrib|http://c.example/debian", "Debian Backports|main|http://b.example/debian", "x"}, public},
		{"not fetched yet", []string{"|main|http://m.example/pub/debian", "$(LABEL)|main|http://s.example/debian-security/", "|main|http://n.example/node"},
			Mirrors{"http://m.example/pub/debian", "http://s.example/debian-security/"}},
		{"no URL", []string{"Debian|main|cdrom:[Debian 13]/", "Debian|main|file:/srv/debian"}, Mirrors{"file:/srv/debian", publicSecurity}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := pickMirrors(strings.Join(tt.lines, "\n")); got != tt.want {
				t.Errorf("pickMirrors = %v; want %v", got, tt.want)
			}
		})
	}
}

func TestMirrorsCheck(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"none", "", ""},
		{"public", publicArchive, ""},
		{"with a port", "http://127.0.0.1:3142/debian/", ""},
		{"directory", "file:///srv/debian", ""},
		{"scheme", "ftp://x.example/debian", `mirror "ftp://x.example/debian": expected http, https or file, got "ftp"`},
		{"path", "/srv/debian", `mirror "/srv/debian": expected http, https or file, got ""`},
		{"no host", "http:///debian", `mirror "http:///debian": names no archive`},
		{"option", "http://x.example/[trusted=yes]", `mirror "http://x.example/[trusted=yes]": holds blanks or brackets`},
		{"two words", "http://x.example/debian sid", `mirror "http://x.example/debian sid": holds blanks or brackets`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Mirrors{Security: tt.in}.check()
			if errorText(err) != tt.want || err != nil && fault.ClassOf(err) != fault.Config {
				t.Errorf("check(%q) = %v; want %q", tt.in, err, tt.want)
			}
		})
	}
}

func TestSourceLines(t *testing.T) {
	m := Mirrors{"http://m/d", "http://s/d"}
	if got := strings.Join(m.sourceLines("sid"), "\n"); got != "deb http://m/d sid main" {
		t.Errorf("sid: %q", got)
	}
	if got, want := strings.Join(m.sourceLines("trixie"), "\n"), "deb http://m/d trixie main\ndeb http://m/d trixie-updates main\ndeb http://s/d trixie-security main"; got != want {
		t.Errorf("trixie: %q; want %q", got, want)
	}
}
