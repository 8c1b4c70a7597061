package swapfile

import (
	"os"
	"strings"
	"testing"
)

const gib = 1 << 30

func TestSize(t *testing.T) {
	ram := func() (int64, string, error) { return 8*gib - 1, "memory modules", nil }
	tests := []struct {
		in     string
		want   int64
		source string
		err    string
	}{
		{"none", 0, "", ""},
		{"40960", 40960, "as the layout says", ""},
		{"40959", 40960, "as the layout says", ""},
		{"36864", 0, "", "36864 bytes, expected 40960 to 17592186044416"},
		{"17592186044416", 1 << 44, "as the layout says", ""},
		{"17592186044417", 0, "", "expected none, a number"},
		{"ram", 8 * gib, "RAM by memory modules", ""},
		{"ram+0", 8 * gib, "RAM by memory modules", ""},
		{"ram+4098", 8*gib + 8192, "RAM by memory modules", ""},
		{"ram+17592186044416", 0, "", "expected 40960 to"},
		{"ram+", 0, "", "expected none"}, {"", 0, "", "expected none"}, {"-40960", 0, "", "expected none"}, {"1GiB", 0, "", "expected none"}, {"ram+ram", 0, "", "expected none"},
	}
	for _, test := range tests {
		got, source, err := Size(test.in, ram)
		if got != test.want || source != test.source && err == nil || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("Size(%q) = %d, %q, %v; want %d, %q, %q", test.in, got, source, err, test.want, test.source, test.err)
		}
	}
	if _, _, err := Size("ram", func() (int64, string, error) { return 0, "", os.ErrPermission }); err == nil {
		t.Error("Size without knowing the RAM: no error")
	}
}
