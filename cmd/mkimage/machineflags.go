package main

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	qemutests "github.com/6FaNcY9/mkimage/qemu-tests"
)

// machineFlags describe the virtual machine of run and test.
type machineFlags struct {
	memory, firmware string
	cpus             int
}

func (f *machineFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.memory, "memory", "1GiB", "`size` of the machine's memory, in whole MiB")
	flags.IntVar(&f.cpus, "cpus", 0, "number of its processors; 0 means 2 with KVM, 1 without")
	flags.StringVar(&f.firmware, "firmware", "", "UEFI firmware, two flash images: `CODE:VARS`; default: that of the host's distribution")
}

// config returns what the flags say about a machine.
func (f *machineFlags) config() (qemutests.Config, error) {
	var c qemutests.Config
	bytes, err := parseSize(f.memory)
	if err != nil {
		return c, err
	}
	if bytes&(1<<20-1) != 0 || bytes > 1<<50 {
		return c, fault.New(fault.Usage, "for example: --memory 2GiB", "--memory %s: expected whole MiB, 1 PiB at most", f.memory)
	}
	if f.cpus < 0 {
		return c, fault.New(fault.Usage, "", "--cpus %d: expected a number of processors", f.cpus)
	}
	c.Memory, c.CPUs = int(bytes>>20), f.cpus
	if f.firmware != "" {
		code, vars, ok := strings.Cut(f.firmware, ":")
		if !ok || code == "" || vars == "" {
			return c, fault.New(fault.Usage, "", "--firmware %q: expected CODE:VARS", f.firmware)
		}
		c.Firmware = qemutests.Firmware{Code: code, Vars: vars}
	}
	return c, nil
}

// diskFormat returns the format of an image, by its content.
func diskFormat(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", fault.New(fault.Input, "", "image: %w", err)
	}
	defer f.Close()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(f, magic); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", fault.New(fault.Input, "", "image: %w", err)
	}
	switch string(magic) {
	case qcow2Magic:
		return formatQcow2, nil
	case zstdMagic:
		return "", fault.New(fault.Input, "unpack it first: zstd -d "+name, "%s: is compressed, expected a raw or qcow2 image", name)
	}
	return formatRaw, nil
}

// busNames are the buses that --disk-bus and --bus take.
func busNames() []string {
	var names []string
	for _, b := range qemutests.Buses() {
		names = append(names, string(b))
	}
	return names
}
