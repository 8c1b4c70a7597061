package nix_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/profiles"
)

// TestResolve: what a profile extends means the same to the module as to mkimage.
func TestResolve(t *testing.T) {
	tests := []struct{ name, in string }{
		{"built in", "extends = 'builtin:bandit-full'\n"},
		{"twice", "extends = 'bandit-dev'\n"},
		{"removed values", "extends = 'server-home'\nhostname = 'fox'\n"},
		{"lists", "extends = 'bandit-minimal'\n[initramfs]\nmodules = ['!virtio_blk', 'thunderbolt', 'nvme']\n[kernel]\nparameters = ['!console=tty0', 'console=tty0', 'quiet']\n"},
		{"everything taken away", "extends = 'bandit-minimal'\n[kernel]\nparameters = ['!*', 'quiet']\n"},
		{"tables", "extends = 'bandit-minimal'\n[[users]]\nname = '!bandit'\n[[users]]\nname = 'eve'\nuid = 1000\nshell = '/bin/bash'\ngroups = ['sudo']\n"},
		{"changed table", "extends = 'bandit-minimal'\n[[users]]\nname = 'bandit'\nautologin = false\ngroups = ['!audio', 'input']\n[swap]\npolicy = 'swapfile'\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "p.toml"), []byte(tt.in), 0o644); err != nil {
				t.Fatal(err)
			}
			want, _, err := profiles.Load(dir).Resolve("p", nil)
			if err != nil {
				t.Fatal(err)
			}
			var got profiles.Profile
			evaluate(t, `let p = extend.resolve { builtin = extend.profiles; } (builtins.fromTOML `+quote(tt.in)+`); in {
  inherit (p) hostname roles source layout kernel initramfs boot packages units swap zram;
  users = p.users or [ ];
}`, &got)
			if diff := cmp.Diff(compared(want), compared(got)); diff != "" {
				t.Errorf("profile (-mkimage +module):\n%s", diff)
			}
		})
	}
}

// compared returns a profile with the keys that are compared alone. A list with nothing in
// it is nil.
func compared(p profiles.Profile) profiles.Profile {
	p = profiles.Profile{
		Hostname: p.Hostname, Roles: p.Roles, Source: p.Source, Layout: p.Layout, Kernel: p.Kernel, Initramfs: p.Initramfs,
		Boot: p.Boot, Packages: p.Packages, Units: p.Units, Swap: p.Swap, Zram: p.Zram, Users: p.Users,
	}
	lists := []*[]string{&p.Roles, &p.Kernel.Parameters, &p.Initramfs.Modules, &p.Initramfs.Firmware, &p.Packages, &p.Units.Enable, &p.Units.Disable, &p.Units.Mask}
	for i := range p.Users {
		lists = append(lists, &p.Users[i].SSHKeys)
	}
	for _, list := range lists {
		if len(*list) == 0 {
			*list = nil
		}
	}
	return p
}
