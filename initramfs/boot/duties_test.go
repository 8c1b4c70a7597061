package boot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOfDuties(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     Cmdline
		ignored  bool
	}{
		{"of an entry", "mkimage.root=PARTUUID=ab init=/x root=fstab rootflags=x rootfstype=ext4 ro resume=/dev/x mkimage.switch=7f noresume",
			Cmdline{Root: "PARTUUID=ab", Init: "/x", Resume: "/dev/x", Switch: "7f", NoResume: true, Timeout: DefaultTimeout}, false},
		{"factory", "mkimage.factory", Cmdline{Timeout: DefaultTimeout}, true},
		{"install", "mkimage.install", Cmdline{Timeout: DefaultTimeout}, true},
		{"rescue", "mkimage.rescue", Cmdline{Timeout: DefaultTimeout}, true},
		{"shell", "mkimage.shell", Cmdline{Timeout: DefaultTimeout}, true},
		{"the system before", "mkimage.back=7f", Cmdline{Timeout: DefaultTimeout}, true},
		{"another subvolume", "mkimage.subvol=@b", Cmdline{Timeout: DefaultTimeout}, true},
	} {
		c, err := ParseCmdline(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		got, ignored := ofDuties(c)
		if diff := cmp.Diff(tt.want, got); diff != "" || ignored != tt.ignored {
			t.Errorf("%s: ignored %v, want %v (-want +got):\n%s", tt.name, ignored, tt.ignored, diff)
		}
	}
}
