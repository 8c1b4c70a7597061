package qemutests

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
)

// bootCase is an image that is built and booted as users do it: by the mkimage
// program alone.
type bootCase struct {
	name    string
	profile string
	args    []string // of mkimage build
	buses   []Bus
	checks  []string // that must be made on each bus
	full    bool     // only under MKIMAGE_FULL
}

// What a system is asked once it has booted, and what its menu is.
var (
	systemChecks = []string{"boot", "running", "mounts", "hostname", "cmdline", "esp", "empty-mountpoints", "machine-id"}
	menuChecks   = []string{"factory", "rescue"}
	allChecks    = slices.Concat(systemChecks, menuChecks)
)

var bootCases = []bootCase{
	{"minimal", "bandit-minimal", nil, []Bus{VirtioBlk}, allChecks, false},
	{"minimal-buses", "bandit-minimal", nil, []Bus{NVMe, USB, VirtioSCSI, AHCI}, allChecks, true},
	{"impermanence", "bandit-minimal", []string{"--set", "layout=impermanence"}, []Bus{VirtioBlk}, append(slices.Clone(allChecks), "impermanence"), true},
	{"uki", "bandit-minimal", []string{"--set", "boot.loader=uki"}, []Bus{VirtioBlk}, systemChecks, true},
	{"grub", "bandit-minimal", []string{"--set", "boot.loader=grub", "--set", "boot.grub=" + imgtest.GRUB}, []Bus{VirtioBlk}, allChecks, true},
	{"server", "server-home", nil, []Bus{VirtioBlk}, allChecks, true},
}

// wantOn returns the sorted names of the checks that are made on each bus: where
// there is one alone, a second copy shows that the machine id is its own.
func (c bootCase) wantOn() []string {
	want := slices.Clone(c.checks)
	if len(c.buses) == 1 {
		want = append(want, "machine-id")
	}
	return slices.Sorted(slices.Values(want))
}

// TestBoot builds each image from the reference userland and puts it to the
// checks that its profile promises. On a host without KVM a bus takes five
// minutes.
func TestBoot(t *testing.T) {
	imgtest.Need(t, Binary, "qemu-img")
	for _, tt := range bootCases {
		if tt.full && !imgtest.Full() {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			if slices.Contains(tt.args, "boot.loader=grub") {
				imgtest.NeedGRUB(t)
			}
			image := buildImage(t, tt)
			checks := bootImage(t, image, tt.buses)
			for _, bus := range tt.buses {
				if diff := cmp.Diff(tt.wantOn(), madeOn(checks, bus)); diff != "" {
					t.Errorf("checks on %s (-want +got):\n%s", bus, diff)
				}
			}
			for _, c := range checks {
				t.Run(c.Bus+"/"+c.Check, func(t *testing.T) {
					t.Logf("%.1f s", c.Seconds)
					if !c.OK {
						t.Errorf("%s\n%s\n%s", c.Error, strings.Join(c.Serial, "\n"), c.Command)
					}
				})
			}
		})
	}
}

// buildImage builds the image of a case from the reference userland.
func buildImage(t testing.TB, c bootCase) string {
	t.Helper()
	return buildFrom(t, "tar:"+userland.Reference(t).Tar, c)
}

func buildFrom(t testing.TB, source string, c bootCase) string {
	t.Helper()
	dir := t.TempDir()
	image := filepath.Join(dir, "disk.img")
	args := append([]string{"build", c.profile, "--quiet", "--source", source, "-o", image, "--lock", filepath.Join(dir, "lock.json")}, c.args...)
	command(t, builtMkimage(t), args...)
	return image
}

// checked is what mkimage test prints of one check.
type checked struct {
	Bus, Check string
	OK         bool
	Seconds    float64
	Error      string
	Serial     []string
	Command    string
}

// madeOn returns the sorted names of the checks that were made on a bus.
func madeOn(checks []checked, bus Bus) (names []string) {
	for _, c := range checks {
		if c.Bus == string(bus) {
			names = append(names, c.Check)
		}
	}
	return slices.Sorted(slices.Values(names))
}

// bootImage lets mkimage test an image; its exit status must say what its
// report does.
func bootImage(t *testing.T, image string, buses []Bus) []checked {
	t.Helper()
	args := []string{"test", image, "--json", "--keep", keepDir(t)}
	for _, b := range buses {
		args = append(args, "--bus", string(b))
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), builtMkimage(t), args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// A check that fails makes an exit status, and is in the report.
	runErr := cmd.Run()
	var report struct{ Checks []checked }
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil || len(report.Checks) == 0 {
		t.Fatalf("mkimage test: %v, %v\n%s%s", runErr, err, stdout.String(), stderr.String())
	}
	failed := slices.ContainsFunc(report.Checks, func(c checked) bool { return !c.OK })
	if (runErr != nil) != failed {
		t.Errorf("mkimage test: %v, and a check failed: %v", runErr, failed)
	}
	return report.Checks
}
