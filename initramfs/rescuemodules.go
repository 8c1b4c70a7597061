package initramfs

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

// The classes of modules of a rescue environment.
const (
	ClassEthernet    = "ethernet"    // wired networks, also of virtual machines
	ClassUSBNetwork  = "usb-network" // of adapters, docks and telephones
	ClassWiFi        = "wifi"
	ClassFilesystems = "filesystems" // of the disks that somebody may bring along
	ClassEncryption  = "encryption"  // disks with LUKS
)

// RescueModules are the classes of a rescue environment that names none. Wi-Fi is not
// among them: its firmware is larger than all else together, so it comes when it is
// asked for.
var RescueModules = []string{ClassEthernet, ClassUSBNetwork, ClassFilesystems, ClassEncryption}

// class is what belongs to a class, as far as a kernel has it.
type class struct {
	start   []string // modules to be loaded in any case
	devices []string // modules to be loaded when there is a device for them
	below   []string // so too, directories of modules from that of the kernel's
	but     []string // directories that are left out, or beginnings of paths
}

const drivers = "kernel/drivers/net/"

// classes are the classes by name.
var classes = map[string]class{
	ClassEthernet: {
		start:   []string{"af_packet"},
		devices: []string{"virtio_net", "vmxnet3", "hv_netvsc", "xen_netfront", "thunderbolt_net"},
		below:   []string{drivers + "ethernet/", drivers + "phy/"},
		// Adapters of data centres, whose firmware is larger than that of all others.
		but: []string{drivers + "ethernet/netronome/", drivers + "ethernet/cavium/", drivers + "ethernet/mellanox/mlxsw/", drivers + "ethernet/qlogic/qed"},
	},
	ClassUSBNetwork: {below: []string{drivers + "usb/"}},
	ClassWiFi: {
		// The kernel asks modprobe for the ciphers, which is not there.
		start: []string{"rfkill", "ccm", "gcm", "cmac", "ctr", "cbc", "ecb", "hmac", "sha256_generic", "sha1_generic", "aesni_intel", "af_packet"},
		below: []string{drivers + "wireless/"},
	},
	ClassFilesystems: {
		start: []string{"vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8", "ext4", "exfat", "ntfs3", "isofs", "loop", "overlay"},
	},
	ClassEncryption: {
		start: []string{"dm_mod", "dm_crypt", "xts", "cbc", "essiv", "aesni_intel", "sha256_generic", "sha512_generic", "algif_skcipher", "algif_hash"},
	},
}

// Classes returns the names of the classes, sorted.
func Classes() []string { return slices.Sorted(maps.Keys(classes)) }

// chosen are modules of a rescue environment.
type chosen struct{ start, devices []string }

// choose returns the modules that a list of classes and names means. A name is loaded in
// any case, and must be known; of a class there is what the kernel has.
func (x *index) choose(list []string) (chosen, error) {
	if len(list) == 0 {
		list = RescueModules
	}
	// An installer, which is part of it, mounts ESPs.
	c := chosen{start: x.known(installerModules)}
	for _, name := range list {
		k, is := classes[name]
		if !is {
			if _, known := x.find(name); !known {
				return chosen{}, x.notModule(name)
			}
			c.start = append(c.start, name)
			continue
		}
		c.start = append(c.start, x.known(k.start)...)
		c.devices = append(c.devices, x.known(k.devices)...)
		for _, m := range slices.Sorted(maps.Keys(x.files)) {
			begins := func(dir string) bool { return strings.HasPrefix(x.files[m].path, dir) }
			if slices.ContainsFunc(k.below, begins) && !slices.ContainsFunc(k.but, begins) {
				c.devices = append(c.devices, m)
			}
		}
	}
	return c, nil
}

// known returns those of the names that the kernel has.
func (x *index) known(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { _, known := x.find(name); return !known })
}

// notModule is the error for what is neither a class nor a module.
func (x *index) notModule(name string) error {
	if near := strict.DidYouMean(name, Classes()); near != "" {
		return input("", "modules of the rescue environment: %q: neither a class nor a module of this kernel%s", name, near)
	}
	return x.unknown(name)
}

// aliasesOf returns the aliases of modules for devices, one a line in the order of
// modules.alias: a pattern, and the name of a module.
func (x *index) aliasesOf(modules []ordered) (string, error) {
	text, err := x.read("modules.alias", false)
	if err != nil {
		return "", err
	}
	ours := map[string]bool{}
	for _, m := range modules {
		ours[m.name] = true
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) != 3 || words[0] != "alias" || !isPattern(words[1]) || !ours[fold(words[2])] {
			continue
		}
		if _, err := path.Match(words[1], ""); err == nil {
			b.WriteString(words[1] + " " + fold(words[2]) + "\n")
		}
	}
	return b.String(), nil
}
