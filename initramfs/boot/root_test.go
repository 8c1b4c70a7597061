package boot

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestParseRoot(t *testing.T) {
	tests := []struct {
		name, in string
		want     Root
		err      string
	}{
		{"partuuid", "PARTUUID=ABCD-1", Root{"PARTUUID", "abcd-1"}, ""},
		{"uuid", "UUID=ABCD-1", Root{"UUID", "abcd-1"}, ""},
		{"quoted", `LABEL="My Disk"`, Root{"LABEL", "My Disk"}, ""},
		{"partlabel", "PARTLABEL=nixos", Root{"PARTLABEL", "nixos"}, ""},
		{"node", "/dev/nvme0n1p2", Root{"", "nvme0n1p2"}, ""},
		{"missing", "", Root{}, "root=: missing"},
		{"empty value", "UUID=", Root{}, "nothing behind UUID="},
		{"link of udev", "/dev/disk/by-label/x", Root{}, "made by udev"},
		{"lower case", "partuuid=x", Root{}, "expected PARTUUID="},
		{"number", "0801", Root{}, "expected PARTUUID="},
		{"folder", "/dev/", Root{}, "expected PARTUUID="},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseRoot(tt.in)
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("ParseRoot(%q) = %v, %v; want %v, %q", tt.in, got, err, tt.want, tt.err)
			}
			if err != nil && fault.HintOf(err) == "" {
				t.Errorf("ParseRoot(%q): no hint", tt.in)
			}
		})
	}
}

func TestSelect(t *testing.T) {
	vda2 := Device{Name: "vda2", Number: "254:2", PartUUID: "p1", PartLabel: "nixos", UUID: "u1", Label: "root"}
	clone := Device{Name: "sdb2", Number: "8:18", PartUUID: "p1", PartLabel: "other", UUID: "u1"}
	other := Device{Name: "vda1", Number: "254:1", PartUUID: "p0"}
	again := vda2
	again.Name = "again"
	tests := []struct {
		name, root string
		in         []Device
		want       string // path; "" means none
		err        string
	}{
		{"partuuid", "PARTUUID=P1", []Device{other, vda2}, "/dev/vda2", ""},
		{"uuid", "UUID=u1", []Device{vda2}, "/dev/vda2", ""},
		{"label", "LABEL=root", []Device{other, vda2}, "/dev/vda2", ""},
		{"partlabel", "PARTLABEL=nixos", []Device{clone, vda2}, "/dev/vda2", ""},
		{"node", "/dev/sdb2", []Device{clone, vda2}, "/dev/sdb2", ""},
		{"none", "PARTUUID=p2", []Device{other, vda2}, "", ""},
		{"two", "PARTUUID=p1", []Device{clone, vda2}, "", "/dev/sdb2 and /dev/vda2"},
		{"two file systems", "UUID=u1", []Device{clone, vda2}, "", "/dev/sdb2 and /dev/vda2"},
		{"one seen twice", "UUID=u1", []Device{again, vda2}, "/dev/again", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root, err := ParseRoot(tt.root)
			if err != nil {
				t.Fatal(err)
			}
			d, ok, err := root.Select(tt.in)
			if ok != (tt.want != "") || ok && d.Path() != tt.want {
				t.Errorf("Select = %v, %v; want %q", d, ok, tt.want)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Select error %v; want %q", err, tt.err)
			}
		})
	}
}
