package uevent

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, in string
		want     Event
		ok       bool
	}{
		{"block", "add@/devices/x/block/vda\x00ACTION=add\x00SUBSYSTEM=block\x00DEVNAME=vda\x00SEQNUM=1\x00", Event{Action: "add", Subsystem: "block", DevName: "vda"}, true},
		{"of a driver", "add@/devices/x\x00SUBSYSTEM=pci\x00MODALIAS=pci:v1d2\x00", Event{Action: "add", Subsystem: "pci", Modalias: "pci:v1d2"}, true},
		{"no fields", "remove@/a", Event{Action: "remove"}, true},
		{"of udev", "libudev\x00\xfe\xed\xca\xfe", Event{}, false},
		{"empty", "", Event{}, false},
		{"relative", "add@devices", Event{}, false},
		{"no action", "@/devices", Event{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.in))
			if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != tt.ok {
				t.Errorf("Parse(%q), %v (-want +got):\n%s", tt.in, err, diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("add@/devices/x\x00SUBSYSTEM=block\x00DEVNAME=vda\x00"))
	f.Add([]byte("libudev\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if u, err := Parse(b); err == nil && u.Action == "" {
			t.Errorf("Parse(%q) has no action", b)
		}
	})
}
