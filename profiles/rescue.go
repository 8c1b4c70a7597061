package profiles

import (
	"path"
	"reflect"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

// Rescue says what the rescue environment of a medium carries: an entry of its menu which
// brings a machine back. On an installer it is the second one, on a medium of kind
// "rescue" the only one.
type Rescue struct {
	Enable *bool `toml:"enable" json:"enable,omitempty"` // nil: not said, which is true of a medium once resolved
	// SSHKeys are public keys, one of which opens a shell of root over SSH. Without any
	// there is no server.
	SSHKeys  []string      `toml:"ssh_keys" json:"ssh_keys,omitempty"`
	Network  RescueNetwork `toml:"network" json:"network,omitzero"`
	Programs []string      `toml:"programs" json:"programs,omitempty"` // of the payload's system, besides those that every one has
	Modules  []string      `toml:"modules" json:"modules,omitempty"`   // classes and names of kernel modules; none means the usual classes
	Firmware []string      `toml:"firmware" json:"firmware,omitempty"` // as Initramfs.Firmware, besides what the modules name
}

// RescueNetwork is how a rescue environment gets to a backup on a server.
type RescueNetwork struct {
	Wired *bool `toml:"wired" json:"wired,omitempty"` // every wired network, by DHCP; nil: not said, which is true once resolved
	WiFi  WiFi  `toml:"wifi" json:"wifi,omitzero"`
}

// WiFi is a wireless network.
type WiFi struct {
	SSID       string `toml:"ssid" json:"ssid"`
	Passphrase string `toml:"passphrase" json:"passphrase"` // the name of the payload's secret that has it; "" for an open network
}

// IsZero reports whether nothing is said, be the lists nil or empty.
func (r Rescue) IsZero() bool {
	for _, list := range []*[]string{&r.SSHKeys, &r.Programs, &r.Modules, &r.Firmware} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	return reflect.DeepEqual(r, Rescue{})
}

// Enabled reports whether a medium has a rescue environment.
func (r Rescue) Enabled() bool { return r.Enable != nil && *r.Enable }

// complete sets what the profile of a medium does not say. One without a rescue
// environment says nothing else.
func (r *Rescue) complete() {
	yes := true
	if r.Enable == nil {
		r.Enable = &yes
	}
	if r.Enabled() && r.Network.Wired == nil {
		r.Network.Wired = &yes
	}
}

// maxSSID is the length of the name of a wireless network in bytes (IEEE 802.11).
const maxSSID = 32

// checkRescueMedium checks a profile of kind "rescue".
func checkRescueMedium(p *Profile, f *strict.Findings) {
	checkLayout(p, f)
	if !isName(p.Payload) {
		f.Add("payload", "expected the name of the profile that is brought back, found %q", p.Payload)
	}
	if !p.Installer.IsZero() {
		f.Add("installer", `a medium of kind "rescue" installs nothing: set kind = "installer", or leave it out`)
	}
	checkNoSystem(p, "a rescue medium brings back", f)
	if r := p.Rescue.Enable; r != nil && !*r {
		f.Add("rescue.enable", `false: a medium of kind "rescue" has nothing else: leave it out`)
		return
	}
	checkRescue(p, f)
}

// checkRescue checks the rescue environment of a medium.
func checkRescue(p *Profile, f *strict.Findings) {
	r := &p.Rescue
	if without := *r; r.Enable != nil && !*r.Enable {
		if without.Enable = nil; !without.IsZero() {
			f.Add("rescue.enable", "false: then there is nothing else to say in [rescue]")
		}
		return
	}
	for i, line := range r.SSHKeys {
		if !isPublicKey(line) {
			f.Add(strict.Index("rescue.ssh_keys", i), "expected a public key, such as %q, found %q", "ssh-ed25519 AAAA... name", shorten(line))
		}
	}
	checkForms("rescue.programs", r.Programs, fileName, "the name of a program, without a path", f)
	checkForms("rescue.modules", r.Modules, module, "a class of kernel modules, or the name of one without .ko", f)
	for i, pattern := range r.Firmware {
		checkFirmware(strict.Index("rescue.firmware", i), pattern, f)
	}
	w := r.Network.WiFi
	switch {
	case len(w.SSID) > maxSSID || hasControl(w.SSID):
		f.Add("rescue.network.wifi.ssid", "expected at most %d printable bytes, found %q", maxSSID, w.SSID)
	case w.SSID == "" && w.Passphrase != "":
		f.Add("rescue.network.wifi.passphrase", "%q: of which network: set rescue.network.wifi.ssid", w.Passphrase)
	}
}

// checkFirmware refuses what cannot name files below /usr/lib/firmware.
func checkFirmware(key, pattern string, f *strict.Findings) {
	_, err := path.Match(pattern, "")
	if err != nil || pattern == "" || path.IsAbs(pattern) || pattern != path.Clean(pattern) || strings.HasPrefix(pattern, "..") {
		f.Add(key, "expected a path or glob pattern below /usr/lib/firmware, found %q", pattern)
	}
}
