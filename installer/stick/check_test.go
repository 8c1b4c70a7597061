package stick

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

const ram = 16 << 30

var now = time.Date(2026, time.March, 3, 0, 0, 0, 0, time.UTC)

// planOf returns the plan of the built-in stick, whose payload restores from a disk.
func planOf(t *testing.T) *plan.Plan {
	t.Helper()
	stick, _, err := profiles.Load().Resolve("bandit-rescue", nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, _, err := profiles.Load().Resolve(stick.Payload, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload.Restore.Disk, payload.Restore.Repository = "LABEL=backup", "restic/fox"
	shape, _, err := layouts.Load().Resolve(stick.Layout, nil)
	if err != nil {
		t.Fatal(err)
	}
	layout, _, err := layouts.Load().Resolve(payload.Layout, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.MakeMedium(stick, shape, payload, layout, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// facts are those of a stick and of the machine that it fits.
func facts(t *testing.T) (*Stick, *Machine) {
	t.Helper()
	files := func() map[string]Secret {
		return map[string]Secret{"fox.yaml": {SHA256: manifest.SHA256{1}, Recipients: []string{"age1fox"}}}
	}
	s := &Stick{
		Plan: planOf(t), Mkimage: "v1", Kernel: "6.1.0", Signed: true, Recipients: []string{"age1fox"}, Secrets: files(), Restic: "v0.18.0",
	}
	system := &inventory.System{Root: inventory.Place{PARTLABEL: "nixos"}, Swapfile: &inventory.Swapfile{Size: ram}}
	for _, v := range s.Plan.Medium.Layout.Subvolumes {
		system.Subvolumes = append(system.Subvolumes, inventory.Subvolume{Path: v.Name})
		system.Mounts = append(system.Mounts, inventory.Mount{Target: v.Mount, Type: "btrfs", Subvolume: v.Name, Here: true})
	}
	return s, &Machine{
		Now: now, Mkimage: "v1", Restic: "v0.18.0", Kernel: "6.1.0", Memory: ram, Key: []string{"age1fox"}, Plan: planOf(t), Secrets: files(), System: system,
		Backups: []inventory.Backup{{Repositories: []inventory.Repository{{Path: "restic/fox", Newest: now.Add(-staleBackup)}}}}, Unknown: map[Kind]string{},
	}
}

// TestCheck changes one thing at a time of a stick that fits.
func TestCheck(t *testing.T) {
	tests := []struct {
		name string
		in   func(s *Stick, m *Machine)
		want string // "SEVERITY KIND: what" of each, joined by "; "
	}{
		{"fits", func(*Stick, *Machine) {}, ""},
		{"not read", func(s *Stick, _ *Machine) { s.Problems = -1 }, "note damage: the medium was not read as a whole"},
		{"environment damaged", func(s *Stick, _ *Machine) { s.Problems, s.Unreadable = -1, "x" }, "broken damage: the medium is damaged: its rescue environment cannot be read"},
		{"damaged", func(s *Stick, _ *Machine) { s.Problems = 1 }, "broken damage: the medium is damaged: 1 problems"},
		{"not signed", func(s *Stick, _ *Machine) { s.Signed = false }, "note trust: its manifest is not signed"},
		{"signed by another", func(s *Stick, _ *Machine) { s.BadSign = "x" }, "broken trust: the signature of its manifest is not good"},
		{"another key", func(_ *Stick, m *Machine) { m.Key = []string{"age1owl"} }, "broken key: the key of this machine does not open the secrets on the medium"},
		{"one of several keys", func(s *Stick, _ *Machine) { s.Recipients = []string{"age1owl", "age1fox"} }, ""},
		{"key not read", func(_ *Stick, m *Machine) { m.Key, m.Unknown[Key] = nil, "why" }, "note key: the key of this machine was not looked at: why"},
		{"no secrets", func(s *Stick, m *Machine) {
			s.Recipients, s.Secrets, m.Key, m.Secrets = nil, map[string]Secret{}, nil, map[string]Secret{}
		}, ""},
		{"secrets changed", func(_ *Stick, m *Machine) {
			m.Secrets["fox.yaml"] = Secret{SHA256: manifest.SHA256{2}, Recipients: []string{"age1fox"}}
		}, "drift secrets: secrets fox.yaml have changed"},
		{"secrets for others", func(_ *Stick, m *Machine) {
			m.Secrets["fox.yaml"] = Secret{SHA256: manifest.SHA256{2}, Recipients: []string{"age1owl"}}
		}, "drift secrets: secrets fox.yaml are encrypted for other keys"},
		{"secrets added", func(s *Stick, _ *Machine) { clear(s.Secrets) }, "drift secrets: secrets fox.yaml are not on the medium"},
		{"secrets gone", func(_ *Stick, m *Machine) { clear(m.Secrets) }, "note secrets: secrets fox.yaml are no longer in the profile"},
		{"secrets not read", func(_ *Stick, m *Machine) { m.Secrets, m.Unknown[Secrets] = nil, "why" }, "note secrets: the secrets of the profile were not looked at: why"},
		{"no profile", func(_ *Stick, m *Machine) { m.Plan, m.Secrets, m.Unknown[Profile] = nil, nil, "why" }, "note profile: the profile was not looked at: why"},
		{"profile changed", func(_ *Stick, m *Machine) { m.Plan.Profile.Hostname = "owl" }, "drift profile: profile bandit-full has changed"},
		{"layout of the profile changed", func(_ *Stick, m *Machine) { m.Plan.Medium.Layout.ESP.Size++ }, "drift profile: layout btrfs-laptop has changed"},
		{"disk not read", func(_ *Stick, m *Machine) { m.System, m.Unknown[Layout] = nil, "why" }, "note layout: the disk was not looked at: why"},
		{"label", func(_ *Stick, m *Machine) { m.System.Root.PARTLABEL = "x" }, "drift layout: the root partition has another label"},
		{"subvolume gone", func(_ *Stick, m *Machine) { m.System.Subvolumes = m.System.Subvolumes[:4] }, "drift layout: subvolume @swap is not on the disk"},
		{"subvolume added", func(_ *Stick, m *Machine) {
			m.System.Mounts = append(m.System.Mounts, inventory.Mount{Target: "/srv", Type: "btrfs", Subvolume: "@srv", Here: true})
		}, "drift layout: the layout on the medium has nothing at /srv"},
		{"another disk is mounted", func(_ *Stick, m *Machine) {
			m.System.Mounts = append(m.System.Mounts, inventory.Mount{Target: "/srv", Type: "btrfs", Subvolume: "@srv"})
		}, ""},
		{"another subvolume", func(_ *Stick, m *Machine) { m.System.Mounts[1].Subvolume = "@homes" }, "drift layout: another subvolume is mounted at /home"},
		{"mount gone", func(_ *Stick, m *Machine) { m.System.Mounts = m.System.Mounts[:4] }, "drift layout: fstab mounts nothing at /swap"},
		{"swapfile one byte short", func(_ *Stick, m *Machine) { m.System.Swapfile.Size-- }, "drift memory: the swapfile is smaller than the memory"},
		{"swapfile one byte more", func(_ *Stick, m *Machine) { m.System.Swapfile.Size++ }, ""},
		{"no swapfile", func(_ *Stick, m *Machine) { m.System.Swapfile = nil }, "drift memory: this machine has no swapfile, and cannot hibernate"},
		{"swapfile with holes", func(_ *Stick, m *Machine) { m.System.Swapfile.Problem = "holes" }, "drift memory: the kernel would not swap to the swapfile"},
		{"swapfile planned too small", func(s *Stick, m *Machine) {
			s.Plan.Medium.Layout.Swapfile.Size, m.Plan.Medium.Layout.Swapfile.Size = "8GiB", "8GiB"
		}, "drift memory: the layout on the medium makes a swapfile that is smaller than the memory"},
		{"swapfile planned large enough", func(s *Stick, m *Machine) {
			s.Plan.Medium.Layout.Swapfile.Size, m.Plan.Medium.Layout.Swapfile.Size = "16GiB", "16GiB"
		}, ""},
		{"memory not known", func(_ *Stick, m *Machine) { m.Memory, m.Unknown[Memory] = 0, "why" }, "note memory: the memory was not looked at: why"},
		{"another restic", func(_ *Stick, m *Machine) { m.Restic = "v0.19.0" }, "note backup: restic on the medium is another one"},
		{"old backup", func(_ *Stick, m *Machine) {
			m.Backups[0].Repositories[0].Newest = now.Add(-staleBackup - time.Second)
		}, "drift backup: the newest snapshot is old"},
		{"one of two backups is old", func(_ *Stick, m *Machine) {
			m.Backups = append(m.Backups, inventory.Backup{Repositories: []inventory.Repository{{Path: "restic/fox", Newest: now.Add(-staleBackup - time.Second)}}})
		}, ""},
		{"old backup beside another machine's", func(_ *Stick, m *Machine) {
			m.Backups[0].Repositories[0].Newest = now.Add(-staleBackup - time.Second)
			m.Backups[0].Repositories = append(m.Backups[0].Repositories, inventory.Repository{Path: "restic/owl", Newest: now})
		}, "drift backup: the newest snapshot is old"},
		{"environment damaged, and the bytes are right", func(s *Stick, _ *Machine) { s.Unreadable = "x" }, "broken damage: the medium is damaged: its rescue environment cannot be read"},
		{"no backup disk", func(_ *Stick, m *Machine) { m.Backups = nil }, "note backup: no backup disk is plugged in: it was not looked at"},
		{"another kernel and mkimage", func(_ *Stick, m *Machine) { m.Mkimage, m.Kernel = "v2", "6.2.0" },
			"note version: the medium was made by another mkimage; note version: the medium starts another kernel than the one that runs"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, m := facts(t)
			test.in(s, m)
			list := Check(s, m)
			var got []string
			for _, f := range list {
				got = append(got, string(f.Severity)+" "+string(f.Kind)+": "+f.What)
				if f.Severity != Note && f.Do == "" {
					t.Errorf("%q says not what to do", f.What)
				}
			}
			if text := strings.Join(got, "; "); text != test.want {
				t.Errorf("Check = %q; want %q", text, test.want)
			}
			bad := slices.ContainsFunc(got, func(g string) bool { return !strings.HasPrefix(g, "note") })
			if Drifted(list) != bad {
				t.Errorf("Drifted = %v of %q", !bad, got)
			}
		})
	}
}

// TestChanged names what differs, and no more of it than a screen has.
func TestChanged(t *testing.T) {
	a, b := planOf(t).Profile, planOf(t).Profile
	b.Hostname, b.Kernel.Parameters = "owl", append(slices.Clone(b.Kernel.Parameters), "quiet")
	was, is := changed(a, b)
	if strings.Join(was, "; ") != "hostname = bandit" || !slices.Contains(is, "hostname = owl") || len(is) != 2 {
		t.Errorf("changed: was %q, is %q", was, is)
	}
	for n, want := range map[int]string{maxKeys - 1: "", maxKeys: "", maxKeys + 1: " and 1 more"} {
		if got := few(slices.Repeat([]string{"k"}, n)); strings.Contains(got, "more") != (want != "") || !strings.HasSuffix(got, want) {
			t.Errorf("few of %d = %q; want it to end in %q", n, got, want)
		}
	}
}
