package profiles

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// installerText is an installer with a table [rescue].
func installerText(rescue string) string {
	return "kind = 'installer'\npayload = 'bandit-full'\nlayout = 'usb-installer'\n" + rescue
}

func TestRescue(t *testing.T) {
	key := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHcC3qBnRIxpMEsBwzYBMyfGGkxVyYVYBdK1YB0e8oA4"
	tests := []struct{ name, in, want string }{
		{"nothing said", "", ""},
		{"all", "[rescue]\nenable = true\nssh_keys = ['" + key + " eve']\nprograms = ['ddrescue']\nmodules = ['wifi', 'nvme-tcp']\nfirmware = ['iwlwifi-*.ucode']\n[rescue.network]\nwired = false\nwifi = { ssid = 'at home', passphrase = 'wifi' }", ""},
		{"off", "[rescue]\nenable = false", ""},
		{"off, and more", "[rescue]\nenable = false\nprograms = ['x']", "rescue.enable: false: then there is nothing else to say in [rescue]"},
		{"key", "[rescue]\nssh_keys = ['ssh-dss AAAA']", "rescue.ssh_keys[0]: expected a public key"},
		{"path of a program", "[rescue]\nprograms = ['/bin/x']", `rescue.programs[0]: expected the name of a program, without a path, found "/bin/x"`},
		{"file of a module", "[rescue]\nmodules = ['x.ko']", "rescue.modules[0]: expected a class of kernel modules, or the name of one without .ko"},
		{"firmware above", "[rescue]\nfirmware = ['../x']", "rescue.firmware[0]: expected a path or glob pattern"},
		{"SSID of 31 bytes", "[rescue.network.wifi]\nssid = '" + strings.Repeat("x", 31) + "'", ""},
		{"SSID of 32 bytes", "[rescue.network.wifi]\nssid = '" + strings.Repeat("x", 32) + "'", ""},
		{"SSID of 33 bytes", "[rescue.network.wifi]\nssid = '" + strings.Repeat("x", 33) + "'", "rescue.network.wifi.ssid: expected at most 32 printable bytes"},
		{"passphrase of nothing", "[rescue.network.wifi]\npassphrase = 'x'", `rescue.network.wifi.passphrase: "x": of which network: set rescue.network.wifi.ssid`},
		{"unknown key", "[rescue]\nenabled = true", "enabled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := resolveText(t, installerText(tt.in))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want %q", err, tt.want)
			}
		})
	}
	_, _, err := resolveText(t, "extends = 'bandit-minimal'\n[rescue]\nenable = true")
	if err == nil || !strings.Contains(err.Error(), "rescue: only a medium has it") {
		t.Errorf("a system with [rescue]: %v; want it refused", err)
	}
}

// TestRescueMedium changes one thing of bandit-rescue.
func TestRescueMedium(t *testing.T) {
	tests := []struct{ change, want string }{
		{"", ""},
		{"rescue.programs = ['tmux']", ""},
		{"rescue.enable = true", ""},
		{"rescue.enable = false", `rescue.enable: false: a medium of kind "rescue" has nothing else`},
		{"payload = ''", `payload: expected the name of the profile that is brought back, found ""`},
		{"layout = ''", "layout: expected the name of a layout"},
		{"hostname = 'fox'", `hostname: a rescue medium brings back a system that another profile describes: say it in the payload, "bandit-full"`},
		{"boot.timeout = 1", "boot: a rescue medium brings back a system"},
		{"installer.mode = 'fresh'", `installer: a medium of kind "rescue" installs nothing`},
		{"rescue.ssh_keys = ['x']", "rescue.ssh_keys[0]: expected a public key"},
	}
	for _, tt := range tests {
		t.Run(tt.change, func(t *testing.T) {
			p, _, err := resolveText(t, "extends = 'bandit-rescue'\n"+tt.change)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want %q", err, tt.want)
			}
			if err == nil && (!p.IsRescue() || !p.IsMedium() || p.IsInstaller() || !p.Rescue.Enabled() || !p.Installer.IsZero()) {
				t.Errorf("%+v", p)
			}
		})
	}
}

// TestRescueDefaults: an installer has a rescue environment unless it says otherwise.
func TestRescueDefaults(t *testing.T) {
	yes, no := true, false
	tests := []struct {
		name, in string
		want     Rescue
	}{
		{"nothing said", "", Rescue{Enable: &yes, Network: RescueNetwork{Wired: &yes}}},
		{"off", "[rescue]\nenable = false", Rescue{Enable: &no}},
		{"not wired", "[rescue.network]\nwired = false", Rescue{Enable: &yes, Network: RescueNetwork{Wired: &no}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _, err := resolveText(t, installerText(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, p.Rescue, cmp.Transformer("lists", func(l []string) int { return len(l) })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	system, _, err := resolveText(t, "extends = 'bandit-minimal'")
	if err != nil || !system.Rescue.IsZero() || system.Rescue.Enabled() {
		t.Errorf("a system: %+v, %v; want no rescue environment", system.Rescue, err)
	}
}
