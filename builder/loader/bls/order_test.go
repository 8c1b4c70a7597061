package bls_test

import (
	"errors"
	"os/exec"
	"slices"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
)

func TestCompare(t *testing.T) {
	entry := func(file, key, version string) bls.Named {
		return bls.Named{File: file, Entry: bls.Entry{SortKey: key, Version: version}}
	}
	// In the order of the menu.
	list := []bls.Named{
		entry("z.conf", "a", "1"),
		entry("nixos-generation-10+2-1.conf", "nixos", "Generation 10 Fox, built on 2025-01-01"),
		entry("nixos-generation-10-specialisation-x.conf", "nixos", "Generation 10 Fox, built on 2025-01-01"),
		entry("nixos-generation-9.conf", "nixos", "Generation 9 Fox, built on 2026-01-01"),
		entry("a.conf", "nixos", "Generation 09 Fox, built on 2025-12-31"),
		entry("a.conf", "nixos", "Generation 1"),
		entry("a.conf", "nixos", "Generation 0"),
		entry("a.conf", "nixos", ""),
		entry("linux-6.12.conf", "", "1"),
		entry("LINUX-6.2.1.conf", "", "3"),
		entry("linux-6.2.conf", "", "2"),
		entry("z+0-3.conf", "a", "2"),
		entry("z+00.conf", "a", "1"),
	}
	for i, a := range list {
		for j, b := range list {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := bls.Compare(a, b); got != want {
				t.Errorf("Compare(%s %+v, %s %+v) = %d; want %d", a.File, a.Entry, b.File, b.Entry, got, want)
			}
		}
	}
}

// versions are in no order.
var versions = []string{
	"", "~", "-", "^", ".", "a", "A", "1", "01", "0", "00", "10", "9", "1a", "a1", "1~rc", "1-1", "1-2", "1^a", "1.1", "1.", "1..1", "1 1", "1_1", "1--2", "1-~2",
	"ä", "aä1", "~~", "~1", "Generation 10 Fox, built on 2025-01-01", "Generation 9 Fox, built on 2026-01-01", "Generation 9 Fox (x), built on 2026-01-01",
	"nixos-generation-5.conf", "nixos-generation-5-specialisation-x.conf", "nixos-generation-10.conf", "6.12.1+deb13-amd64", "6.12.1-amd64",
	"18446744073709551616", "18446744073709551617",
}

// TestCompareVersions wants the order that systemd has. Of a sorted list neighbours tell.
func TestCompareVersions(t *testing.T) {
	imgtest.Need(t, "systemd-analyze")
	slices.SortFunc(versions, bls.CompareVersions)
	for i, b := range versions[1:] {
		a := versions[i]
		// It ends with 0 for equal ones, and with 12 where the second is newer.
		want, code := 0, (*exec.ExitError)(nil)
		if err := exec.Command("systemd-analyze", "compare-versions", "--", a, b).Run(); errors.As(err, &code) {
			want = map[int]int{11: 1, 12: -1}[code.ExitCode()]
		} else if err != nil {
			t.Fatal(err)
		}
		if got := bls.CompareVersions(a, b); got != want {
			t.Errorf("CompareVersions(%q, %q) = %d; want %d", a, b, got, want)
		}
	}
}

// FuzzCompareVersions wants an end, and one order whichever text comes first.
func FuzzCompareVersions(f *testing.F) {
	f.Add("1~rc-2^x.3", "1~rc-2^x.03 ä")
	f.Fuzz(func(t *testing.T, a, b string) {
		if got, back := bls.CompareVersions(a, b), bls.CompareVersions(b, a); got != -back {
			t.Errorf("%d, and %d the other way", got, back)
		}
		if bls.CompareVersions(a, a) != 0 {
			t.Error("a text differs from itself")
		}
	})
}
