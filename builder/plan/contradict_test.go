package plan

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// TestContradictions breaks one thing at a time.
func TestContradictions(t *testing.T) {
	tests := []struct {
		name string
		in   func(p *profiles.Profile, l *layouts.Layout)
		want string // of the error
	}{
		{"name", func(p *profiles.Profile, _ *layouts.Layout) { p.Name = "a/b" }, `name: "a/b": expected letters`},
		{"no name", func(p *profiles.Profile, _ *layouts.Layout) { p.Name = "" }, `name: ""`},
		{"another layout", func(_ *profiles.Profile, l *layouts.Layout) { l.Name = "x" }, `layout: got layout "x", expected "laptop"`},
		{"labels", func(_ *profiles.Profile, l *layouts.Layout) { l.ESP.Label = "nixos" }, "layout.root.label"},
		{"small ESP", func(_ *profiles.Profile, l *layouts.Layout) { l.ESP.Size = minESP - 1<<20 }, "layout.esp.size: 34603008 bytes"},
		{"large ESP", func(_ *profiles.Profile, l *layouts.Layout) { l.ESP.Size = maxESP + 1<<20 }, "layout.esp.size"},
		{"odd ESP", func(_ *profiles.Profile, l *layouts.Layout) { l.ESP.Size++ }, "expected a multiple of 1048576"},
		{"ESP at /", func(_ *profiles.Profile, l *layouts.Layout) { l.ESP.Mount = "/" }, "layout.esp.mount: is /"},
		{"relative ESP", func(_ *profiles.Profile, l *layouts.Layout) { l.ESP.Mount = "boot" }, `layout.esp.mount: "boot"`},
		{"root option", func(_ *profiles.Profile, l *layouts.Layout) { l.Root.Options = []string{"subvol=@"} }, `layout.root.options: option "subvol=@": is decided`},
		{"two options in one", func(_ *profiles.Profile, l *layouts.Layout) { l.Root.Options = []string{"a,b"} }, `option "a,b"`},
		{"subvolume option", func(_ *profiles.Profile, l *layouts.Layout) { l.Subvolumes[1].Options = []string{"ro"} }, `layout.subvolumes[1].options`},
		{"subvolume name", func(_ *profiles.Profile, l *layouts.Layout) { l.Subvolumes[1].Name = "@a/../b" }, "layout.subvolumes[1].name"},
		{"subvolume twice", func(_ *profiles.Profile, l *layouts.Layout) { l.Subvolumes[1].Name = "@log" }, "names a second subvolume"},
		{"early nowhere", func(_ *profiles.Profile, l *layouts.Layout) { l.Subvolumes[2].Mount = "" }, "layout.subvolumes[2].early: @log: is mounted nowhere"},
		{"mount with a space", func(_ *profiles.Profile, l *layouts.Layout) { l.Subvolumes[1].Mount = "/a b" }, "layout.subvolumes[1].mount"},
		{"mount with dots", func(_ *profiles.Profile, l *layouts.Layout) { l.Subvolumes[1].Mount = "/a/../b" }, "layout.subvolumes[1].mount"},
		{"mount twice", func(_ *profiles.Profile, l *layouts.Layout) { l.Subvolumes[1].Mount = "/var" }, "/var: @home is mounted there too"},
		{"mount on the ESP", func(_ *profiles.Profile, l *layouts.Layout) { l.Subvolumes[1].Mount = "/boot" }, "/boot: the ESP is mounted there too"},
		{"no root", func(_ *profiles.Profile, l *layouts.Layout) { l.Subvolumes[0].Mount = "/x" }, "layout.subvolumes: none is mounted at /"},
		{"root nodatacow", func(_ *profiles.Profile, l *layouts.Layout) { l.Subvolumes[0].NoDataCow = true }, "cannot be nodatacow"},
		{"late parent", func(_ *profiles.Profile, l *layouts.Layout) { l.Subvolumes[3].Early = false }, "@log: is mounted early, but @var around it is not"},
		{"persist without tmpfs", func(_ *profiles.Profile, l *layouts.Layout) { l.Persist.Subvolume = "@var" }, "layout.persist: needs layout.tmpfs_root.size"},
		{"factory unknown", func(_ *profiles.Profile, l *layouts.Layout) { l.Factory.Subvolumes[0] = "@x" }, `layout.factory.subvolumes[0]: "@x"`},
		{"factory of swap", func(_ *profiles.Profile, l *layouts.Layout) { l.Factory.Subvolumes[0] = "@swap" }, "layout.factory.subvolumes[0]: @swap: must be mounted"},
		{"factory twice", func(_ *profiles.Profile, l *layouts.Layout) { l.Factory.Subvolumes[0] = "@" }, "layout.factory.subvolumes[1]: @: is named twice"},
		{"factory name taken", func(_ *profiles.Profile, l *layouts.Layout) { l.Subvolumes[1].Name = "@factory" }, "its snapshot @factory has the name of a subvolume"},
		{"factory without root", func(_ *profiles.Profile, l *layouts.Layout) { l.Factory.Subvolumes = []string{"@var"} }, "layout.factory.subvolumes: lacks @"},
		{"swap policy", func(p *profiles.Profile, _ *layouts.Layout) { p.Swap.Policy = "" }, `swap.policy: "": expected none`},
		{"swap without swapfile", func(_ *profiles.Profile, l *layouts.Layout) { l.Swapfile.Subvolume = "" }, "layout laptop has no swapfile"},
		{"swap subvolume", func(_ *profiles.Profile, l *layouts.Layout) { l.Swapfile.Subvolume = "@x" }, "layout.swapfile.subvolume"},
		{"swap with cow", func(_ *profiles.Profile, l *layouts.Layout) { l.Swapfile.Subvolume = "@home" }, "@home: must be nodatacow and mounted"},
		{"swap name", func(_ *profiles.Profile, l *layouts.Layout) { l.Swapfile.Name = "a/b" }, "layout.swapfile.name"},
		{"swap size", func(_ *profiles.Profile, l *layouts.Layout) { l.Swapfile.Image = minSwapfile - pageSize }, "layout.swapfile.image: 36864 bytes"},
		{"swap pages", func(_ *profiles.Profile, l *layouts.Layout) { l.Swapfile.Image++ }, "expected a multiple of 4096"},
		{"swap that nobody makes", func(_ *profiles.Profile, l *layouts.Layout) { l.Swapfile.Image = 0 }, "nothing makes the swapfile"},
		{"hibernate without size", func(_ *profiles.Profile, l *layouts.Layout) { l.Swapfile.Size = "none" }, `layout.swapfile.size is "none"`},
		{"rescue without shell", func(p *profiles.Profile, _ *layouts.Layout) { p.Initramfs.Shell = false }, "boot.rescue: needs initramfs.shell"},
		{"promise of a rescue", func(p *profiles.Profile, _ *layouts.Layout) {
			p.Boot.Rescue, p.Tests.Promises = false, []string{"boot", "rescue"}
		}, `tests.promises[1]: rescue: the menu has no such entry; set boot.rescue, or take the promise away with "!rescue"`},
		{"promise of a factory", func(p *profiles.Profile, l *layouts.Layout) {
			l.Factory.Subvolumes, p.Tests.Promises = nil, []string{"factory"}
		}, `tests.promises[0]: factory: the menu has no such entry; set layout.factory.subvolumes, or take`},
		{"parameter root", func(p *profiles.Profile, _ *layouts.Layout) { p.Kernel.Parameters = []string{"root=/dev/sda"} }, `"root=/dev/sda": is decided by the plan`},
		{"parameter resume", func(p *profiles.Profile, _ *layouts.Layout) { p.Kernel.Parameters = []string{"resume_offset=1"} }, "finds the swapfile itself"},
		{"parameter of two words", func(p *profiles.Profile, _ *layouts.Layout) { p.Kernel.Parameters = []string{"a b"} }, `"a b": expected one word`},
		{"user twice", func(p *profiles.Profile, _ *layouts.Layout) { p.Users = append(p.Users, p.Users[0]) }, "ada: is named twice"},
		{"uid twice", func(p *profiles.Profile, _ *layouts.Layout) {
			p.Users = append(p.Users, profiles.User{Name: "bob", UID: 1000})
		}, "bob: has the uid 1000 of ada"},
		{"autologin twice", func(p *profiles.Profile, _ *layouts.Layout) {
			p.Users = append(p.Users, profiles.User{Name: "bob", UID: 1001, Autologin: true})
		}, "autologin of ada, bob"},
		{"enabled and masked", func(p *profiles.Profile, _ *layouts.Layout) { p.Units.Mask = []string{"ssh.service"} }, "units.enable: ssh.service"},
		{"target masked", func(p *profiles.Profile, _ *layouts.Layout) { p.Units.Mask = []string{"multi-user.target"} }, "units.target"},
		{"zram", func(p *profiles.Profile, _ *layouts.Layout) { p.Zram.Percent = 101 }, "zram.percent: 101"},
		{"zram none", func(p *profiles.Profile, _ *layouts.Layout) { p.Zram.Percent = 0 }, "zram.percent: 0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, l := laptop(), laptopLayout()
			test.in(&p, &l)
			refuses(t, p, l, test.want)
		})
	}
}

// TestContradictionsOfMemory breaks a root in memory.
func TestContradictionsOfMemory(t *testing.T) {
	tests := []struct {
		name string
		in   func(l *layouts.Layout)
		want string
	}{
		{"mode", func(l *layouts.Layout) { l.Tmpfs.Mode = "" }, "layout.tmpfs_root"},
		{"size", func(l *layouts.Layout) { l.Tmpfs.Size = "2G,exec" }, "layout.tmpfs_root"},
		{"holder", func(l *layouts.Layout) { l.Persist.Subvolume = "@x" }, "layout.persist.subvolume"},
		{"late holder", func(l *layouts.Layout) { l.Persist.Subvolume = "@home" }, "@home: must be mounted early"},
		{"holder at /", func(l *layouts.Layout) { l.Persist.Subvolume = "@" }, "@: must be mounted early, and not at /"},
		{"relative", func(l *layouts.Layout) { l.Persist.Files[0] = "etc/x" }, `layout.persist: "etc/x"`},
		{"below itself", func(l *layouts.Layout) { l.Persist.Files[0] = "/persist/x" }, "/persist/x: cannot be bound from below /persist"},
		{"all", func(l *layouts.Layout) { l.Persist.Directories[0] = "/" }, "/: cannot be bound"},
		{"twice", func(l *layouts.Layout) { l.Persist.Files[0] = "/srv" }, "/srv: is named twice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := memoryLayout()
			test.in(&l)
			refuses(t, laptop(), l, test.want)
		})
	}
}

func refuses(t *testing.T, p profiles.Profile, l layouts.Layout, want string) {
	t.Helper()
	_, err := Make(p, l, Options{})
	if fault.ClassOf(err) != fault.Config || !strings.Contains(err.Error(), want) {
		t.Errorf("Make: %v; want a config error with %q", err, want)
	}
}

// TestPromises takes promises of entries that the menu has, and any where there
// is no menu.
func TestPromises(t *testing.T) {
	p, l := laptop(), laptopLayout()
	p.Tests.Promises = []string{"boot", "factory", "rescue"}
	if _, err := Make(p, l, Options{}); err != nil {
		t.Error(err)
	}
	p.Boot.Loader, p.Boot.Rescue, l.Factory.Subvolumes = loaderUKI, false, nil
	if _, err := Make(p, l, Options{}); err != nil {
		t.Errorf("without a menu: %v", err)
	}
}

// TestAllAtOnce breaks several things in profile and layout together.
func TestAllAtOnce(t *testing.T) {
	p, l := laptop(), laptopLayout()
	p.Boot.Rescue, p.Initramfs.Shell, p.Zram.Percent, l.ESP.Size, l.Subvolumes[0].Mount = true, false, 0, 0, "/x"
	_, err := Make(p, l, Options{})
	for _, want := range []string{"4 problems", "boot.rescue", "zram.percent", "layout.esp.size", "layout.subvolumes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Make: %v; want %q in it", err, want)
		}
	}
	if _, err := Make(profiles.Profile{}, layouts.Layout{}, Options{}); fault.ClassOf(err) != fault.Config {
		t.Errorf("Make of nothing: %v; want a config error", err)
	}
}
