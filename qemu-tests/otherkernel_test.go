package qemutests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// otherKernelPackage pulls in the kernel of the host's own release, which is
// not that of the reference userland.
const otherKernelPackage = "linux-image-amd64"

// otherKernelImage builds the image of a sleeper from the reference userland
// with another kernel in it.
func otherKernelImage(t *testing.T) rawDisk {
	t.Helper()
	imgtest.Need(t, "apt-get", "apt-cache", "dpkg-deb", "depmod", "tar")
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	command(t, "cp", "-al", imgtest.Reference(t).Dir, root)
	for _, old := range []string{"usr/lib/modules", "boot"} {
		// The names alone: the files are those of the userland.
		check(t, os.RemoveAll(filepath.Join(root, old)))
		check(t, os.Mkdir(filepath.Join(root, old), 0o755))
	}
	deb := downloadKernel(t, dir)
	command(t, "sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -C "$2" -x --keep-directory-symlink`, "sh", deb, root)
	command(t, "depmod", "--basedir", root, filepath.Base(only(t, filepath.Join(root, "usr/lib/modules/*"))))
	return rawDisk(buildFrom(t, "dir:"+root, sleeperCase))
}

// downloadKernel gets the package from the host's mirror.
func downloadKernel(t *testing.T, dir string) string {
	t.Helper()
	var name string
	for line := range strings.Lines(command(t, "apt-cache", "depends", otherKernelPackage)) {
		if kernel, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "); ok && strings.HasPrefix(kernel, "linux-image-") {
			name = kernel
		}
	}
	if name == "" {
		t.Fatalf("%s depends on no kernel", otherKernelPackage)
	}
	command(t, "sh", "-c", `cd "$1" && apt-get -q -o APT::Sandbox::User=root download "$2"`, "sh", dir, name)
	return only(t, filepath.Join(dir, "*.deb"))
}

// bootKernelOf replaces kernel and initramfs of the first entry by those of
// another disk.
func (d rawDisk) bootKernelOf(t *testing.T, other rawDisk) {
	t.Helper()
	is, with := d.firstEntry(t), other.kernel(t)
	for path, file := range map[string]string{is.Kernel: with.Kernel, is.Initrd: with.Initrd} {
		command(t, "mcopy", "-o", "-i", d.esp(t), file, "::"+path)
	}
}
