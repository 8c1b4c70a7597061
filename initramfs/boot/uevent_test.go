package boot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseUevent(t *testing.T) {
	tests := []struct {
		name, in string
		want     Uevent
		ok       bool
	}{
		{"block", "add@/devices/x/block/vda\x00ACTION=add\x00SUBSYSTEM=block\x00DEVNAME=vda\x00SEQNUM=1\x00", Uevent{"add", "block", "vda"}, true},
		{"no fields", "remove@/a", Uevent{Action: "remove"}, true},
		{"of udev", "libudev\x00\xfe\xed\xca\xfe", Uevent{}, false},
		{"empty", "", Uevent{}, false},
		{"relative", "add@devices", Uevent{}, false},
		{"no action", "@/devices", Uevent{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseUevent([]byte(tt.in))
			if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != tt.ok {
				t.Errorf("ParseUevent(%q), %v (-want +got):\n%s", tt.in, err, diff)
			}
		})
	}
}

func FuzzParseUevent(f *testing.F) {
	f.Add([]byte("add@/devices/x\x00SUBSYSTEM=block\x00DEVNAME=vda\x00"))
	f.Add([]byte("libudev\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if u, err := ParseUevent(b); err == nil && u.Action == "" {
			t.Errorf("ParseUevent(%q) has no action", b)
		}
	})
}

func TestKmsgText(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"record", "6,339,5140900,-;BTRFS info: x;y\n SUBSYSTEM=block\n", "BTRFS info: x;y"},
		{"no text", "6,1,2,-;", ""},
		{"no record", "garbage", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := kmsgText([]byte(tt.in)); got != tt.want {
				t.Errorf("kmsgText(%q) = %q; want %q", tt.in, got, tt.want)
			}
		})
	}
}

func FuzzKmsgText(f *testing.F) {
	f.Add([]byte("6,339,5140900,-;text\n KEY=v\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := kmsgText(b); len(got) >= len(b) && len(b) > 0 {
			t.Errorf("kmsgText(%q) = %q", b, got)
		}
	})
}

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
			if diff := cmp.Diff(tt.want, consoles(tt.in)); diff != "" {
				t.Errorf("consoles(%q) (-want +got):\n%s", tt.in, diff)
			}
		})
	}
}
