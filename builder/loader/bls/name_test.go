package bls_test

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/loader/bls"
)

func TestFileName(t *testing.T) {
	for _, tt := range []struct{ name, in, want, err string }{
		{"plain", "bandit-factory", "bandit-factory.conf", ""},
		{"plus of a Debian kernel", "bandit-6.12.1+deb13-amd64", "bandit-6.12.1+deb13-amd64.conf", ""},
		{"count of boots", "bandit+3", "", "read as a count of boots"},
		{"count of boots and failures", "bandit+3-1", "", "read as a count of boots"},
		{"empty", "", "", `entry "": expected letters`},
		{"slash", "a/b", "", `entry "a/b": expected letters`},
		{"space", "a b", "", `entry "a b": expected letters`},
		{"letter beyond ASCII", "ä", "", "expected letters"},
		{"one below the longest", strings.Repeat("a", 249), strings.Repeat("a", 249) + ".conf", ""},
		{"longest", strings.Repeat("a", 250), strings.Repeat("a", 250) + ".conf", ""},
		{"too long", strings.Repeat("a", 251), "", "251 bytes, expected at most 250"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := bls.FileName(tt.in)
			wantError(t, err, tt.err)
			if got != tt.want {
				t.Errorf("FileName(%q) = %q; want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestParseName(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		ok       bool
	}{
		{"bandit.conf", "bandit", true},
		{"bandit+3.conf", "bandit", true},
		{"bandit+2-1.conf", "bandit", true},
		{"bandit-6.12.1+deb13-amd64.conf", "bandit-6.12.1+deb13-amd64", true},
		{"+1.conf", "+1", true},
		{"bandit", "", false},
		{".conf", "", false},
		{"a b.conf", "", false},
	} {
		if got, ok := bls.ParseName(tt.in); ok != tt.ok || ok && got != tt.want {
			t.Errorf("ParseName(%q) = %q, %v; want %q, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}
