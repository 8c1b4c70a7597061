package bls_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/loader/bls"
)

func TestConfEncode(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   bls.Conf
		want string
		err  string
	}{
		{"ours", bls.Conf{Timeout: 3, Default: "bandit.conf", ConsoleMode: "keep"}, "timeout 3\ndefault bandit.conf\neditor no\nconsole-mode keep\n", ""},
		{"zero", bls.Conf{}, "timeout 0\neditor no\n", ""},
		{"menu that stays", bls.Conf{Timeout: bls.MenuForce, Editor: true}, "timeout menu-force\neditor yes\n", ""},
		{"below", bls.Conf{Timeout: -2}, "", "timeout -2, expected -1 or more"},
		{"line break", bls.Conf{Default: "a\nb"}, "", `default "a\nb"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.in.Encode()
			wantError(t, err, tt.err)
			if string(got) != tt.want {
				t.Errorf("Encode = %q; want %q", got, tt.want)
			}
		})
	}
}

func TestParseConf(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     bls.Conf
		err      string
	}{
		{"ours", "timeout 3\ndefault x-*\neditor no\nconsole-mode keep\n", bls.Conf{Timeout: 3, Default: "x-*", ConsoleMode: "keep"}, ""},
		{"empty", "", bls.Conf{Editor: true}, ""},
		{"words", "timeout menu-force\neditor on", bls.Conf{Timeout: bls.MenuForce, Editor: true}, ""},
		{"hidden", "timeout menu-hidden\neditor 0", bls.Conf{}, ""},
		{"unknown key", "beep 1", bls.Conf{Editor: true}, ""},
		{"largest timeout", "timeout 2147483647", bls.Conf{Timeout: 1<<31 - 1, Editor: true}, ""},
		{"timeout too large", "timeout 2147483648", bls.Conf{}, `line 1: timeout "2147483648"`},
		{"timeout below", "timeout -1", bls.Conf{}, `line 1: timeout "-1", expected seconds`},
		{"no boolean", "#\neditor maybe", bls.Conf{}, `line 2: value "maybe", expected yes or no`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := bls.ParseConf([]byte(tt.in))
			wantError(t, err, tt.err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseConf:\n%s", diff)
			}
		})
	}
}

func FuzzParseConf(f *testing.F) {
	f.Add([]byte("timeout 3\ndefault x-*\neditor no\nconsole-mode keep\n"))
	f.Add([]byte("timeout menu-force\r\n#\neditor on"))
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := bls.ParseConf(in)
		if err != nil {
			return
		}
		text, err := c.Encode()
		if err != nil {
			t.Fatalf("Encode of %+v: %v", c, err)
		}
		if again, err := bls.ParseConf(text); err != nil || again != c {
			t.Errorf("read again: %+v, %v; want %+v", again, err, c)
		}
	})
}
