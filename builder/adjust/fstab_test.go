package adjust

import (
	"testing"

	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// TestFstabIsRaw: the table is the text that Fstab gives for the plan, also
// where it is behind a symlink, and is stored as it is.
func TestFstabIsRaw(t *testing.T) {
	for _, source := range [][]string{
		small(), small("f /etc/fstab UNCONFIGURED;"), small("f /etc/static/fstab old;", "l /etc/fstab static/fstab"),
	} {
		tree := makeTree(t, source...)
		apply(t, tree, profile())
		entry, err := tree.Follow("/etc/fstab")
		if err != nil || entry == nil || !entry.IsRaw() {
			t.Errorf("source %q: fstab %+v, %v; want it to be raw", source, entry, err)
			continue
		}
		want := Fstab(makePlan(t, profile(), layout()))
		if got := content(t, entry); got != want {
			t.Errorf("source %q: fstab %q; want %q", source, got, want)
		}
	}
}

// TestFstabOfSeeds: plans that differ in their seed alone give texts of equal
// length that differ.
func TestFstabOfSeeds(t *testing.T) {
	of := func(seed ids.Seed) string {
		p, err := plan.Make(profile(), layout(), plan.Options{Seed: &seed})
		if err != nil {
			t.Fatal(err)
		}
		return Fstab(p)
	}
	a, b := of(ids.Seed{1}), of(ids.Seed{2})
	if len(a) != len(b) || a == b {
		t.Errorf("fstab %q and %q; want others of equal length", a, b)
	}
}
