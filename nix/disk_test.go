package nix_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/hardware"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// disk is what a module says of the disk.
type disk struct {
	FileSystems map[string]struct {
		Device, FSType string
		Options        []string
		NeededForBoot  bool
	}
	SwapDevices []struct {
		Device  string
		Options []string
	}
	Boot struct {
		ResumeDevice string
		Initrd       struct{ AvailableKernelModules []string }
	}
}

const diskOf = `config: {
  inherit (config) fileSystems swapDevices;
  boot = { inherit (config.boot) resumeDevice; initrd = { inherit (config.boot.initrd) availableKernelModules; }; };
}`

// layoutNix returns what `mkimage layout --format nix` prints of a layout, with labels of
// partitions in the place of their UUIDs.
func layoutNix(t *testing.T, layout layouts.Layout, policy string) string {
	t.Helper()
	profile, _, err := profiles.Load().Resolve("bandit-minimal", nil)
	if err != nil {
		t.Fatal(err)
	}
	profile.Layout, profile.Swap.Policy = layout.Name, policy
	if len(layout.Factory.Subvolumes) == 0 {
		profile.Tests.Promises = nil
	}
	p, err := plan.Make(profile, layout, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := hardware.Plan(p).Nix()
	if err != nil {
		t.Fatal(err)
	}
	pairs := []string{`boot.resumeDevice = null`, ``}
	for _, part := range p.Disk.Partitions {
		pairs = append(pairs, "by-partuuid/"+part.PARTUUID.String(), "by-partlabel/"+part.Label)
	}
	return strings.NewReplacer(pairs...).Replace(string(text))
}

// TestLayouts: the module says the same as mkimage layout.
func TestLayouts(t *testing.T) {
	names := layouts.Load().Names()
	if len(names) < 4 {
		t.Fatalf("layouts %q", names)
	}
	for _, name := range names {
		for _, policy := range []string{plan.SwapNone, plan.SwapSwapfile, plan.SwapHibernate} {
			layout, _, err := layouts.Load().Resolve(name, nil)
			if err != nil {
				t.Fatal(err)
			}
			if layout.ESP.Only {
				continue // of a medium, no system has it
			}
			if layout.Swapfile.Subvolume == "" && policy != plan.SwapNone {
				continue // refused, see TestChecks
			}
			t.Run(name+" "+policy, func(t *testing.T) {
				var want, got disk
				evaluate(t, "("+diskOf+") (stub.evaluate [ ("+layoutNix(t, layout, policy)+") ])", &want)
				evaluate(t, "("+diskOf+") (system { mkimage.layout = "+quote(name)+"; mkimage.swap = "+quote(policy)+"; })", &got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("module (-mkimage layout +module):\n%s", diff)
				}
			})
		}
	}
}
