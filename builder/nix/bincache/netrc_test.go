package bincache

import (
	"strings"
	"testing"
)

func TestFindNetrc(t *testing.T) {
	me := credentials{"me", "secret"}
	tests := []struct {
		name, text string
		want       credentials
	}{
		{"one line", "machine host login me password secret", me},
		{"lines", "machine host\n\tlogin me\n\tpassword secret\n", me},
		{"second", "machine other login x password y machine host login me password secret", me},
		{"first of two", "machine host login me password secret\nmachine host login x password y", me},
		{"default", "machine other login x password y\ndefault login me password secret", me},
		{"default in front", "default login x password y\nmachine host login me password secret", me},
		{"first default", "default login me password secret default login x password y", me},
		{"comments", "# machine host login x password y\n  # more\nmachine host\n# a\n# b\nlogin me\n#c\npassword secret", me},
		{"account", "machine host account a login me password secret", me},
		{"quoted", `machine host login "me" password "secret"`, me},
		{"quotes inside", `machine host login "a b" password "\"\\#"`, credentials{"a b", `"\#`}},
		{"words of the format", "machine host login default password machine", credentials{"default", "machine"}},
		{"hash inside", "machine host login a#b password #c", credentials{"a#b", "#c"}},
		{"macro", "macdef init\nmachine host login x password y\n\nmachine host login me password secret", me},
		{"macro at the end", "machine host login me password secret macdef init\npassword x\n", me},
		{"windows", "machine host\r\nlogin me\r\npassword secret\r\n", me},
		{"login alone", "machine host login me", credentials{"me", ""}},
		{"nothing", "", credentials{}},
		{"other", "machine other login x password y", credentials{}},
		{"capitals", "machine HOST login me password secret", me},
		{"part of the name", "machine host.example login x password y machine hos login x", credentials{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := findNetrc(tt.text, "host"); err != nil || got != tt.want {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestFindNetrcErrors(t *testing.T) {
	for text, want := range map[string]string{
		"machine":                        "line 1: machine of nothing",
		"machine host\nlogin":            "line 2: login of nothing",
		"login me":                       "line 1: login before any machine",
		"machine host secret me":         "line 1: expected machine, default",
		"machine host login me secret":   "line 1: a word of nothing",
		"machine host password \"secret": "line 1: a quote that does not end",
	} {
		_, err := findNetrc(text, "host")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

func FuzzNetrc(f *testing.F) {
	f.Add("machine host login me password secret")
	f.Add("default login \"a\\\" password b\nmacdef x\n\n# c")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := findNetrc(text, "host")
		if err != nil && (c != credentials{}) && c.login == "" && c.password == "" {
			t.Errorf("%+v with %v", c, err)
		}
	})
}
