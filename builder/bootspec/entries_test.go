package bootspec_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// day is 2026-06-01 in UTC, and the day after it further east.
var day = time.Date(2026, 6, 2, 3, 0, 0, 0, time.FixedZone("", 5*3600))

// entries makes the entries of one generation.
func entries(t testing.TB, g bootspec.Generation, o bootspec.EntryOptions) []bootspec.Entry {
	t.Helper()
	if g.Built.IsZero() {
		g.Built = day
	}
	out, err := bootspec.Entries([]bootspec.Generation{g}, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEntriesGolden(t *testing.T) {
	got := entries(t, bootspec.Generation{Number: 1, Spec: goldenSpec(t)}, bootspec.EntryOptions{})
	kernel := bootspec.Copy{
		From: mustPath(t, "/nix/store/wqnbi6fm544knmrx5vdfpzjb3vawfz90-linux-6.1.0-56-cloud/bzImage"),
		To:   "EFI/nixos/wqnbi6fm544knmrx5vdfpzjb3vawfz90-linux-6.1.0-56-cloud-bzImage.efi",
	}
	initrd := bootspec.Copy{
		From: mustPath(t, "/nix/store/4wp1hjvkix7jhyrr3g5yk50mylrslqmg-initrd-linux-6.1.0-56-cloud/initrd"),
		To:   "EFI/nixos/4wp1hjvkix7jhyrr3g5yk50mylrslqmg-initrd-linux-6.1.0-56-cloud-initrd.efi",
	}
	first := bootspec.Entry{
		Number: 1, FileName: "nixos-generation-1.conf", Title: "NixOS", SortKey: "nixos",
		Version: "Generation 1 NixOS Yarara 26.05.20260601.0000000 (Linux 6.1.0-56-cloud-amd64), built on 2026-06-01",
		Kernel:  kernel.To, Initrd: initrd.To, Copies: []bootspec.Copy{kernel, initrd},
		Options: "init=/nix/store/8imkijbx8qjiyl5bask7p14jr2idq8nr-nixos-system-fixture-26.05.20260601.0000000/init console=ttyS0,115200n8 loglevel=4 lsm=landlock,yama,bpf",
	}
	second := first
	second.Specialisation, second.FileName, second.Title = "debug", "nixos-generation-1-specialisation-debug.conf", "NixOS (debug)"
	second.Options = "init=/nix/store/xz5x4mm5ssy71lrl7jnpc96c073rkkpd-nixos-system-fixture-26.05.20260601.0000000/init console=ttyS0,115200n8 loglevel=4 lsm=landlock,yama,bpf fixture.debug"
	if diff := cmp.Diff([]bootspec.Entry{first, second}, got); diff != "" {
		t.Errorf("Entries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]bootspec.Copy{kernel, initrd}, bootspec.Copies(got)); diff != "" {
		t.Errorf("Copies (-want +got):\n%s", diff)
	}
}

// TestFileNames is about what the names of entries and copies are made of.
func TestFileNames(t *testing.T) {
	s := small(t)
	s.Kernel, s.DeviceTree = mustPath(t, linux), mustPath(t, linux+"/dtbs/arm/x.dtb")
	s.Specialisations = map[string]*bootspec.Spec{"b": small(t), "a": small(t)}
	gens := []bootspec.Generation{{Number: 12, Built: day, Spec: s}, {Profile: "test", Number: 3, Built: day, Spec: small(t)}}
	list, err := bootspec.Entries(gens, bootspec.EntryOptions{DistroName: "Foo OS"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, e.FileName+" "+e.Title)
	}
	for _, c := range bootspec.Copies(list) {
		got = append(got, c.To)
	}
	want := []string{
		"nixos-generation-12.conf Foo OS",
		"nixos-generation-12-specialisation-a.conf Foo OS (a)",
		"nixos-generation-12-specialisation-b.conf Foo OS (b)",
		"nixos-test-generation-3.conf Foo OS [test]",
		"EFI/nixos/" + hashB + "-linux-6.12.1.efi",
		"EFI/nixos/" + hashC + "-initrd-linux-6.12.1-initrd.efi",
		"EFI/nixos/" + hashB + "-linux-6.12.1-x.dtb.efi",
		"EFI/nixos/" + hashB + "-linux-6.12.1-bzImage.efi",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestResolve(t *testing.T) {
	o := bootspec.EntryOptions{Resolve: func(p bootspec.Path) (bootspec.Path, error) {
		if p.Rest == "bzImage" {
			return mustPath(t, topA+"/Image"), nil
		}
		return p, nil
	}}
	got := entries(t, bootspec.Generation{Number: 1, Spec: small(t)}, o)[0]
	want := bootspec.Copy{From: mustPath(t, topA+"/Image"), To: "EFI/nixos/" + hashA + "-nixos-system-a-25.11-Image.efi"}
	if got.Copies[0] != want || got.Kernel != want.To {
		t.Errorf("kernel %v, %q; want %v", got.Copies[0], got.Kernel, want)
	}
	broken := errors.New("link to nowhere")
	o.Resolve = func(bootspec.Path) (bootspec.Path, error) { return bootspec.Path{}, broken }
	_, err := bootspec.Entries([]bootspec.Generation{{Number: 1, Built: day, Spec: small(t)}}, o)
	if wantError(t, err, "generation 1: link to nowhere"); !errors.Is(err, broken) {
		t.Errorf("error %v; want it to wrap %v", err, broken)
	}
}

func TestEntriesErrors(t *testing.T) {
	gen := func(f func(*bootspec.Generation)) []bootspec.Generation {
		g := bootspec.Generation{Number: 7, Built: day, Spec: small(t)}
		f(&g)
		return []bootspec.Generation{g}
	}
	spec := func(f func(*bootspec.Spec)) []bootspec.Generation {
		return gen(func(g *bootspec.Generation) { f(g.Spec) })
	}
	children := func(names ...string) []bootspec.Generation {
		return spec(func(s *bootspec.Spec) {
			s.Specialisations = map[string]*bootspec.Spec{}
			for _, n := range names {
				s.Specialisations[n] = small(t)
			}
		})
	}
	for _, tt := range []struct {
		name string
		in   []bootspec.Generation
		o    bootspec.EntryOptions
		err  string
	}{
		{"number", gen(func(g *bootspec.Generation) { g.Number = 0 }), bootspec.EntryOptions{}, "generation 0: number 0, expected 1 or more"},
		{"nothing", gen(func(g *bootspec.Generation) { g.Spec = nil }), bootspec.EntryOptions{}, "generation 7: no bootspec"},
		{"profile", gen(func(g *bootspec.Generation) { g.Profile = "a/b" }), bootspec.EntryOptions{}, `generation 7 of profile "a/b": expected a profile of letters`},
		{"profile that is a link", gen(func(g *bootspec.Generation) { g.Profile = "a-1-link" }), bootspec.EntryOptions{}, "profile that ends in -link"},
		{"no date", gen(func(g *bootspec.Generation) { g.Built = time.Time{} }), bootspec.EntryOptions{}, "generation 7: built in the year 1, expected 1970 to 9999"},
		{"late date", gen(func(g *bootspec.Generation) { g.Built = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }), bootspec.EntryOptions{}, "built in the year 10000"},
		{"machine id", gen(func(*bootspec.Generation) {}), bootspec.EntryOptions{MachineID: "uninitialized"}, `machine id "uninitialized": expected 32 lower case hexadecimal digits`},
		{"distribution", gen(func(*bootspec.Generation) {}), bootspec.EntryOptions{DistroName: "a\nb"}, `name of the distribution "a\nb"`},
		{"no initrd", spec(func(s *bootspec.Spec) { s.Initrd = bootspec.Path{} }), bootspec.EntryOptions{}, "generation 7: no initrd"},
		{"counts boots", children("a+3"), bootspec.EntryOptions{}, `generation 7, specialisation a+3: entry "nixos-generation-7-specialisation-a+3": its end would be read as a count of boots`},
		{"two cases", children("a", "A"), bootspec.EntryOptions{}, "generation 7, specialisation a: entry nixos-generation-7-specialisation-a.conf is that of generation 7, specialisation A too"},
		{"twice", append(children(), children()...), bootspec.EntryOptions{}, "generation 7: entry nixos-generation-7.conf is that of generation 7 too"},
		{"twice by content", append(children(), children()...), bootspec.EntryOptions{Layout: bootspec.ByContent}, "is that of generation 7 too"},
		{
			"two kernels of a name", spec(func(s *bootspec.Spec) { s.Initrd = mustPath(t, linux+"/a/bzImage") }), bootspec.EntryOptions{},
			linux + "/bzImage and " + linux + "/a/bzImage are both to be EFI/nixos/" + hashB + "-linux-6.12.1-bzImage.efi",
		},
		{
			"two kernels of a name in FAT", spec(func(s *bootspec.Spec) { s.Initrd = mustPath(t, linux+"/bzimage") }), bootspec.EntryOptions{},
			linux + "/bzImage and " + linux + "/bzimage are both to be",
		},
		{
			"not for FAT", spec(func(s *bootspec.Spec) { s.Kernel = mustPath(t, linux+"?x/bzImage") }), bootspec.EntryOptions{},
			`generation 7: ` + linux + `?x/bzImage: file name "` + hashB + `-linux-6.12.1?x-bzImage.efi" on the ESP, expected none of`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := bootspec.Entries(tt.in, tt.o)
			wantError(t, err, tt.err)
		})
	}
	_, err := bootspec.Entries(spec(func(s *bootspec.Spec) { s.Initrd = bootspec.Path{} }), bootspec.EntryOptions{})
	if fault.HintOf(err) == "" {
		t.Error("no initrd: no hint; want one")
	}
}

func TestEntryLimits(t *testing.T) {
	// What systemd-boot puts in front, written out.
	front := len(`initrd=\EFI\nixos\` + hashC + `-initrd-linux-6.12.1-initrd.efi `)
	cmdline := func(n int) *bootspec.Spec {
		s := small(t)
		fixed := front + len("init="+topA+"/init ")
		s.KernelParams = []string{strings.Repeat("x", n-fixed)}
		return s
	}
	extra := func(n int) *bootspec.Spec {
		s := cmdline(n - len(`initrd=\b/c `))
		s.ExtraInitrds = []string{"b/c"}
		return s
	}
	copied := func(n int) *bootspec.Spec {
		s := small(t)
		s.Kernel.Rest = "a/" + strings.Repeat("k", n-len(hashB+"-linux-6.12.1-.efi"))
		return s
	}
	named := func(n int) *bootspec.Spec {
		s := small(t)
		s.Specialisations = map[string]*bootspec.Spec{strings.Repeat("s", n-len("nixos-generation-1-specialisation-.conf")): small(t)}
		return s
	}
	for _, tt := range []struct {
		name  string
		spec  func(int) *bootspec.Spec
		limit int
		err   string
	}{
		{"command line", cmdline, 2047, "generation 1: kernel command line of 2048 bytes, with the initrd= that systemd-boot adds, expected at most 2047"},
		{"command line with two archives", extra, 2047, "kernel command line of 2048 bytes"},
		{"copy", copied, 255, "file name of 256 bytes on the ESP, expected at most 255"},
		{"entry", named, 255, "251 bytes, expected at most 250"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for n := tt.limit - 1; n <= tt.limit+1; n++ {
				_, err := bootspec.Entries([]bootspec.Generation{{Number: 1, Built: day, Spec: tt.spec(n)}}, bootspec.EntryOptions{})
				want := ""
				if n > tt.limit {
					want = tt.err
				}
				wantError(t, err, want)
			}
		})
	}
}
