package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/profiles"
)

// TestSourceInitramfs: the normal entry of a system that starts by its own initrd says
// nothing but where our prelude finds the root. The others are as without one.
func TestSourceInitramfs(t *testing.T) {
	profile := laptop()
	profile.Source = "nix:#fox"
	own := mustMake(t, profile, laptopLayout(), Options{})
	profile.Initramfs.From = profiles.InitramfsSource
	seed := own.Seed
	p := mustMake(t, profile, laptopLayout(), Options{Seed: &seed})
	want := "rdinit=/mkimage/init mkimage.root=" + partuuid(p, RoleRoot) + " quiet console=tty0"
	if got := strings.Join(p.Cmdline, " "); got != want || !slices.Equal(p.Entries[0].Cmdline, p.Cmdline) {
		t.Errorf("command line %q, of the entry %q; want %q", got, p.Entries[0].Cmdline, want)
	}
	for i := 1; i < len(own.Entries); i++ {
		if !slices.Equal(p.Entries[i].Cmdline, own.Entries[i].Cmdline) {
			t.Errorf("entry %s: %q; want %q", p.Entries[i].ID, p.Entries[i].Cmdline, own.Entries[i].Cmdline)
		}
	}
	there := Adopt(p, Identity{Root: ids.UUID{7}})
	if word := "mkimage.root=PARTUUID=" + (ids.UUID{7}).String(); !slices.Contains(there.Entries[0].Cmdline, word) {
		t.Errorf("on another disk %q; want %s", there.Entries[0].Cmdline, word)
	}
}
