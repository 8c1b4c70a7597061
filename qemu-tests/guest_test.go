package qemutests

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestHopeless(t *testing.T) {
	for _, tt := range []struct {
		name, console, want string
		class               fault.Class
	}{
		{"nothing yet", "Linux version 6.12\n", "", 0},
		{"new enough", "[    4.1] systemd[1]: systemd 256.1-1 running in system mode (+PAM)\n", "", 0},
		{"half a line", "[    4.1] systemd[1]: systemd 2", "", 0},
		{"too old", "[    4.1] systemd[1]: systemd 255.4 running in system mode (+PAM)\n", "the image has systemd 255, expected at least 256", fault.Input},
		{"panic", "x\n[    4.1] Kernel panic - not syncing: VFS: no root\nmore\n", "test agent: Kernel panic - not syncing: VFS: no root", fault.Internal},
		{"no version", "systemd[1]: systemd 99999999999999999999999 running\n", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			vm := &VM{Console: newConsole(nil)}
			vm.Console.add([]byte(tt.console))
			err := vm.hopeless()
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("hopeless: %v; want hope", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || fault.ClassOf(err) != tt.class):
				t.Errorf("hopeless: %v; want %q of class %d", err, tt.want, tt.class)
			}
		})
	}
}
