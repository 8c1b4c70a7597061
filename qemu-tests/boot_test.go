package qemutests

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// bootCase is an image that is built and booted as users do it: by the mkimage
// program alone.
type bootCase struct {
	name    string
	profile string
	args    []string // of mkimage build
	buses   []Bus
	full    bool // only under MKIMAGE_FULL
}

var bootCases = []bootCase{
	{"minimal", "bandit-minimal", nil, []Bus{VirtioBlk}, false},
	{"minimal-buses", "bandit-minimal", nil, []Bus{NVMe, USB, VirtioSCSI, AHCI}, true},
	{"impermanence", "bandit-minimal", []string{"--set", "layout=impermanence"}, []Bus{VirtioBlk}, true},
	{"uki", "bandit-minimal", []string{"--set", "boot.loader=uki"}, []Bus{VirtioBlk}, true},
	{"server", "server-home", nil, []Bus{VirtioBlk}, true},
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
			image := buildImage(t, tt)
			for _, c := range bootImage(t, image, tt.buses) {
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
func buildImage(t *testing.T, c bootCase) string {
	t.Helper()
	dir := t.TempDir()
	image := filepath.Join(dir, "disk.img")
	args := append([]string{"build", c.profile, "--quiet", "--source", "tar:" + imgtest.Reference(t).Tar, "-o", image, "--lock", filepath.Join(dir, "lock.json")}, c.args...)
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
	return report.Checks
}
