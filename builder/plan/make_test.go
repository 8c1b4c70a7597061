package plan

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

func mustMake(t testing.TB, p profiles.Profile, l layouts.Layout, o Options) *Plan {
	t.Helper()
	plan, err := Make(p, l, o)
	if err != nil {
		t.Fatalf("Make: %v", err)
	}
	return plan
}

func mustJSON(t testing.TB, p *Plan) string {
	t.Helper()
	data, err := p.JSON()
	if err != nil {
		t.Fatalf("JSON: %v", err)
	}
	return string(data)
}

// TestIdentity checks whence identities come: another profile, layout or seed
// gives others throughout, equal ones the same.
func TestIdentity(t *testing.T) {
	identities := func(p *Plan) []string {
		list := []string{p.Disk.GUID.String()}
		for _, part := range p.Disk.Partitions {
			list = append(list, part.PARTUUID.String(), part.FSID)
		}
		return list
	}
	base := identities(mustMake(t, laptop(), laptopLayout(), Options{}))
	if again := identities(mustMake(t, laptop(), laptopLayout(), Options{Epoch: time.Unix(1e9, 0), Size: 8 << 30})); !slices.Equal(base, again) {
		t.Errorf("epoch or size change identities: %v; want %v", again, base)
	}
	other, seed := laptop(), ids.Seed{1}
	other.Hostname = "other"
	changed := laptopLayout()
	changed.Root.Free++
	tests := []struct {
		name string
		plan *Plan
	}{
		{"profile", mustMake(t, other, laptopLayout(), Options{})},
		{"layout", mustMake(t, laptop(), changed, Options{})},
		{"seed", mustMake(t, laptop(), laptopLayout(), Options{Seed: &seed})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for i, id := range identities(test.plan) {
				if slices.Contains(base, id) {
					t.Errorf("identity %d is %s as before", i, id)
				}
			}
		})
	}
	p := tests[2].plan
	if got, want := p.Partition(RoleRoot).FSID, seed.UUID(ids.BtrfsFSID).String(); got != want {
		t.Errorf("fsid of root = %s; want %s, which the btrfs writer makes", got, want)
	}
	if got, err := p.Partition(RoleESP).Serial(); err != nil || got != seed.Serial(ids.FATSerial) {
		t.Errorf("serial of ESP = %#x, %v; want %#x", got, err, seed.Serial(ids.FATSerial))
	}
	if p.Partition("home") != nil {
		t.Error("a partition of role home is there")
	}
}

// TestLike keeps the identity of an older image whose profile and layout have the same
// names, unless a seed is named.
func TestLike(t *testing.T) {
	seed, named := ids.Seed{1}, ids.Seed{2}
	system, medium := mustMake(t, laptop(), laptopLayout(), Options{Seed: &seed}), mustMedium(t, Options{Seed: &seed})
	changed, renamed, moved, layout := laptop(), laptop(), laptop(), laptopLayout()
	changed.Hostname, renamed.Name, moved.Layout, layout.Name = "other", "other", "other", "other"
	for _, tt := range []struct {
		name      string
		plan      *Plan
		like      ids.Seed
		otherSeed bool
	}{
		{"the same", mustMake(t, laptop(), laptopLayout(), Options{Like: system}), system.Seed, false},
		{"other content", mustMake(t, changed, laptopLayout(), Options{Like: system}), system.Seed, false},
		{"other profile", mustMake(t, renamed, laptopLayout(), Options{Like: system}), system.Seed, true},
		{"other layout", mustMake(t, moved, layout, Options{Like: system}), system.Seed, true},
		{"named", mustMake(t, laptop(), laptopLayout(), Options{Like: system, Seed: &named}), named, false},
		{"medium", mustMedium(t, Options{Like: medium}), medium.Seed, false},
		{"medium like a system", mustMedium(t, Options{Like: system}), system.Seed, true},
		{"system like a medium", mustMake(t, laptop(), laptopLayout(), Options{Like: medium}), medium.Seed, true},
		{"medium, named", mustMedium(t, Options{Like: medium, Seed: &named}), medium.Seed, true},
	} {
		if (tt.plan.Seed != tt.like) != tt.otherSeed {
			t.Errorf("%s: seed %s; want another than %s: %v", tt.name, tt.plan.Seed, tt.like, tt.otherSeed)
		}
	}
}

// TestSerial refuses what is not the form of blkid.
func TestSerial(t *testing.T) {
	for _, in := range []string{"", "12345678", "1234-567", "123-45678", "1234-56789", "+123-4567", "GGGG-0000"} {
		if n, err := (&Partition{FSID: in}).Serial(); fault.ClassOf(err) != fault.Input {
			t.Errorf("Serial of %q = %#x, %v; want an input error", in, n, err)
		}
	}
	if n, err := (&Partition{FSID: "0A1B-2C3D"}).Serial(); err != nil || n != 0x0a1b2c3d {
		t.Errorf("Serial = %#x, %v; want 0xa1b2c3d", n, err)
	}
}

// TestPure makes a plan under another directory, time zone, umask and
// environment, and with the arguments looked at afterwards.
func TestPure(t *testing.T) {
	p, l := laptop(), memoryLayout()
	want := mustJSON(t, mustMake(t, p, l, Options{}))
	if diff := cmp.Diff(laptop(), p); diff != "" {
		t.Errorf("the profile was changed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(memoryLayout(), l); diff != "" {
		t.Errorf("the layout was changed (-want +got):\n%s", diff)
	}
	t.Chdir(t.TempDir())
	for _, name := range []string{"SOURCE_DATE_EPOCH", "LANG", "TZ", "HOME", "USER"} {
		t.Setenv(name, "12345")
	}
	if host, err := os.Hostname(); err == nil && strings.Contains(want, `"`+host+`"`) {
		t.Errorf("the plan holds the name of this machine, %q", host)
	}
	made := mustMake(t, p, l, Options{})
	if got := mustJSON(t, made); got != want {
		t.Errorf("another environment gives another plan:\n%s", cmp.Diff(want, got))
	}
	made.Profile.Users[0].Groups[0], made.Layout.Root.Options[0] = "x", "x"
	if p.Users[0].Groups[0] == "x" || l.Root.Options[0] == "x" {
		t.Error("the plan shares memory with its arguments")
	}
}

// TestSays does not tell what is left out from what is empty.
func TestSays(t *testing.T) {
	p, l := laptop(), laptopLayout()
	p.Packages, p.Units.Mask, l.Subvolumes[0].Options = []string{}, []string{}, []string{}
	if got, want := mustJSON(t, mustMake(t, p, l, Options{})), mustJSON(t, mustMake(t, laptop(), laptopLayout(), Options{})); got != want {
		t.Errorf("empty lists make a difference:\n%s", cmp.Diff(want, got))
	}
}

// TestSize asks for disks around the least and around the alignment.
func TestSize(t *testing.T) {
	least := Alignment + 1<<30 + minRoot + 64<<20 + Alignment
	tests := []struct {
		name string
		size int64
		root int64 // size of the root partition; 0 for an error
	}{
		{"least", least, minRoot + 64<<20},
		{"a sector less", least - sectorSize, 0},
		{"a sector more", least + sectorSize, minRoot + 64<<20},
		{"a MiB more", least + Alignment, minRoot + 65<<20},
		{"no whole sectors", least + 1, 0},
		{"tiny", sectorSize, 0},
		{"negative", -sectorSize, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := Make(laptop(), laptopLayout(), Options{Size: test.size})
			switch {
			case test.root == 0:
				if fault.ClassOf(err) != fault.Usage {
					t.Errorf("Make: %v; want a usage error", err)
				}
			case err != nil || p.Partition(RoleRoot).Size != test.root:
				t.Errorf("Make: %v; want a root partition of %d bytes", err, test.root)
			}
		})
	}
	_, err := Make(laptop(), laptopLayout(), Options{Size: 1 << 30})
	if want := "disk too small for layout laptop: needs 1277165568 bytes, has 1073741824"; err == nil || err.Error() != want {
		t.Errorf("error %v; want %q", err, want)
	}
	if want := "use a size of at least 1218 MiB, or leave it out for the smallest that fits"; fault.HintOf(err) != want {
		t.Errorf("hint %q; want %q", fault.HintOf(err), want)
	}
}

// TestEpoch takes whole seconds in UTC that FAT can hold.
func TestEpoch(t *testing.T) {
	vienna := time.FixedZone("", 3600)
	tests := []struct {
		name string
		in   time.Time
		want string
	}{
		{"none", time.Time{}, "2025-01-01T00:00:00Z"},
		{"zone and fraction", time.Date(2026, 5, 1, 1, 2, 3, 999, vienna), "2026-05-01T00:02:03Z"},
		{"first", time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), "1980-01-01T00:00:00Z"},
		{"before it", time.Date(1980, 1, 1, 0, 0, 0, 0, vienna), ""},
		{"last", time.Date(2107, 12, 31, 23, 59, 59, 0, time.UTC), "2107-12-31T23:59:59Z"},
		{"after it", time.Date(2108, 1, 1, 0, 0, 0, 0, time.UTC), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := Make(laptop(), laptopLayout(), Options{Epoch: test.in})
			switch {
			case test.want == "":
				if fault.ClassOf(err) != fault.Usage {
					t.Errorf("Make: %v; want a usage error", err)
				}
			case err != nil || p.Epoch.Format(time.RFC3339Nano) != test.want:
				t.Errorf("Make: %v; want the epoch %s", err, test.want)
			}
		})
	}
}

// TestCmdlineLength meets the kernel's limit exactly.
func TestCmdlineLength(t *testing.T) {
	longest := func(n int) (*Plan, error) {
		p := laptop()
		p.Kernel.Parameters = []string{"x=" + strings.Repeat("y", n)}
		return Make(p, laptopLayout(), Options{})
	}
	p, err := longest(1)
	if err != nil {
		t.Fatal(err)
	}
	spare := MaxCmdline - len(strings.Join(p.Entries[1].Cmdline, " "))
	for _, test := range []struct {
		more int
		ok   bool
	}{{spare - 1, true}, {spare, true}, {spare + 1, false}} {
		_, err := longest(1 + test.more)
		if ok := err == nil; ok != test.ok || !ok && fault.ClassOf(err) != fault.Config {
			t.Errorf("%d bytes below the limit: %v", spare-test.more, err)
		}
	}
}

// TestNoFolders plans from files in two folders: where they lie is nothing to
// the image.
func TestNoFolders(t *testing.T) {
	var plans []string
	for _, dir := range []string{"/a/b/", "", "../"} {
		p := laptop()
		p.Source = "tar:" + dir + "rootfs.tar"
		p.Users[0].PasswordFile = dir + "hash"
		data, err := mustMake(t, p, laptopLayout(), Options{}).JSON()
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, string(data))
		if !strings.Contains(string(data), `"tar:rootfs.tar"`) || p.Source != "tar:"+dir+"rootfs.tar" {
			t.Errorf("source %s: not in the plan without its folder, or the profile was changed", p.Source)
		}
	}
	if plans[0] != plans[1] || plans[0] != plans[2] {
		t.Errorf("plans differ:\n%s", cmp.Diff(plans[0], plans[1]))
	}
}

// TestNoStores plans one NixOS system out of several places, whose names are nothing to
// the image either.
func TestNoStores(t *testing.T) {
	const object = "/nix/store/8imkijbx8qjiyl5bask7p14jr2idq8nr-nixos-system-fox"
	for want, sources := range map[string][]string{
		"nix:" + object: {"nix:" + object, "cache:https://host#" + object, "cache:/srv#" + object},
		"nix:#fox":      {"nix:.#fox", "nix:/srv/flake?dir=x#fox", "nix:github:a/b#fox"},
	} {
		var plans []string
		for i, source := range sources {
			p := laptop()
			p.Source, p.Nix.Store = source, []string{"", "/srv", "/"}[i]
			made := mustMake(t, p, laptopLayout(), Options{})
			data, err := made.JSON()
			if err != nil {
				t.Fatal(err)
			}
			if plans = append(plans, string(data)); plans[0] != plans[i] || made.Profile.Source != want {
				t.Errorf("%s: source %s; want %s and the plan of %s:\n%s", source, made.Profile.Source, want, sources[0], cmp.Diff(plans[0], plans[i]))
			}
		}
	}
}

// TestOptimise: that equal files are linked is something to the image.
func TestOptimise(t *testing.T) {
	p := laptop()
	p.Source, p.Nix.Store, p.Nix.AutoOptimiseStore = "nix:.#fox", "/srv", new(bool)
	made := mustMake(t, p, laptopLayout(), Options{})
	if nix := made.Profile.Nix; nix.AutoOptimiseStore == nil || *nix.AutoOptimiseStore || nix.Store != "" {
		t.Errorf("plan has %+v", nix)
	}
}
