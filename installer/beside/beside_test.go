package beside

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// top is a top level whose power is cut after some renames.
type top struct {
	content map[string]string // what a name leads to
	left    int               // renames until the cut; below 0 there is none
}

var errCut = errors.New("power cut")

func (t *top) Rename(from, to string) error {
	if t.left == 0 {
		return errCut
	}
	t.left--
	if _, taken := t.content[to]; taken {
		return errors.New("taken")
	}
	what, ok := t.content[from]
	if !ok {
		return errors.New("absent")
	}
	delete(t.content, from)
	t.content[to] = what
	return nil
}

func (t *top) names() []string {
	var list []string
	for n := range t.content {
		list = append(list, n)
	}
	return list
}

func twoSystems() *top {
	return &top{left: -1, content: map[string]string{
		"@": "old root", "@home": "home", "@nix": "old nix", "@swap": "swap",
		"@.new-7f": "new root", "@nix.new-7f": "new nix", "@var.new-7f": "new var", "@.new-other": "of another",
	}}
}

// TestSwitchCut cuts a switch after each rename, and once more in the next try.
func TestSwitchCut(t *testing.T) {
	want := map[string]string{
		"@": "new root", "@home": "home", "@nix": "new nix", "@swap": "swap", "@var": "new var",
		"@.old-7f": "old root", "@nix.old-7f": "old nix", "@.new-other": "of another",
	}
	for first := range 6 {
		for second := range 6 {
			d := twoSystems()
			for _, left := range []int{first, second, -1} {
				d.left = left
				err := Switch(d, d.names(), "7f")
				if err != nil && !errors.Is(err, errCut) {
					t.Fatalf("cuts %d, %d: %v", first, second, err)
				}
				for _, name := range []string{"@", "@nix"} { // a system to boot is there all the time
					if d.content[name] == "" && d.content[New(name, "7f")] == "" {
						t.Fatalf("cuts %d, %d: no %s: %v", first, second, name, d.content)
					}
				}
			}
			if diff := cmp.Diff(want, d.content); diff != "" {
				t.Fatalf("cuts %d, %d (-want +got):\n%s", first, second, diff)
			}
		}
	}
}

func TestSwitchRefused(t *testing.T) {
	d := twoSystems()
	d.content["@nix.old-7f"] = "in the way"
	before := len(d.content)
	if err := Switch(d, d.names(), "7f"); err == nil || !strings.Contains(err.Error(), "@nix.old-7f") || d.content["@"] != "old root" || len(d.content) != before {
		t.Errorf("got %v, %v; want an error and nothing renamed", err, d.content)
	}
}

func TestBefore(t *testing.T) {
	d := twoSystems()
	if err := Switch(d, d.names(), "7f"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"@": "@.old-7f", "@home": "@home", "@nix": "@nix.old-7f", "@var": "@var"} {
		if got := Before(d.names(), name, "7f"); got != want {
			t.Errorf("Before(%s) = %s; want %s", name, got, want)
		}
	}
	if got := IDs(append(d.names(), ".old-x", "a.old-", "a.old-X", "b.old-1")); !slices.Equal(got, []string{"1", "7f"}) {
		t.Errorf("IDs = %q", got)
	}
}

func TestCheckID(t *testing.T) {
	for id, ok := range map[string]bool{
		"": false, "a": true, "0f": true, "A": false, "a/b": false, "a.b": false, "ä": false,
		strings.Repeat("a", maxID-1): true, strings.Repeat("a", maxID): true, strings.Repeat("a", maxID+1): false,
	} {
		if err := CheckID(id); (err == nil) != ok {
			t.Errorf("CheckID(%q) = %v", id, err)
		}
	}
}
