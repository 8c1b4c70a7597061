package fstab

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMountFlags(t *testing.T) {
	tests := []struct {
		name, in string
		flags    uintptr
		data     string
	}{
		{"none", "", 0, ""},
		{"defaults", "defaults", 0, ""},
		{"both", "ro,noatime,compress=zstd:3,subvol=@", unix.MS_RDONLY | unix.MS_NOATIME, "compress=zstd:3,subvol=@"},
		{"last wins", "ro,rw", 0, ""},
		{"atime", "noatime,relatime", unix.MS_RELATIME, ""},
		{"no symlinks", "symfollow,nosymfollow", unix.MS_NOSYMFOLLOW, ""},
		{"symlinks again", "nosymfollow,symfollow", 0, ""},
		{"of programs", "nofail,x-systemd.device-timeout=1,comment=a,_netdev,discard=async", 0, "discard=async"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if flags, data := MountFlags(strings.Split(tt.in, ",")); flags != tt.flags || data != tt.data {
				t.Errorf("MountFlags(%q) = %#x, %q; want %#x, %q", tt.in, flags, data, tt.flags, tt.data)
			}
		})
	}
}
