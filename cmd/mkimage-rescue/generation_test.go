package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
)

// TestGenerationRefuses: before it is agreed to, and where it must not, nothing is written.
func TestGenerationRefuses(t *testing.T) {
	image, _ := laptop(t)
	before, err := os.ReadFile(image)
	must(t, err)
	entries := inventoryOf(t, image).Systems[0].Generations
	if len(entries) == 0 {
		t.Fatal("the menu has no entries to begin with")
	}
	first := name(entries[0])
	if out := mustRescue(t, "generation", "--list", "--image", image); !strings.Contains(out, first) {
		t.Errorf("list:\n%s", out)
	}
	for _, tt := range []struct {
		args []string
		code fault.Class
		want string
	}{
		{[]string{first, "--dry-run"}, 0, "will make " + first},
		{[]string{first}, fault.Usage, "nobody can be asked"},
		{[]string{"--yes"}, fault.Usage, "none was named"},
		{[]string{"none", "--yes"}, fault.Usage, "has none of this name"},
	} {
		if _, errs, code := rescue(t, append([]string{"generation", "--image", image}, tt.args...)...); code != int(tt.code) || !strings.Contains(errs, tt.want) {
			t.Errorf("%q: code %d\n%s", tt.args, code, errs)
		}
	}
	if after, err := os.ReadFile(image); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the image was changed: %v", err)
	}
}

// TestGenerationUnfit: what does not start is not made what starts, nor is anything beside a
// session. No machine is there that could be written to.
func TestGenerationUnfit(t *testing.T) {
	good := inventory.Generation{Number: 7, Entries: []string{"nixos-generation-7"}}
	missing, broken := good, good
	missing.Entries, broken.Problem = nil, "its kernel is not there"
	for _, tt := range []struct {
		name   string
		chosen inventory.Generation
		sleeps bool
		want   string
	}{
		{"no entry", missing, false, "the menu has no entry for it"},
		{"broken", broken, false, "its kernel is not there"},
		{"asleep", good, true, "a session sleeps on it"},
	} {
		g := generation{consent: consent{yes: true}}
		p := &program{stderr: &bytes.Buffer{}}
		err := g.use(t.Context(), p, nil, &inventory.System{ID: "/dev/sda2", Hibernated: tt.sleeps}, tt.chosen)
		if fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), tt.want) || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
