package source

import (
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

const system = "/nix/store/8imkijbx8qjiyl5bask7p14jr2idq8nr-nixos-system-fixture-26.05.20260601.0000000"

func TestParse(t *testing.T) {
	tests := []struct {
		name, in string
		want     Spec
		err      string
	}{
		{"debian", "debian:trixie", Spec{Debian, "trixie"}, ""},
		{"archive", "tar:/srv/a b:c.tar.zst", Spec{Tar, "/srv/a b:c.tar.zst"}, ""},
		{"directory", "dir:.", Spec{Dir, "."}, ""},
		{"cache", "cache:https://host/a?priority=3#" + system, Spec{Cache, "https://host/a?priority=3#" + system}, ""},
		{"cache in a folder", "cache:result#" + system, Spec{Cache, "result#" + system}, ""},
		{"cache of nothing", "cache:https://host", Spec{}, `source "cache:https://host": names no store path behind a #`},
		{"no cache", "cache:#" + system, Spec{}, `source "cache:#` + system + `": names no store path behind a #`},
		{"no store path", "cache:https://host#/nix/store/x", Spec{}, `source "cache:https://host#/nix/store/x": store path "/nix/store/x": expected 32 letters and digits of base 32, a dash, and a name of letters, digits and + - . _ ? =`},
		{"store path", "nix:" + system, Spec{Nix, system}, ""},
		{"flake", "nix:github:a/b?dir=c#fox", Spec{Nix, "github:a/b?dir=c#fox"}, ""},
		{"no object", "nix:/nix/store/x", Spec{}, `source "nix:/nix/store/x": store path "/nix/store/x": expected 32 letters and digits of base 32, a dash, and a name of letters, digits and + - . _ ? =`},
		{"no host", "nix:.", Spec{}, `source "nix:.": names no host behind a #`},
		{"empty host", "nix:.#", Spec{}, `source "nix:.#": names no host behind a #`},
		{"no flake", "nix:#fox", Spec{}, `source "nix:#fox": names no flake before the #`},
		{"option of Nix", "nix:--impure#fox", Spec{}, `source "nix:--impure#fox": names no flake before the #`},
		{"empty", "", Spec{}, "source: is missing"},
		{"no kind", "trixie", Spec{}, `source "trixie": names no kind`},
		{"no value", "debian:", Spec{}, `source "debian:": names nothing after the colon`},
		{"misspelt", "debain:trixie", Spec{}, `source "debain:trixie": unknown kind "debain"; did you mean debian?`},
		{"unknown", "oci:alpine", Spec{}, `source "oci:alpine": unknown kind "oci"`},
		{"pocket", "debian:trixie-backports", Spec{}, `source "debian:trixie-backports": suite "trixie-backports": expected 2 to 32 small letters`},
		{"option", "debian:--x", Spec{}, `source "debian:--x": suite "--x": expected 2 to 32 small letters`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.in)
			if got != tt.want || errorText(err) != tt.err {
				t.Errorf("Parse(%q) = %v, %q; want %v, %q", tt.in, got, errorText(err), tt.want, tt.err)
			}
			if err != nil && (fault.ClassOf(err) != fault.Config || fault.HintOf(err) == "") {
				t.Errorf("error is of class %d with hint %q; want class %d and a hint", fault.ClassOf(err), fault.HintOf(err), fault.Config)
			}
			if err == nil && got.String() != tt.in {
				t.Errorf("String() = %q; want %q", got, tt.in)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
