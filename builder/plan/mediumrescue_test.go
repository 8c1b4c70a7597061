package plan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// rescueStick returns a medium that brings the laptop back, and the laptop.
func rescueStick() (rescue profiles.Profile, medium layouts.Layout, payload profiles.Profile, layout layouts.Layout) {
	yes := true
	_, _, payload, layout = stick()
	rescue = profiles.Profile{
		Name: "back", Description: "a stick for tests", Kind: profiles.KindRescue, Payload: "demo", Layout: "only",
		Rescue: profiles.Rescue{Enable: &yes},
	}
	medium = layouts.Layout{Name: "only", ESP: layouts.ESP{Label: "RESCUE", Mount: "/boot", Only: true}}
	return rescue, medium, payload, layout
}

func mustRescue(t *testing.T, o Options) *Plan {
	t.Helper()
	r, m, p, l := rescueStick()
	made, err := MakeMedium(r, m, p, l, o)
	if err != nil {
		t.Fatalf("MakeMedium: %v", err)
	}
	return made
}

// TestRescueMedium holds what such a medium has, and what it has not.
func TestRescueMedium(t *testing.T) {
	p := mustRescue(t, Options{})
	esp := p.Partition(RoleESP)
	_, _, payload, layout := rescueStick()
	system := mustMake(t, payload, layout, Options{})
	tests := []struct {
		name      string
		want, got any
	}{
		{"kind", []bool{true, false, true}, []bool{p.IsRescue(), p.Installs(), mustMedium(t, Options{}).Installs()}},
		{"name", "back", p.Name()},
		{"profile", system.Profile, p.Profile},
		{"layout of the payload", system.Layout, p.Medium.Layout},
		{"ESP", []any{TypeESP, "RESCUE", int64(0), int64(1 << 20)}, []any{esp.Type, esp.Label, esp.Size, esp.Start}},
		{"nothing else", []int{1, 0, 0, 0}, []int{len(p.Disk.Partitions), len(p.Subvolumes), len(p.Snapshots), len(p.Mounts)}},
		{"no swapfile", (*Swapfile)(nil), p.Swapfile},
		{"entries", []Entry{{"mkimage-back", "Rescue and recovery", "mkimage-1", []string{"mkimage.rescue", "quiet", "console=tty0"}}}, p.Entries},
		{"timeout", []int{3, system.Profile.Boot.Timeout}, []int{p.MenuTimeout(), system.MenuTimeout()}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestRescueTarget reads the plan back as the medium has it, and plans the system that it
// brings back: the very plan of the payload.
func TestRescueTarget(t *testing.T) {
	medium, again := mustRescue(t, Options{}), &Plan{}
	if err := json.Unmarshal([]byte(mustJSON(t, medium)), again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(medium, again); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
	seed := ids.Seed{1}
	got, err := Target(again, seed, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _, payload, layout := rescueStick()
	if diff := cmp.Diff(mustMake(t, payload, layout, Options{Seed: &seed}), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestRescueSize gives the ESP what the disk has, where its layout leaves the size open.
func TestRescueSize(t *testing.T) {
	least := int64(minESP) + 2*Alignment
	for size, want := range map[int64]int64{
		0: 0, least - 512: -1, least: minESP, least + 512: minESP, least + Alignment: minESP + Alignment, 16 << 30: 16<<30 - 2*Alignment,
	} {
		r, m, p, l := rescueStick()
		made, err := MakeMedium(r, m, p, l, Options{Size: size})
		switch {
		case want < 0 && fault.ClassOf(err) != fault.Usage:
			t.Errorf("size %d: %v; want a usage error", size, err)
		case want >= 0 && (err != nil || made.Partition(RoleESP).Size != want):
			t.Errorf("size %d: %v; want an ESP of %d bytes", size, err, want)
		}
		m.ESP.Size = 64 << 20
		if made, err := MakeMedium(r, m, p, l, Options{Size: size}); err == nil && made.Partition(RoleESP).Size != 64<<20 {
			t.Errorf("size %d: ESP of %d bytes; want that of the layout", size, made.Partition(RoleESP).Size)
		}
	}
}

// TestRescueIdentities wants the medium to share no identity with what it brings back, nor
// with an installer of the same.
func TestRescueIdentities(t *testing.T) {
	seed := ids.Seed{7}
	seen := map[string]int{}
	for n, p := range []*Plan{
		mustRescue(t, Options{}), mustRescue(t, Options{Seed: &seed}), mustMedium(t, Options{}), mustMake(t, laptop(), laptopLayout(), Options{Seed: &seed}),
	} {
		list := []string{p.Disk.GUID.String()}
		for _, part := range p.Disk.Partitions {
			list = append(list, part.PARTUUID.String(), part.FSID)
		}
		for _, id := range list {
			if other, known := seen[id]; known {
				t.Errorf("%s is of plans %d and %d", id, other, n)
			}
			seen[id] = n
		}
	}
	older := mustRescue(t, Options{Seed: &seed})
	if got := mustRescue(t, Options{Like: older}); got.Seed != older.Seed {
		t.Error("a medium like an older one has another seed")
	}
}

// TestRescueContradictions breaks one thing at a time.
func TestRescueContradictions(t *testing.T) {
	type change func(r *profiles.Profile, m *layouts.Layout, p *profiles.Profile, l *layouts.Layout)
	tests := []struct {
		name string
		in   change
		want string // of the error; "" means none
	}{
		{"nothing", func(*profiles.Profile, *layouts.Layout, *profiles.Profile, *layouts.Layout) {}, ""},
		{"name", func(r *profiles.Profile, _ *layouts.Layout, _ *profiles.Profile, _ *layouts.Layout) { r.Name = "a b" }, `rescue.name: "a b"`},
		{"another payload", func(r *profiles.Profile, _ *layouts.Layout, _ *profiles.Profile, _ *layouts.Layout) { r.Payload = "x" }, `rescue.payload: got profile "demo", expected "x"`},
		{"another layout", func(_ *profiles.Profile, m *layouts.Layout, _ *profiles.Profile, _ *layouts.Layout) { m.Name = "x" }, `rescue.layout: got layout "x", expected "only"`},
		{"a medium with a root", func(_ *profiles.Profile, m *layouts.Layout, _ *profiles.Profile, _ *layouts.Layout) {
			m.ESP.Only = false
		}, "rescue.layout: only has a root"},
		{"a medium of a medium", func(_ *profiles.Profile, _ *layouts.Layout, p *profiles.Profile, _ *layouts.Layout) {
			p.Kind = profiles.KindRescue
		}, `kind: demo is of kind "rescue"`},
		{"unified kernel", func(_ *profiles.Profile, _ *layouts.Layout, p *profiles.Profile, _ *layouts.Layout) {
			p.Boot.Loader = loaderUKI
		}, `boot.loader: "uki"`},
		{"payload that nobody grows", func(_ *profiles.Profile, _ *layouts.Layout, p *profiles.Profile, _ *layouts.Layout) {
			p.FirstBoot.Steps = nil
		}, ""},
		{"no such secret", func(r *profiles.Profile, _ *layouts.Layout, _ *profiles.Profile, _ *layouts.Layout) {
			r.Rescue.Network.WiFi = profiles.WiFi{SSID: "x", Passphrase: "wifi"}
		}, `rescue.network.wifi.passphrase: "wifi" is none of the secrets of demo`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, m, p, l := rescueStick()
			test.in(&r, &m, &p, &l)
			_, err := MakeMedium(r, m, p, l, Options{})
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (fault.ClassOf(err) != fault.Config || !strings.Contains(err.Error(), test.want)):
				t.Errorf("MakeMedium: %v; want a config error with %q", err, test.want)
			}
		})
	}
}
