package ids

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// TestUUID checks a value that must never change, since images are rebuilt with
// it, and the version and variant of RFC 9562.
func TestUUID(t *testing.T) {
	u := Seed{}.UUID("btrfs")
	if got, want := u.String(), "eb0c16ce-566a-8ba6-9762-885308d1c924"; got != want {
		t.Errorf("UUID(btrfs) = %s; want %s", got, want)
	}
	if u[6]>>4 != 8 || u[8]>>6 != 2 {
		t.Errorf("UUID(btrfs) = %s; want version 8 and variant 2", u)
	}
	if (Seed{1}).UUID("btrfs") == u || (Seed{}).UUID("btrfs device") == u {
		t.Errorf("another seed or name gives %s too", u)
	}
	if u.IsZero() || !(UUID{}).IsZero() {
		t.Errorf("IsZero of %s and of the nil UUID are wrong", u)
	}
}

// TestParse reads seeds around the shortest and the longest.
func TestParse(t *testing.T) {
	long := strings.Repeat("ab", 32)
	tests := []struct{ in, want string }{
		{"", ""}, {"a", "a0" + strings.Repeat("00", 31)}, {"00", strings.Repeat("00", 32)}, {"ABC", "abc0" + strings.Repeat("00", 30)},
		{long[:63], long[:63] + "0"}, {long, long}, {long + "a", ""}, {long + "ab", ""}, {"xyz", ""}, {"0x12", ""},
	}
	for _, test := range tests {
		s, err := Parse(test.in)
		switch {
		case test.want == "":
			if fault.ClassOf(err) != fault.Usage || !strings.Contains(err.Error(), "expected 1 to 64 hexadecimal digits") {
				t.Errorf("Parse(%q): %v; want a usage error", test.in, err)
			}
		case err != nil || s.String() != test.want:
			t.Errorf("Parse(%q) = %s, %v; want %s", test.in, s, err, test.want)
		}
	}
}
