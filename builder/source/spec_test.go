package source

import (
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, in string
		want     Spec
		err      string
	}{
		{"debian", "debian:trixie", Spec{Debian, "trixie"}, ""},
		{"archive", "tar:/srv/a b:c.tar.zst", Spec{Tar, "/srv/a b:c.tar.zst"}, ""},
		{"directory", "dir:.", Spec{Dir, "."}, ""},
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
