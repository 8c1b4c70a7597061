package qemutests

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Config describes a virtual machine. The zero value of a field is its
// default; a machine needs a disk or a kernel to start from.
type Config struct {
	Name     string // of the machine, in messages and file names; "vm" by default
	Disks    []Disk // the first is what the firmware starts from
	Firmware Firmware
	Direct   Direct // starts a kernel without firmware
	Memory   int    // MiB; 1024 by default
	CPUs     int    // by default 2 with KVM, 1 without
	Accel    Accel  // "" probes, see Probe
	Display  Display
	Clock    string            // what the hardware's clock shows at the start, such as "1970-01-02T03:04:05"; "" is the host's
	Network  bool              // outgoing connections through the host (user mode); none by default
	Forward  []int             // TCP ports of the guest that the host reaches, see VM.Forwarded; with Network
	FWCfg    map[string]string // content of fw_cfg files, by name, such as "opt/org.example/x"
	SMBIOS   []string          // strings of the SMBIOS table of type 11, such as "io.systemd.credential:NAME=VALUE"
	Agent    bool              // the guest gets the test agent, see VM.Run
	OldAgent bool              // a unit of the guest itself starts the agent, which its systemd cannot take from outside
	Serial   io.Writer         // gets what the guest prints on its serial console, as it comes
	Keep     string            // folder where the serial log and screenshots stay; "" keeps none
	Dir      string            // folder for overlays and firmware variables; a machine that is started again with it goes on with them; "" makes one that Close removes
}

// Disk is one disk of the machine.
type Disk struct {
	File   string // image on the host
	Format string // "raw" (default) or "qcow2"
	Bus    Bus    // VirtioBlk by default
	Serial string // that the guest sees; at most 20 bytes
	Size   int64  // bytes; 0 is the image's own. What is behind the image reads as zeros, as on a disk that it was copied to
	Write  bool   // the guest writes into File; otherwise into an overlay in Config.Dir

	ReadOnly bool // the guest cannot write, as with the switch of an SD card; for one that Attach plugs in
}

// Bus is how a disk is attached.
type Bus string

// The buses.
const (
	VirtioBlk  Bus = "virtio-blk"
	NVMe       Bus = "nvme"
	USB        Bus = "usb"
	VirtioSCSI Bus = "virtio-scsi"
	AHCI       Bus = "ahci"
)

// Buses returns all buses.
func Buses() []Bus { return []Bus{VirtioBlk, NVMe, USB, VirtioSCSI, AHCI} }

// Display is what the machine has for a screen.
type Display string

// The displays.
const (
	NoDisplay Display = ""    // no graphics card
	VGA       Display = "vga" // a card that only screenshots show
	GUI       Display = "gui" // a window on the host
)

// Firmware is UEFI firmware: two flash images. An empty Code searches known
// places, see FindFirmware.
type Firmware struct {
	Code string // read-only
	Vars string // template of the variable store; the machine gets a copy
}

// Direct is a kernel that QEMU loads itself, with SeaBIOS in place of UEFI.
type Direct struct {
	Kernel, Initrd string // files on the host
	Cmdline        string
}

// maxSerial is the length of a serial number that all buses take: that of
// ATA, and of virtio-blk (VIRTIO_BLK_ID_BYTES).
const maxSerial = 20

// withDefaults returns a copy of c without empty fields that have a default.
func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "vm"
	}
	if c.Memory == 0 {
		c.Memory = 1024
	}
	c.Disks = slices.Clone(c.Disks)
	for i := range c.Disks {
		d := &c.Disks[i]
		if d.Format == "" {
			d.Format = "raw"
		}
		if d.Bus == "" {
			d.Bus = VirtioBlk
		}
	}
	return c
}

// check refuses what QEMU would not start with, or would start as something
// else than was meant.
func (c *Config) check() error {
	if len(c.Disks) == 0 && c.Direct.Kernel == "" {
		return fault.New(fault.Usage, "", "machine %s: has neither a disk nor a kernel to start from", c.Name)
	}
	if c.Direct.Kernel == "" && (c.Direct.Initrd != "" || c.Direct.Cmdline != "") {
		return fault.New(fault.Usage, "", "machine %s: has an initrd or a command line and no kernel", c.Name)
	}
	if c.Memory < 1 || c.CPUs < 0 {
		return fault.New(fault.Usage, "", "machine %s: %d MiB and %d CPUs, expected at least 1 of each", c.Name, c.Memory, c.CPUs)
	}
	if len(c.Forward) > 0 && !c.Network {
		return fault.New(fault.Usage, "", "machine %s: ports %d are to be reached, without a network", c.Name, c.Forward)
	}
	if !slices.Contains([]Display{NoDisplay, VGA, GUI}, c.Display) {
		return fault.New(fault.Usage, "", "machine %s: display %q, expected %q or %q", c.Name, c.Display, VGA, GUI)
	}
	for _, d := range c.Disks {
		if err := d.check(); err != nil {
			return fmt.Errorf("machine %s: %w", c.Name, err)
		}
	}
	return nil
}

func (d Disk) check() error {
	if d.Format != "raw" && d.Format != "qcow2" {
		return fault.New(fault.Usage, "", "disk %s: format %q, expected raw or qcow2", d.File, d.Format)
	}
	if len(d.Serial) > maxSerial {
		return fault.New(fault.Usage, "", "disk %s: serial of %d bytes, expected at most %d", d.File, len(d.Serial), maxSerial)
	}
	if d.Size < 0 || d.Size > 0 && d.Write {
		return fault.New(fault.Usage, "", "disk %s: size %d, expected a positive one, and an image that is not written", d.File, d.Size)
	}
	_, err := ParseBus(string(d.Bus))
	return err
}

// ParseBus reads the name of a bus.
func ParseBus(name string) (Bus, error) {
	if slices.Contains(Buses(), Bus(name)) {
		return Bus(name), nil
	}
	var names []string
	for _, b := range Buses() {
		names = append(names, string(b))
	}
	return "", fault.New(fault.Usage, "", "bus %q: expected one of %s", name, strings.Join(names, ", "))
}
