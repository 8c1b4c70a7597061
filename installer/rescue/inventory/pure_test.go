package inventory

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	btrfs "github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

func TestMatch(t *testing.T) {
	guid := ids.Seed{1}.UUID("root")
	host := &plan.Plan{
		Profile: profiles.Profile{Name: "bandit", Hostname: "bandit"}, Layout: layouts.Layout{Root: layouts.Root{Label: "nixos"}, Subvolumes: []layouts.Subvolume{{Name: "@"}, {Name: "@home"}}},
		Disk: plan.Disk{Partitions: []plan.Partition{{Role: plan.RoleRoot, PARTUUID: guid}}},
	}
	subvolumes := []Subvolume{{Path: "@"}, {Path: "@home"}}
	same := System{Root: Place{PARTUUID: strings.ToUpper(guid.String())}, Hostname: "renamed"}
	named := System{Hostname: "bandit"}
	shaped := System{Label: "nixos", Subvolumes: subvolumes}
	made := System{ESP: &ESP{Profile: "bandit"}}
	other := System{Hostname: "fox", Label: "nixos", Subvolumes: subvolumes, ESP: &ESP{Profile: "bandit"}}
	small := System{Label: "nixos", Subvolumes: subvolumes[:1]}
	tests := []struct {
		name string
		in   []System
		want int // index of the host's own, -1 for none
		note bool
	}{
		{"none", nil, -1, false},
		{"partition counts most", []System{named, same}, 1, false},
		{"name before profile", []System{made, named}, 1, false},
		{"profile before layout", []System{shaped, made}, 1, false},
		{"layout alone", []System{small, shaped}, 1, false},
		{"another machine", []System{other}, -1, false},
		{"two of a name", []System{named, named}, -1, true},
		{"two, and a better one", []System{shaped, shaped, named}, 2, false},
		{"something smaller", []System{small}, -1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inv := &Inventory{Systems: slices.Clone(tt.in)}
			for i := range inv.Systems {
				inv.Systems[i].ID = fmt.Sprint(i)
			}
			inv.match(host)
			want := ""
			if tt.want >= 0 {
				want = fmt.Sprint(tt.want)
			}
			if inv.Mine != want || (len(inv.Problems) == 1) != tt.note {
				t.Errorf("mine %q, problems %v; want %q, a note: %v", inv.Mine, inv.Problems, want, tt.note)
			}
		})
	}
	// The partitions of a medium are not those of what it installs, but its layout is.
	medium := *host
	medium.Medium = &plan.Medium{Layout: host.Layout}
	medium.Layout = layouts.Layout{Root: layouts.Root{Label: "payload"}}
	if s := same; s.match(&medium) != 0 {
		t.Errorf("a partition of the medium matches: %q", s.Matches)
	}
	if s := shaped; s.match(&medium) != 1 {
		t.Errorf("the layout of what a medium installs does not match: %q", s.Matches)
	}
}

func TestNameOf(t *testing.T) {
	at := Place{PARTUUID: "ab-1", PARTLABEL: "Root"}
	for _, tt := range []struct {
		tag   fstab.Tag
		value string
		want  bool
	}{
		{fstab.UUID, "CD-2", true}, {fstab.UUID, "ab-1", false}, {fstab.Label, "nixos", true}, {fstab.Label, "NIXOS", false},
		{fstab.PARTUUID, "AB-1", true}, {fstab.PARTLABEL, "Root", true}, {fstab.PARTLABEL, "root", false}, {"ID", "x", false},
	} {
		if got := nameOf(at, "cd-2", "nixos", tt.tag, tt.value); got != tt.want {
			t.Errorf("%s=%s: %v; want %v", tt.tag, tt.value, got, tt.want)
		}
	}
	for _, tag := range []fstab.Tag{fstab.UUID, fstab.Label, fstab.PARTUUID, fstab.PARTLABEL} {
		if nameOf(Place{}, "", "", tag, "") {
			t.Errorf("%s= means something without a name", tag)
		}
	}
}

func TestPlaceString(t *testing.T) {
	for _, tt := range []struct {
		in   Place
		want string
	}{
		{Place{Disk: "/dev/sda", Node: "/dev/sda1", Number: 1, Start: 5}, "/dev/sda1"},
		{Place{Disk: "x.img", Number: 2, Start: 5}, "x.img#2"},
		{Place{Disk: "x.img", Start: 1048576}, "x.img@1048576"},
		{Place{Disk: "/dev/sda"}, "/dev/sda"},
	} {
		if got := tt.in.String(); got != tt.want {
			t.Errorf("%+v: %q; want %q", tt.in, got, tt.want)
		}
	}
}

func TestSortProblems(t *testing.T) {
	inv := &Inventory{Mine: "b", Problems: []Problem{
		{Severity: Note, Text: "1"}, {Severity: Boot, System: "a", Text: "2"}, {Severity: Boot, System: "b", Text: "3"}, {Severity: Danger, System: "a", Text: "4"}, {Severity: Damage, Text: "5"}, {Severity: Damage, Text: "6"},
	}}
	sortProblems(inv)
	got := ""
	for _, p := range inv.Problems {
		got += p.Text
	}
	if got != "456321" {
		t.Errorf("order %s; want 456321", got)
	}
}

func TestProblemsLimit(t *testing.T) {
	for n, want := range map[int]int{maxProblems - 1: maxProblems - 1, maxProblems: maxProblems, maxProblems + 1: maxProblems} {
		var p problems
		for range n {
			p.add(Note, "x", "", "y")
		}
		if len(p.list) != want {
			t.Errorf("%d problems: %d are kept; want %d", n, len(p.list), want)
		}
	}
}

func TestTextOfDisk(t *testing.T) {
	for in, want := range map[string]string{" a\n": "a", "\xff": "\ufffd", strings.Repeat("x", maxLine-1): strings.Repeat("x", maxLine-1), strings.Repeat("x", maxLine): strings.Repeat("x", maxLine), strings.Repeat("x", maxLine+1): strings.Repeat("x", maxLine)} {
		if got := text(in); got != want {
			t.Errorf("text of %d bytes: %d; want %d", len(in), len(got), len(want))
		}
	}
}

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"empty", "", []string{""}},
		{"fits", "aaa bbb", []string{"aaa bbb"}},
		{"one too many", "aaa bbbb", []string{"aaa", "bbbb"}},
		{"one less", "aaa bb", []string{"aaa bb"}},
		{"long word", "aaaaaaaaa b", []string{"aaaaaaa", "aa b"}},
		{"long word behind another", "a bbbbbbbbb", []string{"a", "bbbbbbb", "bb"}},
		{"as long as a line", "aaaaaaa b", []string{"aaaaaaa", "b"}},
		{"characters, not bytes", "ääää öö", []string{"ääää öö"}},
	} {
		if diff := cmp.Diff(tt.want, wrap(tt.in, 7)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestTextHostile: what a disk calls itself is no command for a terminal.
func TestTextHostile(t *testing.T) {
	inv := &Inventory{Systems: []System{{ID: "x", Hostname: "\x1b[2J", Release: strings.Repeat("long", 50)}}, Problems: []Problem{{Severity: Boot, Object: "x", Text: "\x1b[31m"}}}
	var b strings.Builder
	must(t, Text(&b, inv, 1))
	if strings.Contains(b.String(), "\x1b") {
		t.Errorf("the text has an escape: %q", &b)
	}
	for line := range strings.Lines(b.String()) {
		if n := len([]rune(strings.TrimSpace(line))); n > minWidth {
			t.Errorf("a line of %d columns: %q", n, line)
		}
	}
}

func TestCutID(t *testing.T) {
	for in, want := range map[string]string{"@.old-ab12": "@", "@home.old-x": "@home", "@.old-": "", ".old-x": "", "@.old-X": "", "@.new-x": "", "@.old-a.old-b": "@.old-a"} {
		if got, ok := cutID(in, ".old-"); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", in, got, ok, want)
		}
	}
}

// TestRoles: what subvolumes are that nothing mounts.
func TestRoles(t *testing.T) {
	uuid := func(n byte) ids.UUID { return ids.UUID{n} }
	f := &finder{list: []btrfs.Subvolume{
		{Path: "@", UUID: uuid(1)},
		{Path: "@factory", UUID: uuid(2), ParentUUID: uuid(1), ReadOnly: true},
		{Path: "@factory-var", UUID: uuid(3), ParentUUID: uuid(99)},
		{Path: "@factoryx", UUID: uuid(4)},
		{Path: "@home/.snapshots", UUID: uuid(5)},
		{Path: "@home/.snapshots/1/snapshot", UUID: uuid(6), ParentUUID: uuid(99)},
		{Path: "@home/.snapshots/2", UUID: uuid(7)},
		{Path: "@var.old-x/portables", UUID: uuid(8)},
		{Path: "btrbk/@.1", UUID: uuid(9), ParentUUID: uuid(1)},
		{Path: "var/lib/machines", UUID: uuid(10)},
		{Path: ".snapshots", UUID: uuid(11)},
		{Path: "copy", UUID: uuid(12), ParentUUID: uuid(99)},
	}}
	f.subvolumes()
	var got []string
	for _, s := range f.sys.Subvolumes {
		got = append(got, fmt.Sprintf("%s %s %s", s.Path, s.Role, s.Of))
	}
	want := []string{
		"@ other ", "@factory factory @", "@factory-var factory @var", "@factoryx other ", "@home/.snapshots snapshots @home", "@home/.snapshots/1/snapshot snapshot @home", "@home/.snapshots/2 snapshot @home",
		"@var.old-x/portables old @var/portables", "btrbk/@.1 snapshot @", "var/lib/machines other ", ".snapshots snapshots ", "copy snapshot ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
}

func TestSubvolumesLimit(t *testing.T) {
	for n, ok := range map[int]bool{maxSubvolumes - 1: true, maxSubvolumes: true, maxSubvolumes + 1: false} {
		f := &finder{list: make([]btrfs.Subvolume, n)}
		f.subvolumes()
		if got := len(f.sys.Subvolumes); got != min(n, maxSubvolumes) || (len(f.problems.list) == 0) != ok {
			t.Errorf("%d subvolumes: %d are told, problems %v", n, got, f.problems.list)
		}
	}
}

// TestRepositoryLimits has as many keys and snapshots as are read, and one more.
func TestRepositoryLimits(t *testing.T) {
	for n, want := range map[int]int{maxKeys - 1: maxKeys - 1, maxKeys: maxKeys, maxKeys + 1: maxKeys} {
		files := fstest.MapFS{"r/snapshots/a": {}}
		for i := range n {
			files[fmt.Sprintf("r/keys/%d", i)] = &fstest.MapFile{Data: []byte(goodKey)}
		}
		r := Repository{Path: "r"}
		r.read(files)
		if len(r.Keys) != want || r.Problem != "" {
			t.Errorf("%d keys: %d are read, %q; want %d", n, len(r.Keys), r.Problem, want)
		}
	}
	for n, seen := range map[int]bool{maxSnapshots - 1: true, maxSnapshots: true, maxSnapshots + 1: false} {
		files := fstest.MapFS{"r/keys/x": {Data: []byte(goodKey)}}
		for i := range n {
			files[fmt.Sprintf("r/snapshots/%08d", i)] = &fstest.MapFile{ModTime: time.Unix(int64(i+1), 0)}
		}
		r := Repository{Path: "r"}
		r.read(files)
		if r.Files != n || (r.Newest.Unix() == int64(n)) != seen {
			t.Errorf("%d snapshots: %d, the newest of %v", n, r.Files, r.Newest)
		}
	}
}

func TestPrettyName(t *testing.T) {
	for in, want := range map[string]string{"": "", "NAME=A\n": "A", "NAME=A\nPRETTY_NAME=\"A 1\"\n": "A 1", "PRETTY_NAME='B'": "B", "x": ""} {
		if got := prettyName(in); got != want {
			t.Errorf("%q: %q; want %q", in, got, want)
		}
	}
}

// TestTextStates: what a text says of the host and of a system besides.
func TestTextStates(t *testing.T) {
	host := &Host{Hostname: "fox", Profile: "bandit-full"}
	for _, tt := range []struct {
		name string
		in   Inventory
		want string
	}{
		{"nobody said", Inventory{}, "Rescue of whatever is here: no plan says which machine is meant."},
		{"not here", Inventory{Host: host}, "Rescue of fox (bandit-full): no system here is known to be its own."},
		{"here", Inventory{Host: host, Mine: "x"}, "Rescue of fox (bandit-full): its system is on x."},
		{"unclean", Inventory{Systems: []System{{ID: "x", Unclean: true}}}, "was not unmounted"},
		{"many generations", Inventory{Systems: []System{{ID: "x", Generations: make([]Generation, shownGenerations+1)}}}, "and 1 more"},
		{"snapshots of what is gone", Inventory{Systems: []System{{ID: "x", Subvolumes: []Subvolume{{Path: "s", Role: RoleSnapshot, Of: "@gone"}}}}}, "snapshot    1 subvolume of what is not mounted"},
	} {
		var b strings.Builder
		must(t, Text(&b, &tt.in, 200))
		if !strings.Contains(b.String(), tt.want) {
			t.Errorf("%s:\n%swant %q", tt.name, &b, tt.want)
		}
	}
}
