package source_test

import (
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// ascending are versions in Debian's order; a list within has equal ones.
var ascending = [][]string{
	{"~~"}, {"~~a"}, {"~"}, {"", "0", "00", "0-0", "-0", "0:0"},
	{"0a"}, {"0+"}, {"0.1"},
	{"1~~"}, {"1~rc1"}, {"1", "01", "1-0", "0:1"}, {"1-1"}, {"1a"}, {"1.0~beta1~svn1245"}, {"1.0~beta1"}, {"1.0", "1.00"},
	{"1.0-1~bpo12+1"}, {"1.0-1"}, {"1.0-1+b1"}, {"1.0-1.1"}, {"1.0-2"}, {"1.0-10"},
	{"6.9"}, {"6.12~rc1"}, {"6.12"}, {"6.12.117+deb13-amd64"}, {"6.12.118+deb13-amd64"}, {"6.13"},
	{"99999999999999999999999"}, {"100000000000000000000000"}, {"1:0"}, {"2:0"}, {"10:0"},
}

func TestCompareVersions(t *testing.T) {
	type ranked struct {
		version string
		rank    int
	}
	var all []ranked
	for i, equal := range ascending {
		for _, v := range equal {
			all = append(all, ranked{v, i})
		}
	}
	for _, a := range all {
		for _, b := range all {
			want := max(-1, min(1, a.rank-b.rank))
			if got := source.CompareVersions(a.version, b.version); got != want {
				t.Errorf("CompareVersions(%q, %q) = %d; want %d", a.version, b.version, got, want)
			}
		}
	}
}

// plainVersion are the characters of versions.
var plainVersion = regexp.MustCompile(`^[0-9A-Za-z.+:~-]+$`)

// FuzzCompareVersions compares with dpkg, where both take the texts for versions,
// and else looks for an order at all.
func FuzzCompareVersions(f *testing.F) {
	for i := range ascending {
		f.Add(ascending[i][0], ascending[(i+1)%len(ascending)][0])
	}
	f.Add("1:1.2.3-4ubuntu5~6", "1:1.2.3+dfsg-4")
	dpkg, _ := exec.LookPath("dpkg")
	f.Fuzz(func(t *testing.T, a, b string) {
		got := source.CompareVersions(a, b)
		if back := source.CompareVersions(b, a); back != -got {
			t.Fatalf("CompareVersions(%q, %q) = %d, and %d the other way round", a, b, got, back)
		}
		if source.CompareVersions(a, a) != 0 {
			t.Fatalf("CompareVersions(%q, itself) is not 0", a)
		}
		// dpkg takes an empty version for none at all, and trims blanks.
		if dpkg == "" || !plainVersion.MatchString(a) || !plainVersion.MatchString(b) {
			return
		}
		if want, ok := dpkgCompare(dpkg, a, b); ok && got != want {
			t.Fatalf("CompareVersions(%q, %q) = %d; dpkg says %d", a, b, got, want)
		}
	})
}

// dpkgCompare asks dpkg, which refuses what Debian Policy does.
func dpkgCompare(dpkg, a, b string) (order int, ok bool) {
	for want, op := range map[int]string{-1: "lt-nl", 0: "eq", 1: "gt-nl"} {
		out, err := exec.Command(dpkg, "--compare-versions", a, op, b).CombinedOutput()
		if len(out) > 0 { // a warning: no valid version
			return 0, false
		}
		if err == nil {
			order, ok = want, true
		}
	}
	return order, ok
}

func TestCompareVersionsLikeDpkg(t *testing.T) {
	imgtest.Need(t, "dpkg")
	versions := []string{"1", "1.0", "1.0-1", "1.0~rc1-1", "1.0+b1", "1.0-1+b1", "1:0.9", "2:6.3.0+dfsg-3", "6.12.118-1", "0.0009", "1.0a7-2", "1.0.a"}
	compared := 0
	for _, a := range versions {
		for _, b := range versions {
			want, ok := dpkgCompare("dpkg", a, b)
			if !ok {
				continue
			}
			compared++
			if got := source.CompareVersions(a, b); got != want {
				t.Errorf("CompareVersions(%q, %q) = %d; dpkg says %d", a, b, got, want)
			}
		}
	}
	if compared < len(versions)*len(versions) {
		t.Errorf("dpkg compared %d pairs of %d", compared, len(versions)*len(versions))
	}
	sorted := slices.Clone(versions)
	slices.SortFunc(sorted, source.CompareVersions)
	if sorted[0] != "0.0009" || sorted[len(sorted)-1] != "2:6.3.0+dfsg-3" {
		t.Errorf("sorted: %q", sorted)
	}
}
