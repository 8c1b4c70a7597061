package boot

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/initramfs/config"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func mount(subvolume, target string, options ...string) config.Mount {
	return config.Mount{Subvolume: subvolume, Target: target, Options: options}
}

var laptop = config.Config{
	Version: config.Version,
	Mounts: []config.Mount{
		mount("@", "/", "compress=zstd:3", "noatime"), mount("@nix", "/nix", "noatime"), mount("@var", "/var", "noatime"),
	},
	Factory: []config.Mount{mount("@factory", "/", "noatime"), mount("@factory-var", "/var", "noatime")},
}

var impermanence = config.Config{
	Version: config.Version,
	Mounts:  []config.Mount{mount("@", "/", "noatime"), mount("@persist", "/persist", "noatime")},
	Tmpfs:   &config.Tmpfs{Size: "2G", Mode: "755"},
	Binds: []config.Bind{
		{From: "/persist/etc/nixos", To: "/etc/nixos"},
		{From: "/persist/etc/machine-id", To: "/etc/machine-id", File: true},
	},
}

func TestPlan(t *testing.T) {
	const flags = "root=PARTUUID=1 rootfstype=btrfs rootflags=subvol=@,compress=zstd:1,noatime rw "
	tests := []struct {
		name, cmdline string
		config        config.Config
	}{
		{"laptop", flags, laptop},
		{"factory", flags + "mkimage.factory", laptop},
		{"impermanence", flags, impermanence},
		{"other-subvolume", flags + "mkimage.subvol=@old ro", laptop},
		{"no-rootflags", "rw", laptop},
		{"rootflags-without-subvolume", "rootflags=degraded,subvolid=5", laptop},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd, err := ParseCmdline(tt.cmdline)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := Plan(tt.config, cmd, "/dev/vda2")
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, a := range plan {
				b.WriteString(a.String() + "\n")
			}
			golden(t, "plan-"+tt.name, b.String())
		})
	}
}

func TestPlanRefused(t *testing.T) {
	tests := []struct {
		name, cmdline string
		config        config.Config
		err           string
	}{
		{"other file system", "rootfstype=ext4", laptop, "mounts btrfs only"},
		{"no factory", "mkimage.factory", impermanence, "no factory snapshots"},
		{"no mounts", "", config.Config{}, "the first mount must be that of /"},
		{"no root", "", config.Config{Mounts: []config.Mount{mount("@nix", "/nix")}}, "the first mount must be that of /"},
		{"two roots", "", config.Config{Mounts: []config.Mount{mount("@", "/"), mount("@", "/")}}, "mount 2"},
		{"relative", "", config.Config{Mounts: []config.Mount{mount("@", "/"), mount("@", "nix")}}, "mount 2"},
		{"upwards", "", config.Config{Mounts: []config.Mount{mount("@", "/"), mount("@", "/a/../../x")}}, "mount 2"},
		{"bind upwards", "", config.Config{Mounts: []config.Mount{mount("@", "/")}, Binds: []config.Bind{{From: "/p/../..", To: "/x"}}}, "bind of"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd, err := ParseCmdline(tt.cmdline)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Plan(tt.config, cmd, "/dev/vda2"); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Plan error %v; want %q", err, tt.err)
			}
		})
	}
}

func TestFactoryFstab(t *testing.T) {
	in, err := os.ReadFile("testdata/fstab")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "fstab", factoryFstab(string(in)))
}
