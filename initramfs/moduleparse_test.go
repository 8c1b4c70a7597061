package initramfs

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseDep(t *testing.T) {
	got, err := parseDep("# comment\n\nkernel/a-b.ko.xz: kernel/c.ko.zst kernel/d.ko\nkernel/c.ko.zst: kernel/d.ko\nkernel/d.ko:\nupdates/e.ko.gz:\nkernel/e.ko:")
	want := map[string]moduleFile{
		"a_b": {"kernel/a-b.ko.xz", []string{"d", "c"}},
		"c":   {"kernel/c.ko.zst", []string{"d"}},
		"d":   {"kernel/d.ko", nil},
		"e":   {"updates/e.ko.gz", nil},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(moduleFile{})); diff != "" || err != nil {
		t.Errorf("parseDep: %v (-want +got):\n%s", err, diff)
	}
	tests := []struct{ name, in, want string }{
		{"no colon", "kernel/a.ko\n", `line 1: "kernel/a.ko" is not the path of a module with a colon`},
		{"no module", "\nkernel/a.txt:\n", "line 2: "},
		{"no name", "kernel/.ko:\n", "line 1: "},
		{"unknown compression", "kernel/a.ko.lz4:\n", "line 1: "},
		{"absolute", "/etc/a.ko:\n", "line 1: "},
		{"above", "../../a.ko:\n", "line 1: "},
		{"not clean", "kernel//a.ko:\n", "line 1: "},
		{"dependency that is no module", "kernel/a.ko: b\n", `line 1: "b" is not the path of a module`},
		{"dependency that is not listed", "kernel/a.ko: kernel/b.ko\n", "module a needs b, which is not listed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parseDep(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("parseDep(%q): %v; want %q", tt.in, err, tt.want)
			}
		})
	}
}

func TestParseSoftdep(t *testing.T) {
	got := parseSoftdep("# x\nsoftdep a-b pre: c-1 d post: e\nsoftdep a_b pre: f\nsoftdep ignored words\nsoftdep\noptions a pre: b\nsoftdep g lost post: h pre: i\n")
	want := map[string]softDeps{
		"a_b":     {[]string{"c-1", "d", "f"}, []string{"e"}},
		"ignored": {},
		"g":       {[]string{"i"}, []string{"h"}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(softDeps{})); diff != "" {
		t.Errorf("parseSoftdep (-want +got):\n%s", diff)
	}
}

func TestParseAlias(t *testing.T) {
	got := parseAlias("# x\nalias crypto-crc32c crc32c-intel\nalias crypto-crc32c crc32c_generic\nalias crypto_crc32c crc32c_intel\nalias pci:v* e1000\nalias x[0-9] y\nalias x? y\nalias short\n")
	want := map[string][]string{"crypto_crc32c": {"crc32c_intel", "crc32c_generic"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parseAlias (-want +got):\n%s", diff)
	}
}

func TestParseBuiltin(t *testing.T) {
	got := map[string]bool{}
	parseBuiltin("kernel/fs/ext-4.ko\nnonsense\nkernel/b.ko.xz", got)
	parseBuiltinInfo("a.alias=crypto-x\x00a.license=GPL\x00b.alias=pci:*\x00alias=y\x00c.alias=\x00d.alias=z", got)
	want := []string{"b", "crypto_x", "ext_4", "z"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("built in (-want +got):\n%s", diff)
	}
}

// soft returns an index of modules without hard dependencies, but for those
// given as "a>b": a needs b.
func soft(t *testing.T, modules, softdeps string) *index {
	t.Helper()
	var dep strings.Builder
	for m := range strings.FieldsSeq(modules) {
		name, needs, _ := strings.Cut(m, ">")
		dep.WriteString("k/" + name + ".ko:")
		if needs != "" {
			dep.WriteString(" k/" + needs + ".ko")
		}
		dep.WriteString("\n")
	}
	files, err := parseDep(dep.String())
	if err != nil {
		t.Fatal(err)
	}
	return &index{files: files, soft: parseSoftdep(softdeps), builtin: map[string]bool{"inside": true}}
}

func TestClosure(t *testing.T) {
	tests := []struct{ name, modules, soft, in, want string }{
		{"alone", "a", "", "a", "a"},
		{"order asked for", "a b c", "", "c a", "c a"},
		{"hard", "a>b b", "", "a", "b a:b"},
		{"in the kernel", "a", "", "inside a", "a"},
		{"nothing", "a", "", "inside", ""},
		{"twice", "a-b", "", "a-b a_b", "a_b"},
		{"before", "a b", "softdep a pre: b", "a", "b a:b"},
		{"after", "a b", "softdep a post: b", "a", "a b:a"},
		{"after, but there already", "a b", "softdep a post: b", "b a", "b a"},
		{"after, needs it as well", "a b>a", "softdep a post: b", "a", "a b:a"},
		{"missing soft one", "a", "softdep a pre: gone post: away", "a", "a"},
		{"soft of a hard one", "a>b b c", "softdep b pre: c", "a", "c b:c a:b"},
		{"cycle of soft ones", "a b", "softdep a pre: b\nsoftdep b pre: a", "a", "b a:b"},
		{"soft one needs it", "a b>a", "softdep a pre: b", "a", "a b:a"},
		{"itself", "a", "softdep a pre: a post: a", "a", "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			order, err := soft(t, tt.modules, tt.soft).closure(strings.Fields(tt.in))
			var got []string
			for _, m := range order {
				s := m.name
				if len(m.after) > 0 {
					s += ":" + strings.Join(m.after, ",")
				}
				got = append(got, s)
			}
			if text := strings.Join(got, " "); text != tt.want || err != nil {
				t.Errorf("closure(%s) = %q, %v; want %q", tt.in, text, err, tt.want)
			}
		})
	}
}
