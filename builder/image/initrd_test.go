package image

import (
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/source"
	"github.com/6FaNcY9/mkimage/profiles"
)

const (
	unitOfRestore = "mkimage-restore.service"
	keptUnits     = "var/lib/mkimage/units/"
)

// TestCheckInitrds: what can start by its own initrd and what cannot.
func TestCheckInitrds(t *testing.T) {
	top, err := nix.ParseStorePath("/nix/store/0000000000000000000000000000000a-nixos-system-x")
	if err != nil {
		t.Fatal(err)
	}
	own := top.String() + unitsOf + unitOfRestore
	bound := []plan.Mount{{Type: "btrfs", Target: "/var"}, {Type: "none", Target: "/var/lib", What: "/persist/var/lib"}}
	tests := []struct {
		name     string
		files    []string
		mounts   []plan.Mount
		change   func(g *source.Generation)
		class    fault.Class
		want     string // "" is no error
		wantHint string
	}{
		{"systemd", []string{keptUnits + unitOfRestore}, nil, func(*source.Generation) {}, 0, "", ""},
		{"script without units", nil, nil, func(g *source.Generation) { g.Scripted = true }, 0, "", ""},
		{"script that has them", []string{keptUnits + unitOfRestore, own}, nil, func(g *source.Generation) { g.Scripted = true }, 0, "", ""},
		{"script that has not", []string{keptUnits + unitOfRestore, keptUnits + "x.target.wants/" + unitOfRestore}, nil, func(g *source.Generation) { g.Scripted = true },
			fault.Config, "none of its own: " + unitOfRestore, "set boot.initrd.systemd.enable"},
		{"script that has not what persists", []string{"persist/" + keptUnits + unitOfRestore}, bound, func(g *source.Generation) { g.Scripted = true },
			fault.Config, "none of its own: " + unitOfRestore, "mkimage.units.enable"},
		{"an image of /etc", []string{keptUnits + unitOfRestore}, nil, func(g *source.Generation) { g.Kernel = 1 }, 0, "", ""},
		{"further initrds", nil, nil, func(g *source.Generation) { g.ExtraInitrds = []string{"EFI/x"} }, fault.Input, "wants EFI/x", "initramfs.from=own"},
		{"no initrd", nil, nil, func(g *source.Generation) { g.Initrd = nil }, fault.Input, "its initrd is no regular file", "initramfs.from=own"},
		{"folder as initrd", []string{"dir/x"}, nil, func(g *source.Generation) { g.Initrd = g.Initrd.Parent() }, fault.Input, "its initrd is no regular file", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := fstree.New()
			for _, name := range append(tt.files, "initrd") {
				if err := loader.Put(tree, name, []byte("x"), time.Unix(0, 0)); err != nil {
					t.Fatal(err)
				}
			}
			g := source.Generation{Entry: bootspec.Entry{}, Toplevel: top, Initrd: tree.Lookup("initrd")}
			tt.change(&g)
			p := &plan.Plan{Profile: profiles.Profile{Initramfs: profiles.Initramfs{From: profiles.InitramfsSource}}, Mounts: tt.mounts}
			system := &source.System{Kernels: []source.Kernel{{}, {EtcImage: true}}, Generations: []source.Generation{g}}
			err := checkInitrds(tree, p, system)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || fault.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.want) || !strings.Contains(fault.HintOf(err), tt.wantHint) {
				t.Errorf("checkInitrds: %v, hint %q; want %q of class %v, hint %q", err, fault.HintOf(err), tt.want, tt.class, tt.wantHint)
			}
			p.Profile.Initramfs.From = ""
			if err := checkInitrds(tree, p, system); err != nil {
				t.Errorf("with our initramfs: %v", err)
			}
		})
	}
	p := &plan.Plan{Profile: profiles.Profile{Initramfs: profiles.Initramfs{From: profiles.InitramfsSource}}}
	if err := checkInitrds(fstree.New(), p, &source.System{}); fault.ClassOf(err) != fault.Config || !strings.Contains(err.Error(), "no NixOS") {
		t.Errorf("another system: %v", err)
	}
}
