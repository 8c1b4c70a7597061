package hardware

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// nasty holds what means something to the Nix language, alone and together.
var nasty = []string{
	`"`, `\`, "$", "${", "$${x}", `\${x}`, `"${builtins.abort "no"}"`, "''", "a\nb\tc\rd", `\n`, "ü\u2028", "\x01\x7f", "*/", "#", "", "x${", `\"`, "$$$",
}

func evaluate(t *testing.T, expression string, into any) {
	t.Helper()
	imgtest.Need(t, "nix-instantiate")
	// A store that is none needs no rights.
	cmd := exec.Command("nix-instantiate", "--store", "dummy://", "--eval", "--strict", "--json", "--expr", expression)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("nix-instantiate: %v\n%s%s", err, stderr.Bytes(), expression)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatal(err)
	}
}

func parse(t *testing.T, text []byte) {
	t.Helper()
	imgtest.Need(t, "nix-instantiate")
	cmd := exec.Command("nix-instantiate", "--store", "dummy://", "--parse", "-")
	cmd.Stdin = bytes.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nix-instantiate --parse: %v\n%s%s", err, out, text)
	}
}

func TestNixString(t *testing.T) {
	var got []string
	evaluate(t, nix.QuoteList(nasty), &got)
	if diff := cmp.Diff(nasty, got); diff != "" {
		t.Error(diff)
	}
}

// module is what a module evaluates to.
type module struct {
	FileSystems map[string]struct {
		Device, FSType string
		Options        []string
		NeededForBoot  bool
	}
	SwapDevices []struct {
		Device  string
		Options []string
	}
	Boot struct {
		ResumeDevice *string
		KernelParams []string
		Initrd       struct{ AvailableKernelModules []string }
	}
}

// TestNix lets Nix evaluate a module with all that can be in one.
func TestNix(t *testing.T) {
	h := &Hardware{
		From: FromFstab,
		Mounts: []Mount{
			{What: "PARTUUID=a-b", Target: "/", Type: "btrfs", Options: []string{"subvol=@"}},
			{What: "LABEL=my disk", Target: `/a "${b}"\`, Type: "auto", Options: []string{"defaults"}},
			{What: "UUID=1234-ABCD", Target: "/boot", Type: "vfat", Options: []string{"umask=0077", "x-initrd.mount"}, Pass: 2},
		},
		Swaps:   []Swap{{"/swap/swapfile", []string{"defaults"}}, {"PARTLABEL=swap", []string{"pri=5", `a"b`}}, {"/dev/sdb", nil}},
		Resume:  &Resume{Device: "PARTUUID=a-b", Offset: 140544},
		Modules: nasty,
	}
	text, err := h.Nix()
	if err != nil {
		t.Fatal(err)
	}
	parse(t, text)
	var got module
	evaluate(t, "("+string(text)+") { lib = null; pkgs = null; }", &got)

	var want module
	want.FileSystems = map[string]struct {
		Device, FSType string
		Options        []string
		NeededForBoot  bool
	}{
		"/":          {Device: "/dev/disk/by-partuuid/a-b", FSType: "btrfs", Options: []string{"subvol=@"}},
		`/a "${b}"\`: {Device: `/dev/disk/by-label/my\x20disk`, FSType: "auto"},
		"/boot":      {Device: "/dev/disk/by-uuid/1234-ABCD", FSType: "vfat", Options: []string{"umask=0077"}, NeededForBoot: true},
	}
	for _, s := range []Swap{{"/swap/swapfile", nil}, {"/dev/disk/by-partlabel/swap", []string{"pri=5", `a"b`}}, {"/dev/sdb", nil}} {
		want.SwapDevices = append(want.SwapDevices, struct {
			Device  string
			Options []string
		}{s.What, s.Options})
	}
	device := "/dev/disk/by-partuuid/a-b"
	want.Boot.ResumeDevice, want.Boot.KernelParams, want.Boot.Initrd.AvailableKernelModules = &device, []string{"resume_offset=140544"}, nasty
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNixAbsent(t *testing.T) {
	text, err := (&Hardware{From: FromFstab, Mounts: []Mount{}}).Nix()
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"resume", "Modules", "fileSystems", "kernelParams"} {
		if strings.Contains(string(text), word) {
			t.Errorf("says %q of what is not known:\n%s", word, text)
		}
	}
	var got module
	evaluate(t, "("+string(text)+") {}", &got)
	if got.SwapDevices == nil || len(got.SwapDevices) > 0 {
		t.Errorf("swapDevices = %v; want an empty list", got.SwapDevices)
	}
}

// TestNixUnknownOffset wants a comment that cannot end early, and no number.
func TestNixUnknownOffset(t *testing.T) {
	h := &Hardware{From: FromPlan, Resume: &Resume{Device: "LABEL=x", Unknown: "a\nb = 1;\rc"}}
	text, err := h.Nix()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "  # No resume_offset: a b = 1; c.\n") || !strings.Contains(string(text), "as in: mkimage layout /dev/nvme0n1 >") || strings.Contains(string(text), "kernelParams") {
		t.Errorf("got:\n%s", text)
	}
	parse(t, text)
}

func TestNixTwice(t *testing.T) {
	h := &Hardware{Mounts: []Mount{{Target: "/a"}, {Target: "/b"}, {Target: "/a"}}}
	_, err := h.Nix()
	if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "/a: two file systems") {
		t.Errorf("error %v", err)
	}
}
