package bootspec_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
)

// goldenFiles reads what Synthesise needs from a golden toplevel.
func goldenFiles(t *testing.T, store string) bootspec.Files {
	t.Helper()
	f := golden(t, store)
	return bootspec.Files{
		Toplevel: store, Kernel: f["kernel"], Initrd: f["initrd"], KernelParams: f["kernel-params"], NixOSVersion: f["nixos-version"], System: f["system"],
		KernelVersion: "6.1.0-56-cloud-amd64",
	}
}

// TestSynthesiseGolden compares with the boot.json of the same system: all but
// the label, which has the name of the release, is equal.
func TestSynthesiseGolden(t *testing.T) {
	want := goldenSpec(t)
	files := goldenFiles(t, want.Toplevel.String())
	files.Specialisations = map[string]bootspec.Files{"debug": goldenFiles(t, want.Specialisations["debug"].Toplevel.String())}
	got, err := bootspec.Synthesise(files)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range want.All() {
		s.Label = "NixOS 26.05.20260601.0000000 (Linux 6.1.0-56-cloud-amd64)"
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Synthesise (-want +got):\n%s", diff)
	}
}

func TestSynthesise(t *testing.T) {
	files := bootspec.Files{
		Toplevel: topA, Kernel: linux + "/bzImage", Initrd: ramfs + "/initrd", KernelParams: "quiet loglevel=4", NixOSVersion: "22.05.1", System: "x86_64-linux",
	}
	for _, tt := range []struct {
		name   string
		change func(*bootspec.Files)
		want   func(*bootspec.Spec)
		err    string
	}{
		{"as it is", func(*bootspec.Files) {}, func(*bootspec.Spec) {}, ""},
		{"the kernel's version", func(f *bootspec.Files) { f.KernelVersion = "6.12.1-rt" }, func(s *bootspec.Spec) { s.Label = "NixOS 22.05.1 (Linux 6.12.1-rt)" }, ""},
		{"no initrd", func(f *bootspec.Files) { f.Initrd = "" }, func(s *bootspec.Spec) { s.Initrd = bootspec.Path{} }, ""},
		{"secrets", func(f *bootspec.Files) { f.InitrdSecrets = topA + "/s" }, func(s *bootspec.Spec) { s.InitrdSecrets = mustPath(t, topA+"/s") }, ""},
		{"no parameters", func(f *bootspec.Files) { f.KernelParams = "" }, func(s *bootspec.Spec) { s.KernelParams = nil }, ""},
		{
			"spaces", func(f *bootspec.Files) { f.KernelParams = `a  b="c  d" e="f g` },
			func(s *bootspec.Spec) { s.KernelParams = []string{"a", `b="c  d"`, `e="f g`} }, "",
		},
		{"no kernel", func(f *bootspec.Files) { f.Kernel = "" }, nil, `a-25.11": no kernel, as in the system of a container`},
		{"no version", func(f *bootspec.Files) { f.NixOSVersion = "" }, nil, `nixos-version: found nothing, expected a version`},
		{"no system", func(f *bootspec.Files) { f.System = "" }, nil, `org.nixos.bootspec.v1.system: found "", expected text`},
		{"newline", func(f *bootspec.Files) { f.KernelParams = "quiet\n" }, nil, `kernelParams[0]: found "quiet\n", expected text`},
		{"kernel elsewhere", func(f *bootspec.Files) { f.Kernel = "bzImage" }, nil, `kernel: path "bzImage": expected one below /nix/store`},
		{"toplevel elsewhere", func(f *bootspec.Files) { f.Toplevel = "/x" }, nil, `"/x": org.nixos.bootspec.v1.init: path "/x/init"`},
		{
			"specialisation without a kernel", func(f *bootspec.Files) { f.Specialisations = map[string]bootspec.Files{"a": {Toplevel: "/x"}} }, nil,
			`"/x": no kernel`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := files
			tt.change(&f)
			got, err := bootspec.Synthesise(f)
			wantError(t, err, tt.err)
			if err != nil {
				return
			}
			want := small(t)
			want.Label = "NixOS 22.05.1 (Linux 6.12.1)"
			tt.want(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Synthesise (-want +got):\n%s", diff)
			}
		})
	}
}
