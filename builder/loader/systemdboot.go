package loader

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/uki"
)

// bootDir is where systemd's package has its EFI programs.
const bootDir = "usr/lib/systemd/boot/efi/"

// Where NixOS has them, in its current system.
const (
	systemDir    = "nix/var/nix/profiles/system/"
	bootDirNixOS = "systemd/lib/systemd/boot/efi/"
)

// packageHint says what the source lacks.
const packageHint = `add "systemd-boot-efi" (its name in Debian) to packages in the profile, or install it in the source`

// digestDigits is how much of a SHA-256, in hexadecimal digits, tells two
// kernels of one version apart.
const digestDigits = 12

// systemdBoot fills the tree with systemd-boot and its menu.
func (b *builder) systemdBoot(s System) error {
	program, err := b.efiProgram("systemd-bootx64.efi")
	if err != nil {
		return err
	}
	if err := b.programs(program); err != nil {
		return err
	}
	return b.systemMenu(s)
}

// systemMenu writes the menu of a system whose boot loader is there.
func (b *builder) systemMenu(s System) error {
	var kernels []kernel
	for _, k := range s.Kernels {
		linux, err := read("kernel "+k.Version, k.Image)
		if err != nil {
			return err
		}
		made, err := newKernel(k.Version, linux, k.Initramfs, k.Words)
		if err != nil {
			return err
		}
		made.prelude = k.Prelude
		kernels = append(kernels, made)
	}
	if err := b.readInitrds(s.Generations, func(path string) ([]byte, error) { return read("initrd "+path, s.Initrds[path]) }); err != nil {
		return err
	}
	return b.menu(kernels, s.Generations)
}

// programs puts systemd-boot where the firmware looks for it, and where its own
// updates do.
func (b *builder) programs(program []byte) error {
	for _, path := range []string{bls.FallbackPath, SystemdBootPath} {
		if err := b.put(path, program); err != nil {
			return err
		}
	}
	return nil
}

// menu writes the entries, and the kernels that they name.
func (b *builder) menu(kernels []kernel, generations []manifest.Generation) error {
	if len(generations) > 0 && b.plan.Medium == nil {
		return b.generationMenu(kernels, generations)
	}
	if b.plan.IsRescue() {
		kernels = kernels[:1] // what a medium has is made for this one
	}
	for _, k := range kernels {
		if err := b.putKernel(k); err != nil {
			return err
		}
	}
	if b.plan.Installs() {
		if err := b.putForLater(kernels); err != nil {
			return err
		}
		kernels = kernels[:1]
	}
	for i, k := range kernels {
		for _, e := range b.plan.Entries {
			if i > 0 { // the newest kernel has the plain name
				e.ID += "-" + k.version
			}
			if err := b.planned(e, k); err != nil {
				return err
			}
		}
	}
	return b.conf(b.plan.Entries[0].ID)
}

// kernel is a kernel with its initramfs, and where they go.
type kernel struct {
	version          string
	linux, initramfs []byte
	prelude          []byte   // nil where no system starts by its own initrd
	words            []string // of the command line
	dir              string   // of its own, on the ESP, without a slash at either end
}

// The names of the files of a kernel in its directory, which KernelDir names.
const (
	LinuxName     = "linux"
	InitramfsName = "initramfs"
	preludeName   = "prelude" // on a medium, for the systems that it installs
)

// newKernel checks a kernel, and names its directory.
func newKernel(version string, linux, initramfs []byte, words []string) (kernel, error) {
	if !validVersion(version) {
		return kernel{}, fault.New(fault.Input, "", "kernel version %q: expected letters, digits, dots and any of + - _", version)
	}
	if _, err := uki.ImageSize(linux); err != nil {
		return kernel{}, fault.New(fault.Input, "use a kernel with CONFIG_EFI_STUB", "kernel %s: %w", version, err)
	}
	return kernel{version: version, linux: linux, initramfs: initramfs, words: words, dir: KernelDir(version, linux, initramfs)}, nil
}

// putKernel puts a kernel and its initramfs into their directory.
func (b *builder) putKernel(k kernel) error {
	if err := b.put(k.dir+"/"+LinuxName, k.linux); err != nil {
		return err
	}
	return b.put(k.dir+"/"+InitramfsName, k.initramfs)
}

// KernelDir returns the directory of a kernel and the initramfs made for it, on the ESP,
// without a slash at either end: its name says their content.
func KernelDir(version string, linux, initramfs []byte) string {
	return kernelDir(version) + contentName(linux, initramfs)
}

// kernelDir is what the directories of kernels of a version begin with.
func kernelDir(version string) string { return Dir + "/" + version + "-" }

// contentName names a pair of files by their content.
func contentName(linux, initramfs []byte) string {
	h := sha256.New()
	var length [8]byte // so that bytes cannot move from one file to the other
	binary.BigEndian.PutUint64(length[:], uint64(len(linux)))
	h.Write(length[:])
	h.Write(linux)
	h.Write(initramfs)
	return hex.EncodeToString(h.Sum(nil))[:digestDigits]
}

// planned writes an entry of the plan.
func (b *builder) planned(e plan.Entry, k kernel) error {
	archives := []string{"/" + k.dir + "/" + InitramfsName}
	if b.plan.Medium != nil {
		second := InstallerPath
		if slices.Contains(e.Cmdline, plan.RescueWord) {
			second = RescuePath
		}
		archives = append(archives, "/"+second)
	}
	return b.entry(e.ID, bls.Entry{
		Title: e.Title, Version: k.version, SortKey: e.SortKey, Linux: "/" + k.dir + "/" + LinuxName, Initrd: archives,
	}, e.Cmdline, k.words)
}

// entry writes one entry of the menu, but for its command line. What the machine will be
// called is not known, so it has no machine-id.
func (b *builder) entry(id string, e bls.Entry, planned, own []string) (err error) {
	if b.grub != nil {
		return b.grub.add(id, e, slices.Concat(planned, own))
	}
	file, err := bls.FileName(id)
	if err != nil {
		return fault.New(fault.Config, "", "boot menu: %w", err)
	}
	most := plan.MaxCmdline
	for _, archive := range e.Initrd[min(1, len(e.Initrd)):] { // of which systemd-boot may put the names in front
		most -= len(" initrd=") + len(archive)
	}
	if e.Options, err = cmdline(planned, own, most); err != nil {
		return fault.New(fault.Config, "", "boot menu: entry %s: %w", id, err)
	}
	text, err := e.Encode()
	if err != nil {
		return fault.New(fault.Config, "", "boot menu: entry %s: %w", id, err)
	}
	return b.put(bls.EntriesDir+"/"+file, text)
}

// conf writes what the boot loader itself is told, of which the default is an entry's ID.
// The editor is off: who can change the command line needs no password to become root.
func (b *builder) conf(id string) error {
	if b.grub != nil {
		return b.grubConf(id)
	}
	standard, err := bls.FileName(id)
	if err != nil {
		return fault.New(fault.Config, "", "boot menu: %w", err)
	}
	text, err := bls.Conf{Timeout: b.plan.MenuTimeout(), Default: standard, ConsoleMode: "keep"}.Encode()
	if err != nil {
		return fault.New(fault.Config, "", "loader.conf: %w", err)
	}
	if err := b.put(bls.ConfFile, text); err != nil {
		return err
	}
	return b.put(bls.TypeFile, []byte(bls.TypeText))
}

// cmdline joins the parameters of a kernel command line, those of the plan and those
// of a system, to a text of most bytes. A space within one must be in double quotes, as
// the kernel reads it.
func cmdline(planned, own []string, most int) (string, error) {
	words := slices.Concat(planned, own)
	for _, w := range words {
		quoted := false
		for _, r := range w {
			switch {
			case r == '"':
				quoted = !quoted
			case r == ' ' && !quoted, r < ' ', r == 0x7f:
				return "", fmt.Errorf("kernel parameter %q: expected no control character, and spaces in double quotes only", w)
			}
		}
		if quoted || w == "" {
			return "", fmt.Errorf("kernel parameter %q: expected something, with each double quote closed", w)
		}
	}
	text := strings.Join(words, " ")
	if len(own) > 0 && len(text) > most { // that of a plan alone is checked there
		return "", fmt.Errorf("kernel command line of %d bytes, expected at most %d", len(text), most)
	}
	return text, nil
}

// validVersion reports whether a kernel's version can stand in a file name.
func validVersion(v string) bool {
	for _, r := range v {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("+-_.", r) {
			return false
		}
	}
	return v != "" && v[0] != '.' && v[len(v)-1] != '.'
}
