package image

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/profiles"
)

// ownRescue are the programs of mkimage for a rescue environment.
func ownRescue() *Rescue {
	return &Rescue{Program: []byte("\x7fELF of mkimage-rescue"), FirstBoot: []byte("\x7fELF of mkimage-firstboot"), Restic: []byte("\x7fELF of restic")}
}

// withPrograms adds static programs to the folder of a system.
func withPrograms(t *testing.T, names ...string) func(dir string) {
	return func(dir string) {
		for _, name := range names {
			at := filepath.Join(dir, "usr/sbin", name)
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(at, imgtest.Program("program "+name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// hasRescue checks the archive of a rescue environment and the entry that names it.
func hasRescue(t *testing.T, p *plan.Plan, esp *espreader.FS, r *RescueResult, in *Installer) {
	t.Helper()
	packed, err := esp.ReadAtMost(loader.RescuePath, 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	plain, err := d.DecodeAll(packed, nil)
	for pad := 1; err != nil && pad < 4; pad++ { // zeros make its length a multiple of 4
		plain, err = d.DecodeAll(packed[:len(packed)-pad], nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		string(in.Rescue.Program), string(in.Rescue.FirstBoot), string(in.Rescue.Restic), string(in.Program), string(in.Key), "program btrfs", "usr/sbin/btrfs",
		"etc/mkimage/plan.json", p.Seed.String(), "etc/mkimage/device-modules", "lib/mkimage/mkimage-rescue",
	} {
		if !bytes.Contains(plain, []byte(want)) {
			t.Errorf("/%s: lacks %q", loader.RescuePath, want)
		}
	}
	text, err := esp.ReadAtMost("loader/entries/mkimage-"+p.Name()+"-recovery.conf", 1<<16)
	if err != nil || !strings.Contains(string(text), plan.RescueWord) || strings.Contains(string(text), plan.InstallWord) || !strings.Contains(string(text), "/"+loader.RescuePath) || strings.Contains(string(text), loader.InstallerPath) {
		t.Errorf("entry: %v\n%s", err, text)
	}
	absent := []string{}
	for _, a := range r.Absent {
		absent = append(absent, a.Name)
	}
	if len(r.Programs) != 1 || r.Programs[0].Path != "/usr/sbin/btrfs" || !slices.Contains(absent, "smartctl") || r.Size != int64(len(packed)) {
		t.Errorf("result %+v; want btrfs, and not smartctl", r)
	}
}

// TestRescueRefused: what a rescue environment is made of is there, or there is none.
func TestRescueRefused(t *testing.T) {
	on, off := mediumOf(t, "bandit-installer"), mediumOf(t, "bandit-installer")
	off.Medium.Rescue = profiles.Rescue{}
	tests := []struct {
		name   string
		plan   *plan.Plan
		rescue *Rescue
		class  fault.Class
		want   string
	}{
		{"not given", on, nil, fault.Internal, "programs of a rescue environment: given: false, for a plan that has one: true"},
		{"not wanted", off, ownRescue(), fault.Internal, "programs of a rescue environment: given: true, for a plan that has one: false"},
		{"no btrfs", on, ownRescue(), fault.Input, "rescue environment: program btrfs: in none of the system's folders of programs"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := Inputs{Installer: &Installer{Program: []byte("x"), Key: []byte("k"), Rescue: tt.rescue}}
			_, _, err := writeSmall(t, tt.plan, in, nil)
			if err == nil || fault.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v; want %q", err, tt.want)
			}
			if tt.class == fault.Input && fault.HintOf(err) != "add to the system: btrfs-progs" {
				t.Errorf("hint %q", fault.HintOf(err))
			}
		})
	}
}

// TestRescueWants: what a profile asks for decides about programs and modules.
func TestRescueWants(t *testing.T) {
	tests := []struct {
		name     string
		in       profiles.Rescue
		programs []string // among others
		modules  string
	}{
		{"nothing", profiles.Rescue{}, []string{"btrfs"}, ""},
		{"named", profiles.Rescue{Programs: []string{"tmux"}, Modules: []string{"nvme"}}, []string{"tmux", "btrfs"}, "nvme"},
		{"wireless", profiles.Rescue{Network: profiles.RescueNetwork{WiFi: profiles.WiFi{SSID: "x"}}}, []string{"wpa_supplicant", "iw"}, "ethernet usb-network filesystems encryption wifi"},
		{"wireless, modules named", profiles.Rescue{Modules: []string{"iwlwifi"}, Network: profiles.RescueNetwork{WiFi: profiles.WiFi{SSID: "x"}}}, []string{"iw"}, "iwlwifi"},
		{"SSH", profiles.Rescue{SSHKeys: []string{"x"}}, []string{"sshd", "ssh-keygen"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var names []string
			for _, p := range programsOf(tt.in) {
				names = append(names, p.Name)
			}
			for _, want := range tt.programs {
				if !slices.Contains(names, want) {
					t.Errorf("programs %q; want %s among them", names, want)
				}
			}
			if got := strings.Join(modulesOf(tt.in), " "); got != tt.modules || slices.Contains(names, "sshd") != (tt.in.SSHKeys != nil) {
				t.Errorf("modules %q, programs %q; want modules %q", got, names, tt.modules)
			}
		})
	}
}
