package terminal

import (
	"slices"
	"testing"
)

func TestIsScreen(t *testing.T) {
	var got []string
	for _, node := range []string{"/dev/tty0", "/dev/tty", "/dev/tty12", "/dev/ttyS0", "/dev/console", "/dev/hvc0"} {
		if (&Terminal{Node: node}).IsScreen() {
			got = append(got, node)
		}
	}
	if !slices.Equal(got, []string{"/dev/tty0", "/dev/tty", "/dev/tty12"}) {
		t.Errorf("screens %q", got)
	}
}
