package hardware

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func TestParseFstab(t *testing.T) {
	defaults := []string{"defaults"}
	tests := []struct {
		name, in string
		mounts   []Mount
		swaps    []Swap
	}{
		{"empty", "", nil, nil},
		{"all fields", "LABEL=a\t/  btrfs subvol=@,ro 1 1\n", []Mount{{"LABEL=a", "/", "btrfs", []string{"subvol=@", "ro"}, 1}}, nil},
		{"swap", "/f none swap pri=1 0 0\n/g swap swap", nil, []Swap{{"/f", []string{"pri=1"}}, {"/g", defaults}}},
		{"not mounted", "x none ignore ro\nx rel ext4", nil, nil},
		{"target is cleaned", "a //b/../c/ t", []Mount{{"a", "/c", "t", defaults, 0}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mounts, swaps, err := parseFstab(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append([]Mount{}, tt.mounts...), mounts); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(append([]Swap{}, tt.swaps...), swaps); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, _, err := parseFstab("a / t\na /\n"); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "line 2: got 2 fields") {
		t.Errorf("error %v", err)
	}
}

// strange is a table with all that needs an escape.
func strange() *Hardware {
	return &Hardware{
		Mounts: []Mount{
			{"PARTUUID=ab-12", "/", "btrfs", []string{"subvol=@", "noatime"}, 0},
			{"LABEL=a b", "/with space\tand\\040", "btrfs", []string{"subvol=@x y", "ro"}, 2},
			{`LABEL="q"`, "/q", "ext4", []string{"defaults"}, 1},
		},
		Swaps: []Swap{{"/swap file", []string{"pri=1"}}, {"UUID=x", []string{"defaults"}}},
	}
}

func TestFstab(t *testing.T) {
	var again Hardware
	var err error
	if again.Mounts, again.Swaps, err = parseFstab(string(strange().Fstab())); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strange(), &again); diff != "" {
		t.Errorf("%s\n%s", diff, strange().Fstab())
	}
}

func TestFstabOfMemoryRoot(t *testing.T) {
	h := &Hardware{Mounts: []Mount{{"tmpfs", "/", "tmpfs", []string{"size=2G"}, 0}, {"tmpfs", "/tmp", "tmpfs", nil, 0}}}
	if got, want := string(h.Fstab()), "# what where type options dump pass\ntmpfs /tmp tmpfs defaults 0 0\n"; got != want {
		t.Errorf("got %q; want %q", got, want)
	}
}
