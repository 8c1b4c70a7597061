package fstab

import "testing"

// TestDevicePath: the names in udev's links, as udev 252 makes them.
func TestDevicePath(t *testing.T) {
	tests := []struct {
		name, in, want string
		tag            Tag
		value          string
	}{
		{"uuid", "UUID=12AB-34CD", "/dev/disk/by-uuid/12AB-34CD", UUID, "12AB-34CD"},
		{"partuuid", "PARTUUID=ab-12", "/dev/disk/by-partuuid/ab-12", PARTUUID, "ab-12"},
		{"path", "/dev/sda1", "/dev/sda1", "", ""},
		{"bind", "/persist/a=b", "/persist/a=b", "", ""},
		{"word", "tmpfs", "tmpfs", "", ""},
		{"other tag", "ID=x", "ID=x", "", ""},
		{"space", "LABEL=a b", `/dev/disk/by-label/a\x20b`, Label, "a b"},
		{"slash and backslash", `PARTLABEL=a/b\c`, `/dev/disk/by-partlabel/a\x2fb\x5cc`, PARTLABEL, `a/b\c`},
		{"allowed", "LABEL=aZ09#+-.:=@_", "/dev/disk/by-label/aZ09#+-.:=@_", Label, "aZ09#+-.:=@_"},
		{"beyond ASCII", "LABEL=Größe", "/dev/disk/by-label/Größe", Label, "Größe"},
		{"replacement character", "LABEL=\ufffd", "/dev/disk/by-label/\ufffd", Label, "\ufffd"},
		{"no UTF-8", "LABEL=\xff\x80", `/dev/disk/by-label/\xff\x80`, Label, "\xff\x80"},
		{"empty", "LABEL=", "/dev/disk/by-label/", Label, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := DevicePath(tt.in)
			if got != tt.want {
				t.Errorf("DevicePath(%q) = %q; want %q", tt.in, got, tt.want)
			}
			for _, what := range []string{tt.in, got} {
				if tag, value, ok := ParseDevice(what); tag != tt.tag || value != tt.value || ok != (tt.tag != "") {
					t.Errorf("ParseDevice(%q) = %s, %q, %v; want %s, %q", what, tag, value, ok, tt.tag, tt.value)
				}
			}
		})
	}
	if _, value, _ := ParseDevice(`/dev/disk/by-label/a\x2`); value != `a\x2` {
		t.Errorf("a cut escape reads %q", value)
	}
}
