package qemutests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
)

// otherKernelPackage pulls in the kernel of the host's own release, which is
// not that of the reference userland.
const otherKernelPackage = "linux-image-amd64"

// TestOtherKernel hibernates with one kernel and boots another, as after an
// update whose kernel was not yet running. The system has the modules of both.
func TestOtherKernel(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	imgtest.NeedRoot(t)
	imgtest.Need(t, Binary, "apt-get", "apt-cache", "dpkg-deb", "depmod", "tar")
	both, old := twoKernels(t)
	s := newSleeper(t, buildFrom(t, "dir:"+both, sleeperCase), VirtioBlk, 512)
	s.wake()
	s.grown()
	s.work()
	s.sleep()
	s.disk.bootKernelOf(t, rawDisk(buildFrom(t, "dir:"+old, sleeperCase)))
	s.wake()
	// Linux 6.1 cannot read an image of 6.12. It says so once it has tried.
	expect(t, s.vm, `mkimage-init: \S+ resume: kernel 6\.12\.\S+ hibernated, this is \S+`)
	s.anew(`resume failed, the machine boots anew: .*PM: `, "running")
	s.off()
}

// twoKernels returns folders with the reference userland: with another kernel
// besides its own, of which the newer one is booted, and with the other alone.
func twoKernels(t *testing.T) (both, old string) {
	t.Helper()
	dir := t.TempDir()
	both, old = filepath.Join(dir, "both"), filepath.Join(dir, "old")
	reference := userland.Reference(t).Dir
	deb := downloadKernel(t, dir)
	for _, root := range []string{both, old} {
		command(t, "cp", "-al", reference, root)
	}
	for _, name := range []string{"usr/lib/modules", "boot"} {
		// The names alone: the files are those of the userland.
		check(t, os.RemoveAll(filepath.Join(old, name)))
		check(t, os.Mkdir(filepath.Join(old, name), 0o755))
	}
	for _, root := range []string{old, both} {
		command(t, "sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -C "$2" -x --keep-directory-symlink`, "sh", deb, root)
		command(t, "depmod", "--basedir", root, filepath.Base(only(t, filepath.Join(old, "usr/lib/modules/*"))))
	}
	return both, old
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
