package loader_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/loader"
)

// TestRebuilt wants the generations as a nixos-rebuild leaves them, and the entries of
// ours where there is an initramfs for them.
func TestRebuilt(t *testing.T) {
	for _, own := range []bool{true, false} {
		p := testPlan(loader.SystemdBoot)
		source := sourceTree(t, sourceFilesWithInitrds())
		s := sourceSystem(source)
		s.Rebuilt = true
		for i := range s.Kernels {
			s.Kernels[i].Prelude = nil
			if !own {
				s.Kernels[i].Initramfs = nil
			}
		}
		tree, err := loader.Tree(p, source, s)
		if err != nil {
			t.Fatal(err)
		}
		got, other := entries(t, tree), entries(t, generationTree(t, p))
		for name, want := range map[string]struct{ initrd, options string }{
			"nixos-generation-2.conf":                  {newInitrd, "init=/b quiet root=fstab"},
			"nixos-generation-2-specialisation-x.conf": {newInitrd, "init=/x root=fstab"},
			"nixos-generation-1.conf":                  {oldInitrd, "init=/a root=fstab"},
		} {
			e := other[name]
			e.Initrd, e.Options = []string{"/" + want.initrd}, want.options
			if diff := cmp.Diff(e, got[name]); diff != "" {
				t.Errorf("own %v: %s (-want +got):\n%s", own, name, diff)
			}
			delete(got, name)
			delete(other, name)
		}
		if !own {
			clear(other)
		}
		if diff := cmp.Diff(other, got); diff != "" {
			t.Errorf("own %v: the other entries (-want +got):\n%s", own, diff)
		}
		if dir := tree.Lookup(loader.Dir); (dir != nil) != own {
			t.Errorf("own %v: ESP:\n%s", own, listing(t, tree))
		}
	}
}
