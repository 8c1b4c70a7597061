package nixos

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// configured returns a tree with a system whose etc is another object, which has a
// nix.conf.
func configured(t *testing.T, text string) (*fstree.Tree, nix.StorePath) {
	t.Helper()
	tree := fstree.New()
	top, etc := toplevel(t), nix.StorePath{Hash: strings.Repeat("0", 32), Name: "etc"}
	dir, err := tree.MkdirAll(top.String(), nil)
	must(t, err)
	_, err = dir.Add("etc", &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, Link: etc.String() + "/etc", Size: int64(len(etc.String()) + 4)})
	must(t, err)
	dir, err = tree.MkdirAll(etc.String()+"/etc/nix", nil)
	must(t, err)
	_, err = dir.Add("nix.conf", &fstree.Inode{Mode: fstree.TypeRegular | 0o444, Size: int64(len(text)), Content: fstree.Bytes(text)})
	must(t, err)
	return tree, top
}

func TestAutoOptimises(t *testing.T) {
	tests := []struct {
		name, text string
		want       bool
	}{
		{"true", "# made by NixOS\nallowed-users = *\nauto-optimise-store = true\ncores = 0\n", true},
		{"false", "auto-optimise-store = false\n", false},
		{"yes", "auto-optimise-store = yes", true},
		{"number", "auto-optimise-store = 1", true},
		{"not said", "cores = 0\n", false},
		{"empty", "", false},
		{"a comment", "#auto-optimise-store = true\n", false},
		{"with a comment", "  auto-optimise-store\t=   true # saves room\n", true},
		{"the last counts", "auto-optimise-store = true\nauto-optimise-store = no\n", false},
		{"another", "x-auto-optimise-store = true\n", false},
		{"no setting", "auto-optimise-store true\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree, top := configured(t, tt.text)
			if got, err := AutoOptimises(tree, top); got != tt.want || err != nil {
				t.Errorf("AutoOptimises = %v, %v; want %v", got, err, tt.want)
			}
		})
	}
	if got, err := AutoOptimises(fetch(t).Tree, toplevel(t)); got || err != nil {
		t.Errorf("without a nix.conf: %v, %v", got, err)
	}
}

func TestAutoOptimisesErrors(t *testing.T) {
	for _, value := range []string{"", "maybe", "true false", "TRUE"} {
		tree, top := configured(t, "auto-optimise-store = "+value)
		_, err := AutoOptimises(tree, top)
		if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "expected true or false") || !strings.Contains(fault.HintOf(err), "nix.auto-optimise-store=false") {
			t.Errorf("%q: error %v (hint %q)", value, err, fault.HintOf(err))
		}
	}
	tree, top := configured(t, "")
	tree.Lookup("nix/store").Child(strings.Repeat("0", 32) + "-etc").Child("etc").Child("nix").Child("nix.conf").Size = maxText + 1
	if _, err := AutoOptimises(tree, top); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "nix.conf: 1048577 bytes") {
		t.Errorf("large: error %v", err)
	}
}
