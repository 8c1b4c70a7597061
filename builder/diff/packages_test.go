package diff

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func pkg(name, version string, size int64, id string) Package {
	return Package{Name: name, Version: version, Size: size, ID: id}
}

func selected(p Package) Package {
	p.Selected = true
	return p
}

func TestComparePackages(t *testing.T) {
	type list = []Package
	for _, tt := range []struct {
		name          string
		kind          Kind
		before, after list
		all           bool
		want          []PackageChange
	}{
		{"nothing", NixOS, nil, nil, true, []PackageChange{}},
		{"same", NixOS, list{pkg("a", "1", 5, "x")}, list{pkg("a", "1", 5, "x")}, true, []PackageChange{}},
		{"in this order", NixOS,
			list{pkg("z", "1", 1, "z1"), pkg("same", "1", 1, "s"), pkg("gone", "1", 4, "g"), pkg("built", "1", 1, "b1"), pkg("a", "2", 1, "a2")},
			list{pkg("new", "", 3, "n"), pkg("z", "1.1", 2, "z2"), pkg("same", "1", 1, "s"), pkg("built", "1", 20000, "b2"), pkg("a", "1", 1, "a1")}, false,
			[]PackageChange{
				{"a", Changed, Downgrade, false, []string{"2"}, []string{"1"}, 1, 1},
				{"z", Changed, Upgrade, false, []string{"1"}, []string{"1.1"}, 1, 2},
				{"built", Rebuilt, "", false, []string{"1"}, []string{"1"}, 1, 20000},
				{"new", Added, "", false, []string{}, []string{""}, 0, 3},
				{"gone", Removed, "", false, []string{"1"}, []string{}, 4, 0},
			}},
		{"several versions", NixOS,
			list{pkg("a", "10", 1, "a10"), pkg("a", "9", 1, "a9"), pkg("a", "9", 2, "a9-bin"), pkg("b", "1", 1, "b1"), pkg("c", "1", 1, "c1"), pkg("c", "4", 1, "c4")},
			list{pkg("a", "11", 1, "a11"), pkg("a", "9", 1, "a9"), pkg("b", "1", 1, "b1"), pkg("b", "2", 1, "b2"), pkg("c", "2", 1, "c2"), pkg("c", "3", 1, "c3")}, false,
			[]PackageChange{
				{"a", Changed, Upgrade, false, []string{"9", "10"}, []string{"9", "11"}, 4, 2},
				{"b", Changed, "", false, []string{"1"}, []string{"1", "2"}, 1, 2},
				{"c", Changed, "", false, []string{"1", "4"}, []string{"2", "3"}, 2, 2},
			}},
		{"selected on either side", NixOS,
			list{selected(pkg("a", "1", 1, "a1")), pkg("b", "1", 1, "b1"), selected(pkg("c", "1", 1, "c1"))}, list{pkg("a", "2", 1, "a2"), selected(pkg("b", "2", 1, "b2"))}, false,
			[]PackageChange{
				{"a", Changed, Upgrade, true, []string{"1"}, []string{"2"}, 1, 1}, {"b", Changed, Upgrade, true, []string{"1"}, []string{"2"}, 1, 1},
				{"c", Removed, "", true, []string{"1"}, []string{}, 1, 0},
			}},
		// Nix takes 1~rc1 for newer than 1, dpkg for older.
		{"order of Nix", NixOS, list{pkg("a", "1", 1, "x")}, list{pkg("a", "1~rc1", 1, "y")}, false, []PackageChange{{"a", Changed, Upgrade, false, []string{"1"}, []string{"1~rc1"}, 1, 1}}},
		{"order of Debian", Debian, list{pkg("a", "1", 1, "x")}, list{pkg("a", "1~rc1", 1, "y")}, false, []PackageChange{{"a", Changed, Downgrade, false, []string{"1"}, []string{"1~rc1"}, 1, 1}}},
		{"epoch", Debian, list{pkg("a", "1:1", 1, "x")}, list{pkg("a", "2", 1, "y")}, false, []PackageChange{{"a", Changed, Downgrade, false, []string{"1:1"}, []string{"2"}, 1, 1}}},
		{"versions of one rank", Debian, list{pkg("a", "1.0", 1, "x")}, list{pkg("a", "1.00", 1, "y")}, false, []PackageChange{{"a", Changed, "", false, []string{"1.0"}, []string{"1.00"}, 1, 1}}},
		{"other content, all", NixOS, list{pkg("a", "1", 1, "x")}, list{pkg("a", "1", 1, "y")}, true, []PackageChange{{"a", Rebuilt, "", false, []string{"1"}, []string{"1"}, 1, 1}}},
		{"other content", NixOS, list{pkg("a", "1", 1, "x")}, list{pkg("a", "1", 1, "y")}, false, []PackageChange{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := comparePackages(&System{Kind: tt.kind, Packages: tt.before}, &System{Kind: tt.kind, Packages: tt.after}, Options{All: tt.all})
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestThreshold has packages that grow or shrink by about as much as is told of.
func TestThreshold(t *testing.T) {
	const size = 1 << 20
	for _, grown := range []int64{-Threshold - 1, -Threshold, -Threshold + 1, 0, Threshold - 1, Threshold, Threshold + 1} {
		for _, all := range []bool{false, true} {
			before, after := &System{Kind: Debian, Packages: []Package{pkg("a", "1", size, "a")}}, &System{Kind: Debian, Packages: []Package{pkg("a", "1", size+grown, "a")}}
			got := comparePackages(before, after, Options{All: all})
			want := grown < -Threshold || grown > Threshold || all && grown != 0
			if (len(got) == 1) != want || want && (got[0].Change != Rebuilt || got[0].Grown() != grown) {
				t.Errorf("grown by %d, all %v: %+v; want it told: %v", grown, all, got, want)
			}
		}
	}
}
