// Package uki makes unified kernel images: systemd's EFI stub with a kernel,
// an initramfs and a command line as further sections of the same program.
//
// The stub comes from the system that is installed; it is copied, its section
// table is extended, and nothing is signed. A signature that the stub carries
// is cut off, because it cannot hold any more. What is written depends on the
// arguments alone.
//
// Sources: UAPI.5 Unified Kernel Image and systemd-stub(7) for the sections,
// Microsoft's "PE Format" for the file.
package uki

import (
	"slices"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Parts is what a unified kernel image is made of.
type Parts struct {
	Stub      []byte // linuxx64.efi.stub of systemd
	OSRelease []byte // os-release(5) of the system
	Uname     string // version of the kernel, as "uname -r" prints it
	Cmdline   string // of the kernel, without a line break
	Linux     []byte // the kernel, with an EFI stub of its own
	Initrd    []byte // one archive, or several in a row
}

// Build returns the image. Its errors have class fault.Input: they are about
// what the stub or the kernel is.
func Build(p Parts) ([]byte, error) {
	s, err := parse(p.Stub)
	if err != nil {
		return nil, fault.New(fault.Input, "", "EFI stub: %w", err)
	}
	linuxSize, err := ImageSize(p.Linux)
	if err != nil {
		return nil, fault.New(fault.Input, "use a kernel with CONFIG_EFI_STUB", "kernel: %w", err)
	}
	sections := []section{
		{name: ".osrel", data: p.OSRelease},
		{name: ".uname", data: []byte(p.Uname)},
		{name: ".cmdline", data: []byte(p.Cmdline)},
		{name: ".initrd", data: p.Initrd},
		// The kernel comes last: it is started in place, and needs the memory
		// that its own header asks for.
		{name: ".linux", data: p.Linux, memory: linuxSize, code: true},
	}
	sections = slices.DeleteFunc(sections, func(s section) bool { return len(s.data) == 0 })
	out, err := s.extend(sections)
	if err != nil {
		return nil, fault.New(fault.Input, "", "unified kernel image: %w", err)
	}
	return out, nil
}

// ImageSize returns how many bytes of memory an EFI program takes when it is
// loaded.
func ImageSize(program []byte) (int64, error) {
	s, err := parse(program)
	if err != nil {
		return 0, err
	}
	return int64(s.u32(s.optional + offSizeOfImage)), nil
}
