package qemutests

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Binary is the program that is run.
const Binary = "qemu-system-x86_64"

// agentPort is the name of the agent's virtio-serial port; udev links it
// below /dev/virtio-ports.
const agentPort = "mkimage.test"

// The descriptors of QEMU's ends of the channels, as (*exec.Cmd).ExtraFiles
// numbers them. They are sockets without a name: no path that could be too
// long for one, and nothing to remove.
const (
	qmpFD = 3 + iota
	serialFD
	agentFD
)

// liveChannels connect QEMU to this process, replayChannels to a terminal:
// the serial console, with Ctrl-A X to quit, and nobody at the other end of
// the agent.
var (
	liveChannels = []string{
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", qmpFD), "-mon", "chardev=qmp,mode=control",
		"-chardev", fmt.Sprintf("socket,id=serial,fd=%d", serialFD), "-serial", "chardev:serial",
		"-chardev", fmt.Sprintf("socket,id=agent,fd=%d", agentFD),
	}
	replayChannels = []string{"-serial", "mon:stdio", "-chardev", "null,id=agent"}
)

// machine is what a command line is made from: a checked Config, and the files
// that are its own.
type machine struct {
	Config
	overlays []string // by disk, what the guest writes into instead of the image; "" is the image itself
	vars     string   // copy of Firmware.Vars
}

// live returns the arguments of the machine that this process controls.
// QEMU ends when the guest restarts, see VM.supervise.
func (m *machine) live() []string { return append(m.args(liveChannels, true), "-no-reboot") }

// replay returns the arguments of a machine like it that a terminal controls.
// It needs none of the machine's own files, so that what the guest writes is
// forgotten, and leaves out the test agent, which would have nobody to talk to.
func (m *machine) replay() []string { return m.args(replayChannels, false) }

func (m *machine) args(channels []string, own bool) []string {
	args := []string{
		"-name", value(m.Name), "-nodefaults", "-no-user-config",
		"-machine", "q35", "-accel", m.Accel.option(), "-cpu", m.Accel.cpu(),
		"-smp", fmt.Sprint(m.CPUs), "-m", fmt.Sprint(m.Memory),
		"-device", "qemu-xhci,id=xhci", "-device", "virtio-scsi-pci,id=scsi", "-device", "virtio-serial-pci",
	}
	args = append(args, channels...)
	args = append(args, "-device", "virtserialport,chardev=agent,name="+agentPort)
	if m.Clock != "" {
		args = append(args, "-rtc", "base="+value(m.Clock))
	}
	args = append(args, m.displayArgs()...)
	args = append(args, m.bootArgs(own)...)
	for i, d := range m.Disks {
		// From 1 on: index 0 is that of the option ROM which starts a kernel
		// directly.
		args = append(args, "-drive", m.drive(i, own), "-device", d.device(diskID(i))+fmt.Sprintf(",bootindex=%d", i+1))
	}
	if m.Network {
		args = append(args, "-netdev", m.network(own), "-device", "virtio-net-pci,netdev=net0")
	}
	for _, s := range m.smbios(own) {
		args = append(args, "-smbios", "type=11,value="+value(s))
	}
	for _, name := range slices.Sorted(maps.Keys(m.FWCfg)) {
		args = append(args, "-fw_cfg", "name="+value(name)+",string="+value(m.FWCfg[name]))
	}
	return args
}

// network lets the host choose the ports by which it reaches the guest's. A machine that
// somebody else starts has none of them.
func (m *machine) network(own bool) string {
	arg := "user,id=net0"
	for _, port := range m.Forward {
		if own {
			arg += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:0-:%d", port)
		}
	}
	return arg
}

func (m *machine) displayArgs() []string {
	switch m.Display {
	case VGA:
		return []string{"-display", "none", "-device", "VGA"}
	case GUI:
		return []string{"-device", "VGA"} // and the display that QEMU was built for
	}
	return []string{"-display", "none"}
}

func (m *machine) bootArgs(own bool) []string {
	if m.Direct.Kernel == "" {
		vars := "snapshot=on,file=" + value(m.Firmware.Vars)
		if own {
			vars = "file=" + value(m.vars)
		}
		return []string{
			"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + value(m.Firmware.Code),
			"-drive", "if=pflash,unit=1,format=raw," + vars,
		}
	}
	args := []string{"-kernel", m.Direct.Kernel}
	if m.Direct.Initrd != "" {
		args = append(args, "-initrd", m.Direct.Initrd)
	}
	return append(args, "-append", m.Direct.Cmdline)
}

// smbios returns the strings of type 11.
func (m *machine) smbios(own bool) []string {
	if m.Agent && own {
		return append(slices.Clone(m.SMBIOS), agentCredentials()...)
	}
	return m.SMBIOS
}

func diskID(i int) string { return fmt.Sprintf("disk%d", i) }

// drive returns the value of -drive of disk i.
func (m *machine) drive(i int, own bool) string {
	d := m.Disks[i]
	drive := "if=none,id=" + diskID(i) + ",cache=writeback,discard=unmap"
	switch {
	case d.Write:
		return drive + ",format=" + d.Format + ",file=" + value(d.File)
	case own:
		return drive + ",format=qcow2,file=" + value(m.overlays[i])
	}
	return drive + ",snapshot=on,format=" + d.Format + ",file=" + value(d.File)
}

// device returns the value of -device of a disk whose content is drive. nvme
// cannot do without a serial number.
func (d Disk) device(drive string) string {
	device := d.Bus.device() + ",id=dev-" + drive + ",drive=" + drive
	switch {
	case d.Serial != "":
		device += ",serial=" + value(d.Serial)
	case d.Bus == NVMe:
		device += ",serial=" + drive
	}
	return device
}

// device returns the device of one disk, up to its options.
func (b Bus) device() string {
	switch b {
	case NVMe:
		return "nvme"
	case USB:
		return "usb-storage,bus=xhci.0"
	case VirtioSCSI:
		return "scsi-hd,bus=scsi.0"
	case AHCI:
		return "ide-hd"
	}
	return "virtio-blk-pci"
}

// value escapes the value of an option: QEMU takes two commas for one that
// does not end it.
func value(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// shellLine writes a command so that a shell runs just it.
func shellLine(program string, args []string) string {
	var b strings.Builder
	b.WriteString(program)
	for _, a := range args {
		b.WriteString(" " + shellQuote(a))
	}
	return b.String()
}

// shellSafe are the characters that need no quotes in a shell.
const shellSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./,:=+@"

func shellQuote(s string) string {
	if s != "" && strings.Trim(s, shellSafe) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
