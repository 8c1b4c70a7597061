package plan

import (
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// laptop returns a profile that uses what a profile can say, anew for each
// caller to change.
func laptop() profiles.Profile {
	return profiles.Profile{
		Name: "demo", Description: "a laptop for tests", Hostname: "demo", Roles: []string{"laptop"},
		Source: "debian:trixie", Layout: "laptop",
		Kernel:    profiles.Kernel{Parameters: []string{"quiet", "console=tty0"}},
		Initramfs: profiles.Initramfs{Modules: []string{"nvme"}, Shell: true},
		Boot:      profiles.Boot{Loader: "systemd-boot", Timeout: 3, Rescue: true},
		Locale:    profiles.Locale{Lang: "C.UTF-8", Timezone: "UTC", Keymap: "us"},
		Users:     []profiles.User{{Name: "ada", UID: 1000, Groups: []string{"sudo"}, Shell: "/bin/bash", Autologin: true}},
		Units:     profiles.Units{Enable: []string{"ssh.service"}, Target: "multi-user.target"},
		FirstBoot: profiles.FirstBoot{Steps: []string{"machine-id", "host-keys"}},
		Swap:      profiles.Swap{Policy: SwapHibernate},
		Zram:      profiles.Zram{Enable: true, Percent: 50},
	}
}

// laptopLayout returns a layout with everything but a root in memory.
func laptopLayout() layouts.Layout {
	return layouts.Layout{
		Name: "laptop",
		ESP:  layouts.ESP{Size: 1 << 30, Label: "ESP", Mount: "/boot"},
		Root: layouts.Root{Label: "nixos", Options: []string{"compress=zstd:3", "noatime"}, Metadata: "dup", Free: 1 << 30},
		Subvolumes: []layouts.Subvolume{
			{Name: "@", Mount: "/", Early: true},
			{Name: "@home", Mount: "/home", Snapshots: true},
			{Name: "@log", Mount: "/var/log", Early: true, Options: []string{"nodev"}},
			{Name: "@var", Mount: "/var", Early: true},
			{Name: "@swap", Mount: "/swap", NoDataCow: true},
		},
		Swapfile: layouts.Swapfile{Subvolume: "@swap", Name: "swapfile", Size: "ram", Image: 64 << 20},
		Factory:  layouts.Factory{Subvolumes: []string{"@var", "@"}},
	}
}

// memoryLayout is laptopLayout with a root in memory.
func memoryLayout() layouts.Layout {
	l := laptopLayout()
	l.Subvolumes[3] = layouts.Subvolume{Name: "@persist", Mount: "/persist", Early: true}
	l.Tmpfs = layouts.TmpfsRoot{Size: "2G", Mode: "755"}
	l.Persist = layouts.Persist{Subvolume: "@persist", Directories: []string{"/srv", "/etc/ssh"}, Files: []string{"/etc/machine-id"}}
	l.Factory.Subvolumes = []string{"@"}
	return l
}
