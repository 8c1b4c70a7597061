package bootspec_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// extension is a document with what it says to nixos-init.
func extension(fields string) string {
	return `{"org.nixos.nixos-init.v1": {` + fields + `}, "other": 1}`
}

// wholeExtension has all that is read, and more.
const wholeExtension = `"firmware": "` + linux + `/lib/firmware", "modprobe_binary": "` + linux + `/bin/modprobe",
	"nix_store_mount_opts": ["ro", "nodev", "nosuid"], "sh_binary": "` + linux + `/bin/sh", "env_binary": "",
	"etc_metadata_image": "` + linux + `", "etc_basedir": "` + ramfs + `", "etc_overlay_mutable": false, "special_filesystems": []`

func TestDecodeActivation(t *testing.T) {
	sh, none, no, outside, long := linux+"/bin/sh", "", false, "/run/current-system/sw/bin/env", "/"+strings.Repeat("x", 4094)
	for _, tt := range []struct {
		name, in string
		want     *bootspec.Activation
		err      string
	}{
		{"all", extension(wholeExtension), &bootspec.Activation{
			Firmware: mustPath(t, linux+"/lib/firmware"), Modprobe: mustPath(t, linux+"/bin/modprobe"), StoreOptions: []string{"ro", "nodev", "nosuid"},
			Sh: &sh, Env: &none, EtcImage: mustPath(t, linux), EtcBase: mustPath(t, ramfs), EtcMutable: &no,
		}, ""},
		{"nothing in it", extension(""), &bootspec.Activation{}, ""},
		{"nulls", extension(`"sh_binary": null, "firmware": null`), &bootspec.Activation{}, ""},
		{"of a system before 26.05", `{"org.nixos.bootspec.v1": 1}`, nil, ""},
		{"no object", `{"org.nixos.nixos-init.v1": []}`, nil, "boot.json: org.nixos.nixos-init.v1: found an array"},
		{"not JSON", `{`, nil, "boot.json: line 1"},
		{"no path of the store", extension(`"firmware": "/etc"`), nil, `org.nixos.nixos-init.v1.firmware: path "/etc"`},
		{"programs outside of the store", extension(`"env_binary": "` + outside + `", "sh_binary": "` + long + `"`), &bootspec.Activation{Env: &outside, Sh: &long}, ""},
		{"a program with a long name", extension(`"env_binary": "` + long + `x"`), nil, "env_binary: found"},
		{"a program by a part of its path", extension(`"env_binary": "bin/env"`), nil, `env_binary: found "bin/env", expected an absolute path of at most 4095 bytes`},
		{"a program of two lines", extension(`"env_binary": "/a\nb"`), nil, "env_binary: found"},
		{"a configuration extension", extension(`"etc_confext": {"name": ".host"}`), &bootspec.Activation{Confext: true}, ""},
		{"a shell that is a number", extension(`"sh_binary": 1`), nil, "sh_binary: found a number"},
		{"two options in one", extension(`"nix_store_mount_opts": ["ro", "nodev,exec"]`), nil, `nix_store_mount_opts[1]: found "nodev,exec"`},
		{"an image alone", extension(`"etc_metadata_image": "` + linux + `"`), nil, "expected both or none"},
		{"a directory alone", extension(`"etc_basedir": "` + linux + `"`), nil, "expected both or none"},
		{"mutable in words", extension(`"etc_overlay_mutable": "yes"`), nil, "etc_overlay_mutable: found a string, expected true or false"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := bootspec.DecodeActivation("boot.json", []byte(tt.in))
			wantError(t, err, tt.err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("DecodeActivation (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzDecodeActivation(f *testing.F) {
	f.Add([]byte(extension(wholeExtension)))
	f.Add([]byte(extension(`"nix_store_mount_opts": ["a,b"]`)))
	f.Fuzz(func(t *testing.T, in []byte) {
		a, err := bootspec.DecodeActivation("boot.json", in)
		if err != nil && (fault.ClassOf(err) != fault.Input || a != nil) {
			t.Errorf("%v, error of class %d; want %d: %v", a, fault.ClassOf(err), fault.Input, err)
		}
		if a != nil && a.EtcImage.IsZero() != a.EtcBase.IsZero() {
			t.Errorf("one of image and directory: %+v", a)
		}
	})
}
