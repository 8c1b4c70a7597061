package bootspec_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
)

func TestPaths(t *testing.T) {
	var got []string
	for _, p := range goldenSpec(t).Paths() {
		got = append(got, p.String())
	}
	const top = "-nixos-system-fixture-26.05.20260601.0000000"
	want := []string{
		"/nix/store/4wp1hjvkix7jhyrr3g5yk50mylrslqmg-initrd-linux-6.1.0-56-cloud/initrd",
		"/nix/store/8imkijbx8qjiyl5bask7p14jr2idq8nr" + top,
		"/nix/store/8imkijbx8qjiyl5bask7p14jr2idq8nr" + top + "/init",
		"/nix/store/wqnbi6fm544knmrx5vdfpzjb3vawfz90-linux-6.1.0-56-cloud/bzImage",
		"/nix/store/xz5x4mm5ssy71lrl7jnpc96c073rkkpd" + top,
		"/nix/store/xz5x4mm5ssy71lrl7jnpc96c073rkkpd" + top + "/init",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Paths (-want +got):\n%s", diff)
	}
}

func TestCheckSystem(t *testing.T) {
	s := small(t)
	wantError(t, s.CheckSystem("i686-linux", "x86_64-linux"), "")
	wantError(t, s.CheckSystem("aarch64-linux"), topA+`: system "x86_64-linux", expected aarch64-linux`)
	other := small(t)
	other.System = "aarch64-linux"
	s.Specialisations = map[string]*bootspec.Spec{"a": small(t), "b": other}
	wantError(t, s.CheckSystem("i686-linux", "x86_64-linux"), topA+` (specialisation b): system "aarch64-linux", expected i686-linux or x86_64-linux`)
}

func TestPathString(t *testing.T) {
	for _, text := range []string{linux, linux + "/a/b"} {
		if got := mustPath(t, text).String(); got != text {
			t.Errorf("String = %q; want %q", got, text)
		}
	}
	if got := (bootspec.Path{}).String(); got != "" {
		t.Errorf("String of no path = %q; want none", got)
	}
}
