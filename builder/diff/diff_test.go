package diff

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

const (
	uuidA = "3285a1fc-00c0-88af-be13-de26e6c3a6b1"
	uuidB = "CB038ABC-8fbf-83a0-b83e-619e8aef69e9"
)

func TestCompareEntries(t *testing.T) {
	entry := func(id, line string) Entry { return Entry{id, strings.Fields(line)} }
	for _, tt := range []struct {
		name          string
		before, after []Entry
		all           bool
		want          []EntryChange
	}{
		{"nothing", nil, nil, true, []EntryChange{}},
		{"words", []Entry{entry("a", "quiet x=1 x=1 splash")}, []Entry{entry("a", "splash x=1 loglevel=4 debug")}, false, []EntryChange{{"a", Changed, []string{"loglevel=4", "debug"}, []string{"quiet", "x=1"}}}},
		{"order", []Entry{entry("a", "x y")}, []Entry{entry("a", "y x")}, true, []EntryChange{}},
		{"entries", []Entry{entry("b", "x"), entry("c", "")}, []Entry{entry("a", "y"), entry("c", "")}, false, []EntryChange{{"a", Added, []string{"y"}, []string{}}, {"b", Removed, []string{}, []string{"x"}}}},
		{"identity", []Entry{entry("a", "root=PARTUUID="+uuidA)}, []Entry{entry("a", "root=PARTUUID="+uuidB)}, false, []EntryChange{}},
		{"identity, all", []Entry{entry("a", "root=PARTUUID="+uuidA)}, []Entry{entry("a", "root=PARTUUID="+uuidB)}, true, []EntryChange{{"a", Changed, []string{"root=PARTUUID=" + uuidB}, []string{"root=PARTUUID=" + uuidA}}}},
		{"another kind of identity", []Entry{entry("a", "root=PARTUUID="+uuidA)}, []Entry{entry("a", "root=UUID="+uuidA)}, false, []EntryChange{{"a", Changed, []string{"root=UUID=" + uuidA}, []string{"root=PARTUUID=" + uuidA}}}},
		{"longer than a UUID", []Entry{entry("a", uuidA+"0")}, []Entry{entry("a", uuidA+"1")}, false, []EntryChange{{"a", Changed, []string{uuidA + "1"}, []string{uuidA + "0"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, compareEntries(tt.before, tt.after, Options{All: tt.all})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestCompareUnits(t *testing.T) {
	const hash, other = "/nix/store/00000000000000000000000000000000-", "/nix/store/11111111111111111111111111111111-"
	text := func(s string) Unit { return Unit{Name: "u", Text: Digest(s)} }
	enabled := func(u Unit) Unit { u.Enabled = true; return u }
	masked := func(u Unit) Unit { u.Masked = true; return u }
	none, bare := Unit{}, Unit{Name: "u"}
	for _, tt := range []struct {
		name          string
		before, after Unit
		all           bool
		want          []Change
	}{
		{"same", enabled(text("x")), enabled(text("x")), true, nil},
		{"content", text("x"), text("y"), false, []Change{Changed}},
		{"content and enabled", text("x"), enabled(text("y")), false, []Change{Changed, Enabled}},
		{"disabled", enabled(text("x")), text("x"), false, []Change{Disabled}},
		{"masked", enabled(text("x")), masked(text("x")), false, []Change{Disabled, Masked}},
		{"unmasked", masked(text("x")), text("x"), false, []Change{Unmasked}},
		{"added", none, enabled(text("x")), false, []Change{Added, Enabled}},
		{"removed", enabled(masked(text("x"))), none, false, []Change{Removed}},
		{"instance", none, enabled(bare), false, []Change{Enabled}},
		{"no instance any more", enabled(bare), none, false, []Change{Disabled}},
		{"masked and nowhere", none, masked(bare), false, []Change{Masked}},
		{"no mask any more", masked(bare), none, false, []Change{Unmasked}},
		{"text of an instance", enabled(bare), enabled(text("")), false, []Change{Added}},
		{"text is gone", enabled(text("x")), enabled(bare), false, []Change{Removed}},
		{"other build", text("ExecStart=" + hash + "a-1.0/bin/a -x"), text("ExecStart=" + other + "a-1.1/bin/a -x"), false, nil},
		{"other build, all", text(hash + "a-1.0/bin/a"), text(other + "a-1.1/bin/a"), true, []Change{Changed}},
		{"other program", text(hash + "a-1.0/bin/a"), text(other + "b-1.0/bin/a"), false, []Change{Changed}},
		{"other argument", text(hash + "a-1.0/bin/a -x"), text(other + "a-1.1/bin/a -y"), false, []Change{Changed}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after []Unit
			if tt.before.Name != "" {
				before = append(before, tt.before)
			}
			if tt.after.Name != "" {
				after = append(after, tt.after)
			}
			want := []UnitChange{}
			if tt.want != nil {
				want = append(want, UnitChange{"u", tt.want})
			}
			if d := cmp.Diff(want, compareUnits(before, after, Options{All: tt.all})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestCompareJSON has the form that is promised to programs.
func TestCompareJSON(t *testing.T) {
	before := &System{
		Name: "a.img", Kind: NixOS, Generation: 1, Toplevel: "/nix/store/x", Release: "NixOS 1", Kernels: []string{"6.12.10", "6.12.9"},
		Packages: []Package{pkg("a", "1", 10, "a1"), pkg("b", "1", 1, "b")}, Entries: []Entry{{"system", []string{"quiet"}}}, Units: []Unit{{Name: "u", Text: Digest("x")}},
	}
	after := &System{Name: "b.img", Kind: NixOS, Packages: []Package{pkg("a", "2", 12, "a2"), pkg("b", "1", 1, "b")}, Entries: []Entry{{"system", nil}}, Unread: []string{"esp: x"}}
	report, err := Compare(before, after, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(report, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want := `{
 "before": {
  "name": "a.img",
  "kind": "nixos",
  "generation": 1,
  "toplevel": "/nix/store/x",
  "release": "NixOS 1",
  "packages": 2,
  "size": 11,
  "kernels": [
   "6.12.9",
   "6.12.10"
  ],
  "unread": []
 },
 "after": {
  "name": "b.img",
  "kind": "nixos",
  "packages": 2,
  "size": 13,
  "kernels": [],
  "unread": [
   "esp: x"
  ]
 },
 "packages_added": 1,
 "packages_removed": 1,
 "packages": [
  {
   "name": "a",
   "change": "changed",
   "direction": "upgrade",
   "selected": false,
   "before": [
    "1"
   ],
   "after": [
    "2"
   ],
   "size_before": 10,
   "size_after": 12
  }
 ],
 "parameters": [
  {
   "id": "system",
   "change": "changed",
   "added": [],
   "removed": [
    "quiet"
   ]
  }
 ],
 "units": [
  {
   "name": "u",
   "changes": [
    "removed"
   ]
  }
 ]
}`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if !report.Differs() {
		t.Error("no differences")
	}
}

func TestDiffers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*System)
		want   bool
	}{
		{"same", func(*System) {}, false},
		{"name and generation", func(s *System) { s.Name, s.Generation, s.Unread = "b", 2, []string{"x"} }, false},
		{"package", func(s *System) { s.Packages = nil }, true},
		{"kernel", func(s *System) { s.Kernels = nil }, true},
		{"entry", func(s *System) { s.Entries = nil }, true},
		{"unit", func(s *System) { s.Units = nil }, true},
	} {
		a := System{Name: "a", Kind: NixOS, Packages: []Package{pkg("a", "1", 1, "a")}, Kernels: []string{"6"}, Entries: []Entry{{"system", nil}}, Units: []Unit{{Name: "u", Text: Digest("")}}}
		b := a
		tt.change(&b)
		report, err := Compare(&a, &b, Options{All: true})
		if err != nil || report.Differs() != tt.want {
			t.Errorf("%s: Differs() = %v, %v; want %v", tt.name, !tt.want, err, tt.want)
		}
	}
}

func TestCompareRefuses(t *testing.T) {
	_, err := Compare(&System{Name: "a.img", Kind: NixOS}, &System{Name: "b.img", Kind: Debian}, Options{})
	want := "a.img is nixos and b.img is debian: their packages cannot be compared"
	if fault.ClassOf(err) != fault.Input || err.Error() != want {
		t.Errorf("error %v; want %q", err, want)
	}
}
