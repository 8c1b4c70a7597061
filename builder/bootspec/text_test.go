package bootspec_test

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
)

const (
	machineID = "0123456789abcdef0123456789abcdef"
	kernelEFI = "/EFI/nixos/" + hashB + "-linux-6.12.1-bzImage.efi"
	initrdEFI = "/EFI/nixos/" + hashC + "-initrd-linux-6.12.1-initrd.efi"
	version   = "version Generation 5 NixOS Xantusia 25.11.1 (Linux 6.12.1), built on 2026-06-01\n"
)

func TestText(t *testing.T) {
	full := small(t)
	full.SortKey, full.DeviceTree, full.ExtraInitrds = "z", mustPath(t, linux+"/dtbs/x.dtb"), []string{"vendorfw/fw.cpio"}
	bare := small(t)
	bare.KernelParams = nil
	content := bootspec.EntryOptions{Layout: bootspec.ByContent}
	contentID := bootspec.EntryOptions{Layout: bootspec.ByContent, MachineID: machineID}
	for _, tt := range []struct {
		name    string
		profile string
		spec    *bootspec.Spec
		o       bootspec.EntryOptions
		want    string
	}{
		{
			"by generation", "", small(t), bootspec.EntryOptions{},
			"title NixOS\nsort-key nixos\n" + version + "linux " + kernelEFI + "\ninitrd " + initrdEFI + "\noptions init=" + topA + "/init quiet loglevel=4\n",
		},
		{
			"by generation, all", "test", full, bootspec.EntryOptions{MachineID: machineID},
			"title NixOS [test]\nsort-key z\n" + version + "linux " + kernelEFI + "\ninitrd " + initrdEFI + "\ninitrd /vendorfw/fw.cpio\noptions init=" + topA +
				"/init quiet loglevel=4\nmachine-id " + machineID + "\ndevicetree /EFI/nixos/" + hashB + "-linux-6.12.1-x.dtb.efi\n",
		},
		{
			"by generation, no parameters", "", bare, bootspec.EntryOptions{},
			"title NixOS\nsort-key nixos\n" + version + "linux " + kernelEFI + "\ninitrd " + initrdEFI + "\noptions init=" + topA + "/init \n",
		},
		{
			"by content", "", small(t), content,
			"title NixOS\n" + version + "linux " + kernelEFI + "\ninitrd " + initrdEFI + "\noptions init=" + topA + "/init quiet loglevel=4\nsort-key nixos",
		},
		{
			"by content, all", "test", full, contentID,
			"title NixOS [test]\n" + version + "linux " + kernelEFI + "\ninitrd " + initrdEFI + "\ninitrd /vendorfw/fw.cpio\noptions init=" + topA +
				"/init quiet loglevel=4\nmachine-id " + machineID + "\ndevicetree /EFI/nixos/" + hashB + "-linux-6.12.1-x.dtb.efi\nsort-key z",
		},
		{
			"by content, no parameters", "", bare, content,
			"title NixOS\n" + version + "linux " + kernelEFI + "\ninitrd " + initrdEFI + "\noptions init=" + topA + "/init\nsort-key nixos",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := entries(t, bootspec.Generation{Profile: tt.profile, Number: 5, Spec: tt.spec}, tt.o)[0]
			if diff := cmp.Diff(tt.want, string(e.Text())); diff != "" {
				t.Errorf("Text (-want +got):\n%s", diff)
			}
			name := strings.ReplaceAll("nixos-"+tt.profile+"-generation-5.conf", "--", "-")
			if tt.o.Layout == bootspec.ByContent {
				name = fmt.Sprintf("nixos-%x.conf", sha256.Sum256([]byte(tt.want)))
			}
			if e.FileName != name {
				t.Errorf("FileName = %q; want %q", e.FileName, name)
			}
			checkReadAgain(t, tt.spec, tt.o.Layout)
		})
	}
}

// checkReadAgain compares what the reader of entries finds in the texts with
// what was written. A system that has no entries has to be refused as an input.
func checkReadAgain(t *testing.T, spec *bootspec.Spec, layout bootspec.Layout) {
	t.Helper()
	list, err := bootspec.Entries([]bootspec.Generation{{Number: 5, Built: day, Spec: spec}}, bootspec.EntryOptions{Layout: layout, MachineID: machineID})
	if err != nil {
		if fault.ClassOf(err) != fault.Input {
			t.Errorf("error of class %d; want %d: %v", fault.ClassOf(err), fault.Input, err)
		}
		return
	}
	for _, e := range list {
		want := bls.Entry{
			Title: e.Title, Version: e.Version, SortKey: e.SortKey, Linux: "/" + e.Kernel, Initrd: []string{"/" + e.Initrd},
			Options: strings.TrimSpace(e.Options), MachineID: machineID,
		}
		for _, p := range e.ExtraInitrds {
			want.Initrd = append(want.Initrd, "/"+p)
		}
		if e.DeviceTree != "" {
			want.Devicetree = "/" + e.DeviceTree
		}
		got, err := bls.ParseEntry(e.Text())
		if err != nil {
			t.Fatalf("read again: %v\n%s", err, e.Text())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("read again (-want +got):\n%s", diff)
		}
		if _, ok := bls.ParseName(e.FileName); !ok {
			t.Errorf("FileName %q is none of an entry", e.FileName)
		}
	}
}

func TestLoaderConf(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   bootspec.LoaderOptions
		want string
		err  string
	}{
		{"of NixOS", bootspec.LoaderOptions{Timeout: 5, Default: "nixos-generation-1.conf", Editor: true}, "timeout 5\ndefault nixos-generation-1.conf\nconsole-mode keep\n", ""},
		{"no editor", bootspec.LoaderOptions{Default: "nixos-generation-1.conf", ConsoleMode: "max"}, "timeout 0\ndefault nixos-generation-1.conf\neditor 0\nconsole-mode max\n", ""},
		{"all", bootspec.LoaderOptions{Timeout: bls.MenuForce, RebootForBitlocker: true}, "timeout menu-force\ndefault nixos-*\neditor 0\nreboot-for-bitlocker yes\nconsole-mode keep\n", ""},
		{"timeout", bootspec.LoaderOptions{Timeout: -2}, "", "loader.conf: timeout -2: expected seconds or -1"},
		{"default", bootspec.LoaderOptions{Default: "a\nb.conf"}, "", `loader.conf: default "a\nb.conf": expected the file name of an entry`},
		{"console mode", bootspec.LoaderOptions{ConsoleMode: "3"}, "", `loader.conf: console-mode "3": expected one of 0, 1, 2, 5, auto, max, keep`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := bootspec.LoaderConf(tt.in)
			wantError(t, err, tt.err)
			if string(got) != tt.want {
				t.Fatalf("LoaderConf = %q; want %q", got, tt.want)
			}
			if err != nil {
				return
			}
			want := bls.Conf{Timeout: tt.in.Timeout, Default: tt.in.Default, Editor: tt.in.Editor, ConsoleMode: tt.in.ConsoleMode}
			if want.Default == "" {
				want.Default = bootspec.AnyEntry
			}
			if want.ConsoleMode == "" {
				want.ConsoleMode = "keep"
			}
			if again, err := bls.ParseConf(got); err != nil || again != want {
				t.Errorf("read again: %+v, %v; want %+v", again, err, want)
			}
		})
	}
}

// TestPruning reads the names as NixOS's builders do before they remove what is
// of no generation any more. What they take for the profile of an entry whose
// specialisation is called like a generation is no profile: it is removed, and
// written anew where it is still wanted.
func TestPruning(t *testing.T) {
	var (
		glob       = regexp.MustCompile(`(?i)^nixos.*-generation-[1-9].*\.conf$`)
		profile    = regexp.MustCompile(`^nixos-(.*)-generation-.*\.conf$`)
		generation = regexp.MustCompile(`^nixos.*-generation-([0-9]+)(-specialisation-.*)?\.conf$`)
		byContent  = regexp.MustCompile(`^nixos-.+\.conf$`)
	)
	names := []string{"debug", "specialisation", "a-1", "1", "generation", "a.b_c+d"}
	for _, p := range []string{"", "test", "a-b", "generation", "x-generation-3"} {
		for _, n := range []int{1, 2, 10, 4711} {
			s := small(t)
			s.Specialisations = map[string]*bootspec.Spec{}
			for _, name := range names {
				s.Specialisations[name] = small(t)
			}
			for _, e := range entries(t, bootspec.Generation{Profile: p, Number: n, Spec: s}, bootspec.EntryOptions{}) {
				found := ""
				if m := profile.FindStringSubmatch(e.FileName); m != nil {
					found = m[1]
				}
				number := generation.ReplaceAllString(e.FileName, "$1")
				if !glob.MatchString(e.FileName) || found != p || number != fmt.Sprint(n) {
					t.Errorf("%s: read as profile %q, generation %s; want %q, %d", e.FileName, found, number, p, n)
				}
				if !byContent.MatchString(e.FileName) {
					t.Errorf("%s: the newer builder would not remove it", e.FileName)
				}
			}
		}
	}
	s := small(t)
	s.Specialisations = map[string]*bootspec.Spec{"a-generation-9": small(t), "a-generation-x": small(t)}
	for _, e := range entries(t, bootspec.Generation{Number: 1, Spec: s}, bootspec.EntryOptions{})[1:] {
		if !glob.MatchString(e.FileName) || profile.FindStringSubmatch(e.FileName)[1] == "" || !generation.MatchString(e.FileName) {
			t.Errorf("%s: the older builder would not remove it", e.FileName)
		}
	}
}
