package hardware

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

func builtin(t *testing.T, profile, layout string) *plan.Plan {
	t.Helper()
	p, _, err := profiles.Load().Resolve(profile, nil)
	if err != nil {
		t.Fatal(err)
	}
	if layout == "" {
		layout = p.Layout
	}
	l, _, err := layouts.Load().Resolve(layout, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Layout = layout
	made, err := plan.Make(p, l, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestPlanParses: what is written of every profile is a module, with every
// mount in it.
func TestPlanParses(t *testing.T) {
	for _, name := range profiles.Load().Names() {
		if p, _, err := profiles.Load().Resolve(name, nil); err != nil || p.IsMedium() {
			continue // a medium has no system whose mounts could be written
		}
		t.Run(name, func(t *testing.T) {
			p := builtin(t, name, "")
			text, err := Plan(p).Nix()
			if err != nil {
				t.Fatal(err)
			}
			parse(t, text)
			var got module
			evaluate(t, "("+string(text)+") {}", &got)
			if len(got.FileSystems) != len(p.Mounts) || len(got.Boot.KernelParams) > 0 {
				t.Errorf("%d file systems, parameters %q; want %d and none", len(got.FileSystems), got.Boot.KernelParams, len(p.Mounts))
			}
			for _, m := range p.Mounts {
				if early := slices.Contains(m.Options, initrdOption); got.FileSystems[m.Target].NeededForBoot != early {
					t.Errorf("%s: needed for boot %v; want %v", m.Target, !early, early)
				}
			}
		})
	}
}

func TestPlan(t *testing.T) {
	p := builtin(t, "bandit-full", "")
	h := Plan(p)
	root := p.Partition(plan.RoleRoot)
	if diff := cmp.Diff(&Resume{Device: "PARTUUID=" + root.PARTUUID.String(), Unknown: unknownPlanned}, h.Resume); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&Swapfile{Path: "@swap/swapfile", Target: "/swap/swapfile"}, h.Swapfile); diff != "" {
		t.Error(diff)
	}
	want := []Partition{
		{1, p.Disk.Partitions[0].PARTUUID.String(), "ESP", "vfat", p.Disk.Partitions[0].FSID, "ESP"},
		{2, root.PARTUUID.String(), "nixos", "btrfs", root.FSID, "nixos"},
	}
	if diff := cmp.Diff(want, h.Partitions); diff != "" {
		t.Error(diff)
	}
	if h.From != FromPlan || !slices.Contains(h.Modules, "btrfs") {
		t.Errorf("from %s, modules %q", h.From, h.Modules)
	}
}

// TestPlanPolicies: what does not hibernate has no resume device.
func TestPlanPolicies(t *testing.T) {
	for _, tt := range []struct {
		policy       string
		swap, resume bool
	}{{plan.SwapNone, false, false}, {plan.SwapSwapfile, true, false}, {plan.SwapHibernate, true, true}} {
		t.Run(tt.policy, func(t *testing.T) {
			p := builtin(t, "bandit-full", "")
			p.Profile.Swap.Policy = tt.policy
			p, err := plan.Make(p.Profile, p.Layout, plan.Options{})
			if err != nil {
				t.Fatal(err)
			}
			h := Plan(p)
			if got := h.Swapfile != nil; got != tt.swap {
				t.Errorf("swapfile %v; want %v", got, tt.swap)
			}
			if got := h.Resume != nil; got != tt.resume {
				t.Errorf("resume %v; want %v", got, tt.resume)
			}
		})
	}
}

// TestPlanOfMemoryRoot: NixOS is told of the root in memory, and fstab is not.
func TestPlanOfMemoryRoot(t *testing.T) {
	h := Plan(builtin(t, "bandit-full", "impermanence"))
	text, err := h.Nix()
	if err != nil {
		t.Fatal(err)
	}
	parse(t, text)
	if want := "  fileSystems.\"/\" = {\n    device = \"tmpfs\";\n    fsType = \"tmpfs\";\n    options = [ \"size=2G\" \"mode=755\" ];\n  };\n"; !strings.Contains(string(text), want) {
		t.Errorf("got:\n%s", text)
	}
	if want := "  fileSystems.\"/etc/nixos\" = {\n    device = \"/persist/etc/nixos\";\n    fsType = \"none\";\n    options = [ \"bind\" ];\n    neededForBoot = true;\n  };\n"; !strings.Contains(string(text), want) {
		t.Errorf("got:\n%s", text)
	}
	if table := string(h.Fstab()); strings.Contains(table, " / ") || !strings.Contains(table, "/persist/etc/nixos /etc/nixos none bind,x-initrd.mount 0 0\n") {
		t.Errorf("got:\n%s", table)
	}
}

func TestHolder(t *testing.T) {
	h := &Hardware{Mounts: []Mount{{Target: "/"}, {Target: "/swap", Type: "a"}, {Target: "/swap", Type: "b"}, {Target: "/swap/deep"}, {Target: "/sw"}}}
	tests := []struct{ name, in, want string }{
		{"root", "/", "/"},
		{"file in root", "/swapfile", "/"},
		{"begins alike", "/swapp/x", "/"},
		{"mount point", "/swap", "/swap"},
		{"below", "/swap/file", "/swap"},
		{"deeper", "/swap/deep/file", "/swap/deep"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := h.holder(tt.in); got == nil || got.Target != tt.want {
				t.Errorf("holder(%q) = %v; want %q", tt.in, got, tt.want)
			}
		})
	}
	if got := h.holder("/swap/file").Type; got != "b" {
		t.Errorf("of two mounts on a directory holds %q; want the last", got)
	}
	if got := (&Hardware{}).holder("/x"); got != nil {
		t.Errorf("without mounts: %v", got)
	}
}
