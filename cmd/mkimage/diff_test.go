package main

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/diff"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestParseSide(t *testing.T) {
	isFile := func(name string) bool { return name == "a.img" || name == "b#2.img" || name == "c.img#1" }
	for _, tt := range []struct {
		arg, name  string
		generation int
		wrong      bool
	}{
		{"a.img", "a.img", 0, false},
		{"a.img#1", "a.img", 1, false},
		{"a.img#42", "a.img", 42, false},
		{"b#2.img", "b#2.img", 0, false},
		{"b#2.img#3", "b#2.img", 3, false},
		{"c.img#1", "c.img#1", 0, false},
		{"absent", "absent", 0, false}, // for whoever opens it to say
		{"absent#1", "absent", 1, false},
		{"a.img#", "", 0, true}, {"a.img#0", "", 0, true}, {"a.img#-1", "", 0, true}, {"a.img#x", "", 0, true}, {"a.img#99999999999999999999", "", 0, true},
	} {
		name, generation, err := parseSide(tt.arg, isFile)
		if name != tt.name || generation != tt.generation || (err != nil) != tt.wrong || tt.wrong && fault.ClassOf(err) != fault.Usage {
			t.Errorf("parseSide(%q) = %q, %d, %v; want %q, %d", tt.arg, name, generation, err, tt.name, tt.generation)
		}
	}
}

func TestDiffPrint(t *testing.T) {
	report := &diff.Report{
		Before: diff.Side{Name: "a\x1b.img", Kind: diff.NixOS, Generation: 3, Packages: 2, Size: 2048, Kernels: []string{"6.12.1"}, Unread: []string{"ESP: x"}},
		After:  diff.Side{Name: "b.img", Kind: diff.NixOS, Packages: 3, Size: 1024},
		Come:   2, Gone: 1,
		Packages: []diff.PackageChange{
			{Name: "both", Change: diff.Changed, Before: []string{"", "1"}, After: []string{"1", "2"}, SizeBefore: 1, SizeAfter: 1},
			{Name: "down", Change: diff.Changed, Direction: diff.Downgrade, Before: []string{"2"}, After: []string{"1"}, SizeBefore: 2 << 20},
			{Name: "up", Change: diff.Changed, Direction: diff.Upgrade, Selected: true, Before: []string{"1"}, After: []string{"2"}, SizeAfter: 5},
			{Name: "built", Change: diff.Rebuilt, Before: []string{"1"}, After: []string{"1"}, SizeAfter: 9000},
			{Name: "new", Change: diff.Added, After: []string{""}},
			{Name: "old", Change: diff.Removed, Before: []string{"1", "2"}, SizeBefore: 1},
		},
		Entries: []diff.EntryChange{{ID: "system", Change: diff.Changed, Added: []string{"a"}, Removed: []string{"b", "c"}}, {ID: "x", Change: diff.Added, Added: []string{"y"}}},
		Units:   []diff.UnitChange{{Name: "u.service", Changes: []diff.Change{diff.Changed, diff.Enabled}}, {Name: "v.service", Changes: []diff.Change{diff.Removed}}},
	}
	const head = `before    "a\x1b.img", generation 3
after     b.img
paths     2 → 3, 2 added, 1 removed
size      2.0 KiB → 1.0 KiB, -1.0 KiB
kernel    6.12.1 → <none>

packages
`
	plain := head + `  C   both   <none>, 1 → 1, 2
  D   down   2 → 1             -2.0 MiB
  U*  up     1 → 2             +5 B
  R   built  1                 +8.8 KiB
  +   new    <none>
  -   old    1, 2              -1 B

kernel parameters
  ~  system  -b -c +a
  +  x       added

units
  ~  u.service  changed, enabled
  -  v.service
not read: "a\x1b.img": ESP: x
`
	colour := bytes.NewBufferString(plain).String()
	for mark, sgr := range map[string]string{"C   both": "33", "D   down": "31", "U*  up": "32", "+   new": "32", "-   old": "31", "~  system": "33", "+  x": "32", "~  u.s": "33", "-  v.s": "31"} {
		colour = string(bytes.Replace([]byte(colour), []byte("  "+mark), []byte("  \x1b["+sgr+"m"+mark[:1]+"\x1b[0m"+mark[1:]), 1))
	}
	for _, tt := range []struct {
		look diffLook
		want string
	}{{diffLook{}, plain}, {diffLook{colour: true}, colour}} {
		var b bytes.Buffer
		if err := tt.look.print(&b, report); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, b.String()); d != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.look, d)
		}
	}
	if err := (diffLook{}).print(fullDisk{}, report); !errors.Is(err, errFull) {
		t.Errorf("print to a full disk: %v", err)
	}
}

var errFull = errors.New("full")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }
