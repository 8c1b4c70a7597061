package plan

import (
	"slices"
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
		{"swap without swapfile", func(_ *profiles.Profile, l *layouts.Layout) { l.Swapfile.Subvolume = "" }, `swap.policy: "hibernate": layout laptop has no swapfile`},
		{"swap that nobody makes", func(_ *profiles.Profile, l *layouts.Layout) { l.Swapfile.Image = 0 }, "the image has no swapfile: layout.swapfile.image is 0"},
		{"hibernate without size", func(_ *profiles.Profile, l *layouts.Layout) { l.Swapfile.Size = "none" }, `layout.swapfile.size is "none"`},
		{"promise of a rescue", func(p *profiles.Profile, _ *layouts.Layout) {
			p.Boot.Rescue, p.Tests.Promises = false, []string{"boot", "rescue"}
		}, `tests.promises[1]: rescue: the menu has no such entry; set boot.rescue, or take the promise away with "!rescue"`},
		{"promise of a factory", func(p *profiles.Profile, l *layouts.Layout) {
			l.Factory.Subvolumes, p.Tests.Promises = nil, []string{"factory"}
		}, `tests.promises[0]: factory: the menu has no such entry; set layout.factory.subvolumes, or take`},
		{"a root that forgets the key", func(p *profiles.Profile, l *layouts.Layout) {
			p.Secrets, *l = []profiles.Secret{{Name: "x", File: "x.yaml"}}, inMemory(*l, "/var/lib/mkimage", "/var/lib/sops")
		}, "layout.persist.directories: the root in memory forgets /var/lib/sops-nix"},
		{"a key that is mounted too late", func(p *profiles.Profile, l *layouts.Layout) {
			p.Secrets = []profiles.Secret{{Name: "x", File: "x.yaml"}}
			l.Subvolumes = append(l.Subvolumes, layouts.Subvolume{Name: "@s", Mount: "/var/lib/sops-nix"})
		}, "layout.subvolumes.@s.early: expected true: it has /var/lib/sops-nix"},
		{"a root that forgets what is restored", func(p *profiles.Profile, l *layouts.Layout) {
			p.Restore, *l = profiles.Restore{Disk: "LABEL=x"}, inMemory(*l, "/var/lib/mkimage-x", "/var/lib/sops-nix")
		}, "layout.persist.directories: the root in memory forgets /var/lib/mkimage,"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, l := laptop(), laptopLayout()
			test.in(&p, &l)
			_, err := Make(p, l, Options{})
			if fault.ClassOf(err) != fault.Config || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Make: %v; want a config error with %q", err, test.want)
			}
		})
	}
}

// TestFits takes what looks like the above and is none.
func TestFits(t *testing.T) {
	tests := []struct {
		name string
		in   func(p *profiles.Profile, l *layouts.Layout)
	}{
		{"promises of entries that are there", func(p *profiles.Profile, _ *layouts.Layout) {
			p.Tests.Promises = []string{"boot", "factory", "rescue"}
		}},
		{"promises of entries without a menu", func(p *profiles.Profile, l *layouts.Layout) {
			p.Tests.Promises = []string{"boot", "factory", "rescue"}
			p.Boot.Loader, p.Boot.Rescue, l.Factory.Subvolumes = loaderUKI, false, nil
		}},
		{"swapfile of no size without hibernation", func(p *profiles.Profile, l *layouts.Layout) { p.Swap.Policy, l.Swapfile.Size = SwapSwapfile, "none" }},
		{"a root in memory that keeps all that is needed", func(p *profiles.Profile, l *layouts.Layout) {
			p.Restore, *l = profiles.Restore{Disk: "LABEL=x"}, inMemory(*l, "/var/lib")
			p.Secrets = []profiles.Secret{{Name: "x", File: "x.yaml"}}
		}},
		{"a root in memory with /var of its own", func(p *profiles.Profile, l *layouts.Layout) {
			p.Restore, *l = profiles.Restore{Disk: "LABEL=x"}, inMemory(*l)
			l.Subvolumes = append(l.Subvolumes, layouts.Subvolume{Name: "@v", Mount: "/var", Early: true})
		}},
		{"no swap on a layout without", func(p *profiles.Profile, l *layouts.Layout) { p.Swap.Policy, l.Swapfile = SwapNone, layouts.Swapfile{} }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, l := laptop(), laptopLayout()
			test.in(&p, &l)
			if _, err := Make(p, l, Options{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// inMemory is a layout whose root is in memory and keeps these directories.
func inMemory(l layouts.Layout, keeps ...string) layouts.Layout {
	l.Tmpfs = layouts.TmpfsRoot{Size: "2G", Mode: "755"}
	l.Subvolumes = slices.DeleteFunc(slices.Clone(l.Subvolumes), func(v layouts.Subvolume) bool { return strings.HasPrefix(v.Mount, "/var") })
	l.Persist.Directories = keeps
	return l
}

// TestAllAtOnce breaks several things together.
func TestAllAtOnce(t *testing.T) {
	p, l := laptop(), laptopLayout()
	p.Name, l.Name, l.Swapfile.Image, p.Boot.Rescue, p.Tests.Promises = "", "x", 0, false, []string{"rescue"}
	_, err := Make(p, l, Options{})
	for _, want := range []string{"4 problems", "name: ", "layout: ", "swap.policy: ", "tests.promises[0]: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Make: %v; want %q in it", err, want)
		}
	}
}
