package plan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/source"
	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/profiles"
)

// TestSourceTakes holds what a profile accepts against what the source of a
// build does: a plan that can be made must not fail at the first step.
func TestSourceTakes(t *testing.T) {
	long, object := strings.Repeat("a", 128), "/nix/store/"+strings.Repeat("0", 32)
	tests := []struct {
		key string
		ok  []string
		bad []string
	}{
		{"source", []string{"debian:sid", "debian:trixie", "debian:" + long[:2], "debian:" + long[:32]},
			[]string{"debian:trixie-backports", "debian:Trixie", "debian:a", "debian:" + long[:33], "debian:13", "debian:"}},
		{"source", []string{"nix:" + object + "-x", "nix:" + object + "-" + strings.Repeat("a", 211), "nix:.#fox", "nix:/srv/flake?dir=x#fox", "nix:github:a/b#nixosConfigurations.\"a.b\""},
			[]string{"nix:", "nix:.", "nix:#fox", "nix:.#", "nix:-f#fox", "nix:" + object, "nix:" + object + "-", "nix:" + object + "-" + strings.Repeat("a", 212),
				"nix:" + object + "-x/init", "nix:" + object + "-x#fox", "nix:/nix/store/e" + object[len("/nix/store/")+1:] + "-x"}},
		{"packages", []string{"vim", "g++", "libc6.1", "0ad", long[:2], long},
			[]string{"vim-", "vim/sid", "vim=1", "Vim", "+vim", "v", long + "a", ""}},
		{"locale.lang", []string{"C", "POSIX", "C.UTF-8", "C.utf8", "de", "de_AT", "de_AT.UTF-8", "ast_ES", "de_DE@euro", "sr_RS.UTF-8@latin", "de@" + long[:16]},
			[]string{"POSIX.UTF-8", "C@euro", "C.UTF-8@x", "de_AT.ISO-8859-1", "d", "DE", "de_at", "de@" + long[:17], ""}},
	}
	for _, test := range tests {
		for i, in := range append(test.ok, test.bad...) {
			t.Run(test.key+"="+in, func(t *testing.T) {
				value := fmt.Sprintf("%q", in)
				if test.key == "packages" {
					value = "[" + value + "]"
				}
				want := i < len(test.ok)
				_, _, err := profiles.Load().Resolve("bandit-minimal", []strict.Setting{{Key: test.key, Value: value}})
				if (err == nil) != want {
					t.Errorf("the profile: %v; want ok = %v", err, want)
				}
				if err := sourceTakes(t, test.key, in); (err == nil) != want {
					t.Errorf("the source: %v; want ok = %v", err, want)
				}
			})
		}
	}
}

// sourceTakes asks the source, which looks at all that it is told before it
// misses the directory to work in.
func sourceTakes(t *testing.T, key, value string) error {
	t.Helper()
	text, o := "debian:trixie", source.Options{Epoch: DefaultEpoch}
	switch key {
	case "source":
		text = value
	case "packages":
		o.Packages = []string{value}
	default:
		o.Locales = []string{value}
	}
	spec, err := source.Parse(text)
	if err != nil {
		return err
	}
	if _, err = source.Open(t.Context(), spec, o); err != nil && strings.Contains(err.Error(), "needs a cache directory") {
		return nil
	}
	return err
}
