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
func (b *builder) systemdBoot(kernels []Kernel) error {
	program, err := b.efiProgram("systemd-bootx64.efi")
	if err != nil {
		return err
	}
	if err := b.programs(program); err != nil {
		return err
	}
	var files []kernelFiles
	for _, k := range kernels {
		f, err := b.kernel(k)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	return b.menu(files)
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

// menu writes an entry for each of the plan and each kernel, the newest first.
func (b *builder) menu(kernels []kernelFiles) error {
	if b.plan.Medium != nil {
		kernels = kernels[:1] // what an installer has is made for this one
	}
	for i, k := range kernels {
		for _, e := range b.plan.Entries {
			id := e.ID
			if i > 0 { // the newest kernel has the plain name
				id += "-" + k.version
			}
			if err := b.entry(id, e, k); err != nil {
				return err
			}
		}
	}
	return b.conf()
}

// kernelFiles are where a kernel and its initramfs are, with a leading slash.
type kernelFiles struct {
	version, linux, initrd string
	words                  []string // of the command line
}

// The names of the files of a kernel in its directory.
const (
	linuxName     = "linux"
	initramfsName = "initramfs"
)

// kernel puts a kernel of the source and its initramfs on the ESP.
func (b *builder) kernel(k Kernel) (kernelFiles, error) {
	linux, err := read("kernel "+k.Version, k.Image)
	if err != nil {
		return kernelFiles{}, err
	}
	return b.putKernel(k.Version, linux, k.Initramfs, k.Words)
}

// putKernel puts a kernel and its initramfs into a directory of their own.
func (b *builder) putKernel(version string, linux, initramfs []byte, words []string) (kernelFiles, error) {
	if !validVersion(version) {
		return kernelFiles{}, fault.New(fault.Input, "", "kernel version %q: expected letters, digits, dots and any of + - _", version)
	}
	if _, err := uki.ImageSize(linux); err != nil {
		return kernelFiles{}, fault.New(fault.Input, "use a kernel with CONFIG_EFI_STUB", "kernel %s: %w", version, err)
	}
	dir := kernelDir(version) + contentName(linux, initramfs)
	files := kernelFiles{version, "/" + dir + "/" + linuxName, "/" + dir + "/" + initramfsName, words}
	if err := b.put(dir+"/"+linuxName, linux); err != nil {
		return files, err
	}
	return files, b.put(dir+"/"+initramfsName, initramfs)
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

// entry writes one entry of the menu. What the machine will be called is not
// known, so it has no machine-id.
func (b *builder) entry(id string, e plan.Entry, files kernelFiles) error {
	file, err := bls.FileName(id)
	if err != nil {
		return fault.New(fault.Config, "", "boot menu: %w", err)
	}
	options, err := cmdline(e.Cmdline, files.words)
	if err != nil {
		return fault.New(fault.Config, "", "boot menu: entry %s: %w", id, err)
	}
	archives := []string{files.initrd}
	if b.plan.Medium != nil {
		archives = append(archives, "/"+InstallerPath)
	}
	text, err := bls.Entry{
		Title: e.Title, Version: files.version, SortKey: e.SortKey, Linux: files.linux, Initrd: archives, Options: options,
	}.Encode()
	if err != nil {
		return fault.New(fault.Config, "", "boot menu: entry %s: %w", id, err)
	}
	return b.put(bls.EntriesDir+"/"+file, text)
}

// conf writes what systemd-boot itself is told. The editor is off: who can
// change the command line needs no password to become root.
func (b *builder) conf() error {
	standard, err := bls.FileName(b.plan.Entries[0].ID)
	if err != nil {
		return fault.New(fault.Config, "", "boot menu: %w", err)
	}
	text, err := bls.Conf{Timeout: b.plan.Profile.Boot.Timeout, Default: standard, ConsoleMode: "keep"}.Encode()
	if err != nil {
		return fault.New(fault.Config, "", "loader.conf: %w", err)
	}
	if err := b.put(bls.ConfFile, text); err != nil {
		return err
	}
	return b.put(bls.TypeFile, []byte(bls.TypeText))
}

// cmdline joins the parameters of a kernel command line, those of the plan and those
// of a system. A space within one must be in double quotes, as the kernel reads it.
func cmdline(planned, own []string) (string, error) {
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
	if len(own) > 0 && len(text) > plan.MaxCmdline { // that of a plan alone is checked there
		return "", fmt.Errorf("kernel command line of %d bytes, expected at most %d", len(text), plan.MaxCmdline)
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
