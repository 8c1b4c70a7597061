package terminal

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConsoles(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"both", "tty0 ttyS0", []string{"/dev/tty0", "/dev/ttyS0"}},
		{"none", "", []string{"/dev/console"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, nodes(tt.in)); diff != "" {
				t.Errorf("nodes(%q) (-want +got):\n%s", tt.in, diff)
			}
		})
	}
}

func TestType(t *testing.T) {
	for node, want := range map[string]string{"/dev/tty0": "linux", "/dev/tty12": "linux", "/dev/ttyS0": "vt220", "/dev/ttyAMA0": "vt220", "/dev/hvc0": "vt220", "/dev/console": "vt220"} {
		if got := Type(node); got != want {
			t.Errorf("Type(%q) = %q; want %q", node, got, want)
		}
	}
}
