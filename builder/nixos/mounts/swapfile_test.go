package mounts

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/layouts"
)

// making returns a table of a system that makes some swapfiles itself.
func making(t testing.TB, text string, files ...string) table {
	t.Helper()
	out := parse(t, text)
	out.makes = files
	return out
}

// own is a swapfile that no layout has.
var own = edited("/swap/swapfile", "/var/swap")

// TestCheckMadeSwapfile: what the system makes itself need not be on the disk, but its
// place must.
func TestCheckMadeSwapfile(t *testing.T) {
	const memory = `none / tmpfs size=1G,mode=755
LABEL=nixos /home btrfs subvol=@home
LABEL=nixos /nix btrfs subvol=@nix
LABEL=nixos /persist btrfs subvol=@persist
LABEL=ESP /boot vfat
`
	inMemory := builtin(t, "impermanence")
	inMemory.Swapfile = layouts.Swapfile{}
	inMemory.Subvolumes = slices.DeleteFunc(inMemory.Subvolumes, func(s layouts.Subvolume) bool { return s.Name == "@swap" })
	laptopPlan, memoryPlan := planOf(t, builtin(t, "btrfs-laptop")), planOf(t, inMemory)
	for _, tt := range []struct {
		name  string
		table table
		want  string // a part of the one problem; "" is none
		fix   string
	}{
		{"made", making(t, own, "/var/swap"), "", ""},
		{"besides that of the layout", making(t, laptop+"/var/swap none swap\n", "/var/swap"), "", ""},
		{"that of the layout", making(t, laptop, "/swap/swapfile"), "", ""},
		{"not made", making(t, own), "swaps to /var/swap; the image has the swapfile /swap/swapfile", `swapDevices = [ { device = "/swap/swapfile"; } ];`},
		{"another is made", making(t, own, "/var/swap2"), "swaps to /var/swap; the image has ", `device = "/swap/swapfile";`},
		{"in memory", making(t, memory+"/swapfile none swap\n", "/swapfile"), "swaps to /swapfile, which it would make outside the root file system; the image has no swap area", "swapDevices = [ ];"},
		{"on the ESP", making(t, memory+"/boot/swapfile none swap\n", "/boot/swapfile"), "swaps to /boot/swapfile, which ", "swapDevices = [ ];"},
		{"over a root in memory", making(t, memory+"/persist/swapfile none swap\n", "/persist/swapfile"), "", ""},
		{"bound", making(t, memory+"/var/log/swapfile none swap\n", "/var/log/swapfile"), "", ""},
		{"not made there", making(t, memory+"/persist/swapfile none swap\n"), "the image has no swap area", `swapDevices = [ { device = "/persist/swapfile"; size = 4096; } ];`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := laptopPlan
			if strings.Contains(tt.table.lines[0].Type, tmpfs) {
				p = memoryPlan
			}
			err := check([]table{tt.table}, p)
			if tt.want == "" {
				must(t, err)
				return
			}
			if got := texts(t, err); len(got) != 1 || !strings.Contains(got[0], tt.want) || !strings.Contains(fault.HintOf(err), tt.fix) {
				t.Errorf("%q, hint %q; want %q and %q", got, fault.HintOf(err), tt.want, tt.fix)
			}
		})
	}
}

// TestLayoutMadeSwapfile: a layout has nothing of what the system makes beside other files.
func TestLayoutMadeSwapfile(t *testing.T) {
	for _, tt := range []struct {
		name  string
		table table
		want  string // the swapfile of the layout
	}{
		{"beside other files", making(t, own, "/var/swap"), ""},
		{"apart", making(t, laptop, "/swap/swapfile"), "@swap/swapfile"},
		{"both", making(t, "/var/swap none swap\n"+laptop, "/var/swap"), "@swap/swapfile"},
		{"two apart", making(t, laptop+"/swap/b none swap\n", "/swap/b"), "@swap/swapfile"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := document(tt.table)
			must(t, err)
			l, err := resolve(doc)
			must(t, err)
			got := ""
			if s := l.Swapfile; s.Subvolume != "" {
				got = s.Subvolume + "/" + s.Name
			}
			if got != tt.want {
				t.Errorf("swapfile %q; want %q", got, tt.want)
			}
			must(t, check([]table{tt.table}, planOf(t, l)))
		})
	}
	_, err := document(parse(t, own))
	if hint := fault.HintOf(err); !strings.HasSuffix(hint, `or let the system make it: swapDevices = [ { device = "/var/swap"; size = 4096; } ];`) {
		t.Errorf("hint %s", hint)
	}
}

// TestTablesMadeSwapfile: the units of a system say what it makes. Of two systems with one
// table the one that makes nothing counts too.
func TestTablesMadeSwapfile(t *testing.T) {
	tree := fstree.New()
	system(t, tree, "one", own, own)
	put(t, tree, top("one")+"-etc/etc/systemd/system", "->"+top("one")+"-units")
	put(t, tree, top("one")+"-units/mkswap-var-swap.service", "[Service]\n")
	put(t, tree, "nix/var/nix/profiles/system", "->system-1-link")
	put(t, tree, "nix/var/nix/profiles/system-1-link", "->"+top("one"))
	all, err := tables(tree)
	must(t, err)
	var got []string
	for _, one := range all {
		got = append(got, fmt.Sprint(strings.TrimPrefix(one.file, top("")), " ", one.makes))
	}
	if diff := cmp.Diff([]string{"one/etc/fstab [/var/swap]", "one-special/etc/fstab []"}, got); diff != "" {
		t.Error(diff)
	}
	err = Check(tree, planOf(t, builtin(t, "btrfs-laptop")))
	if !strings.HasPrefix(fmt.Sprint(err), top("one-special")+"/etc/fstab:7:1: swapDevices: swaps to /var/swap;") {
		t.Errorf("error %v", err)
	}
	put(t, tree, top("one-special")+"-etc/etc/systemd/system/mkswap-var-swap.service", "->mkswap-var-swap.service")
	if _, err := tables(tree); fault.ClassOf(err) != fault.Input || !strings.Contains(fmt.Sprint(err), "leads through more than 40 symlinks") {
		t.Errorf("error %v", err)
	}
}

// TestMkswapUnit: the names that NixOS gives.
func TestMkswapUnit(t *testing.T) {
	in := []string{"/swapfile", "/var/swap", "/var//lib/swap-file/", "/.swap/a.b", "/swap/a b:c_d", "/swäp"}
	var got []string
	for _, file := range in {
		got = append(got, strings.TrimSuffix(strings.TrimPrefix(mkswapUnit(file), "mkswap-"), ".service"))
	}
	want := []string{"swapfile", "var-swap", "var-lib-swapx2dfile", "x2eswap-a.b", "swap-ax20b:c_d", "swäp"}
	if !slices.Equal(got, want) {
		t.Errorf("units %q; want %q", got, want)
	}
}
