package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// etcMetadata is where an image of /etc is mounted in the system. A later switch to another
// generation looks for it there (etc.nix of nixpkgs).
const etcMetadata = "/run/nixos-etc-metadata"

// etcWritten is where the system keeps what is written to such an /etc.
const etcWritten = "/.rw-etc"

// prepareEtc mounts the /etc of a NixOS that has it as an image, and what the layout has
// below it: mounts that were there are out of sight now.
func (m *machine) prepareEtc(n *nixos) error {
	if n.said != nil && n.said.Confext || n.has(path.Join(n.toplevel, "etc-confext")) {
		return fault.New(fault.Input, "boot another generation", "%s: its /etc is a configuration extension, which only the system's own initrd merges", n.toplevel)
	}
	image, base := n.etcPaths()
	if image == "" {
		return nil
	}
	for _, name := range config.EtcImageModules {
		if err := m.loader.demand(name); err != nil {
			return fault.New(fault.Input, "the module must fit the kernel that runs: was one updated without the other?", "module %s: %w", name, err)
		}
	}
	writable, err := n.mountEtc(&m.made, image, base)
	if err != nil {
		return fault.New(fault.Input, "boot another generation", "/etc of %s: %w", n.toplevel, withKernelReason(err))
	}
	m.log.printf(levelInfo, "/etc is that of %s, writable: %v", n.toplevel, writable)
	if m.cmd.Factory {
		return nil
	}
	lost, err := n.bindEtc(&m.made, m.config.Binds, writable)
	for _, name := range lost {
		m.log.printf(levelWarning, "%s is not that of the disk: the /etc of the system is read-only and has nothing there", name)
	}
	return err
}

// bindEtc binds what is kept of /etc. What a read-only one has no place for is lost to the
// system, as it would be to one that was started by NixOS's own initrd.
func (n *nixos) bindEtc(mounts *mounter, binds []config.Bind, writable bool) (lost []string, err error) {
	for _, a := range bindsBelow(binds, "/etc", n.root) {
		err := mounts.one(a)
		switch {
		case err == nil:
		case !writable && errors.Is(err, unix.EROFS):
			lost = append(lost, a.Target)
		default:
			return lost, fmt.Errorf("%s: %w", a, err)
		}
	}
	return lost, nil
}

// bindsBelow returns what is bound below a directory of the system in root.
func bindsBelow(binds []config.Bind, dir, root string) (plan []Action) {
	for _, b := range binds {
		if !strings.HasPrefix(b.To, dir+"/") {
			continue
		}
		op := OpBind
		if b.File {
			op = OpFile
		}
		plan = append(plan, Action{Op: op, Source: b.From, Target: b.To, Root: root})
	}
	return plan
}

// etcPaths returns where the metadata and the files of an /etc are that is an image, ""
// where it is none. Before NixOS 26.05 there are links to them.
func (n *nixos) etcPaths() (image, base string) {
	if n.said != nil {
		return n.said.EtcImage.String(), n.said.EtcBase.String()
	}
	image = path.Join(n.toplevel, "etc-metadata-image")
	if !n.has(image) {
		return "", ""
	}
	return image, path.Join(n.toplevel, "etc-basedir")
}

// mountEtc mounts an /etc: an overlay of the metadata, the files and, unless it is
// read-only, of what was written to it.
func (n *nixos) mountEtc(mounts *mounter, image, base string) (writable bool, err error) {
	metadata, err := n.mountMetadata(mounts, image)
	if err != nil {
		return false, err
	}
	if base, err = n.at(base); err != nil {
		return false, err
	}
	options := []string{"nodev", "nosuid", "relatime", "redirect_dir=on", "metacopy=on"}
	if writable = n.etcIsWritable(metadata); writable {
		upper, work, err := n.writtenEtc(mounts)
		if err != nil {
			return false, err
		}
		if err := clearOpaque(metadata, upper); err != nil {
			return false, err
		}
		options = append(options, "upperdir="+upper, "workdir="+work)
	} else {
		options = append(options, "ro")
	}
	mount := func(separator string) error {
		return mounts.one(Action{
			Op: OpMount, Type: "overlay", Source: "overlay", Target: "/etc", Root: n.root,
			Options: append([]string{"lowerdir=" + metadata + separator + base}, options...),
		})
	}
	// With "::" the files are found by the metadata alone. A kernel before 6.5 takes them
	// for one more layer, which shows the same: each is at its place.
	if err = mount("::"); errors.Is(err, unix.EINVAL) {
		err = mount(":")
	}
	if err != nil {
		return false, fmt.Errorf("mount overlay: %w", err)
	}
	return writable, nil
}

// mountMetadata mounts the image and returns where.
func (n *nixos) mountMetadata(mounts *mounter, image string) (dir string, err error) {
	file, err := n.at(image)
	if err != nil {
		return "", err
	}
	device, err := attachLoop(filepath.Join(n.root, "dev"), file)
	if err != nil {
		return "", err
	}
	defer device.Close()
	err = mounts.one(Action{Op: OpMount, Type: "erofs", Source: device.Name(), Target: etcMetadata, Root: n.root, Options: []string{"ro", "nodev", "nosuid"}})
	if err != nil {
		return "", fmt.Errorf("mount %s of %s: %w", device.Name(), image, err)
	}
	return n.at(etcMetadata)
}

// etcIsWritable reports whether a system writes to its /etc. One of 26.05 says so to its
// initrd alone. But where it does not, its image has an empty machine-id, to mount another
// one on (etc-activation.nix of nixpkgs).
func (n *nixos) etcIsWritable(metadata string) bool {
	if n.said != nil && n.said.EtcMutable != nil {
		return *n.said.EtcMutable
	}
	st, err := os.Lstat(filepath.Join(metadata, "machine-id"))
	return err != nil || !st.Mode().IsRegular() || st.Size() != 0
}

// writtenEtc makes the directories for what is written to /etc. Where the root is an
// overlay itself, whose changes stay in memory, these do too: one overlay cannot write into
// another.
func (n *nixos) writtenEtc(mounts *mounter) (upper, work string, err error) {
	dir, err := n.at(etcWritten)
	if err != nil {
		return "", "", err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(n.root, &st); err != nil {
		return "", "", fmt.Errorf("%s: %w", n.root, err)
	}
	if st.Type == unix.OVERLAYFS_SUPER_MAGIC {
		err := mounts.one(Action{Op: OpMount, Type: "tmpfs", Source: "mkimage", Target: etcWritten, Root: n.root, Options: []string{"mode=755"}})
		if err != nil {
			return "", "", fmt.Errorf("mount tmpfs for %s: %w", etcWritten, err)
		}
	}
	upper, work = filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	if err := errors.Join(os.MkdirAll(dir, 0o755), n.takeEtc(upper)); err != nil {
		return "", "", err
	}
	return upper, work, errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755))
}

// takeEtc makes the /etc of the root what was written first, so that it stays in sight: of
// an image that starts for the first time that is what the image brought, or an
// installation kept. An activation before may have left links there, which would hide what
// there is now; and of a root in memory it is out of sight.
func (n *nixos) takeEtc(upper string) error {
	etc, err := n.at("/etc")
	if err != nil {
		return err
	}
	if _, err := os.Lstat(upper); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Lstat(filepath.Join(etc, "static")); err == nil {
		return nil
	}
	err = unix.Rename(etc, upper)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EBUSY) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("rename %s to %s: %w", etc, upper, err)
	}
	return nil
}

// opaque marks a directory that was made where there was none: of later layers nothing is
// seen in it.
const opaque = "trusted.overlay.opaque"

// clearOpaque takes the marks off those directories of upper that an image has now: they
// would hide what it has in them.
func clearOpaque(metadata, upper string) error {
	return filepath.WalkDir(metadata, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		at := filepath.Join(upper, strings.TrimPrefix(name, metadata))
		if st, err := os.Lstat(at); err != nil || !st.IsDir() {
			return fs.SkipDir
		}
		if err := unix.Removexattr(at, opaque); err != nil && !errors.Is(err, unix.ENODATA) {
			return fmt.Errorf("%s: %w", at, err)
		}
		return nil
	})
}
