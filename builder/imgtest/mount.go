package imgtest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// NoBarrier is the option with which btrfs does not ask the device to write its
// cache. A loop device would have the disk below write the image at each commit, which
// takes most of the time of a test; what is read of the image is the same
// without, since no test cuts the power of the machine it runs on.
const NoBarrier = "nobarrier"

// MountOptions says how MountImage mounts and what the kernel may say.
type MountOptions struct {
	Options []string // for mount -o, such as "ro" and "subvol=@home"
	// Expect are regular expressions. Each must match a message of the kernel
	// about the device, and excuses all that it matches.
	Expect []string
}

// Mounted is a mounted image of a btrfs file system.
type Mounted struct {
	Dir    string // where it is mounted
	Device string // the loop device, such as /dev/loop3
	loop   *loop
	watch  *kernelWatch
	expect []string
}

// Mount mounts an image of a btrfs file system read-write, or as options say,
// until the end of the test and returns the directory. Any warning or error of
// the kernel about it fails the test.
func Mount(t testing.TB, image string, options ...string) string {
	t.Helper()
	return MountImage(t, image, MountOptions{Options: options}).Dir
}

// MountImage is Mount with all there is to say, for a test that unmounts the
// image itself.
func MountImage(t testing.TB, image string, o MountOptions) *Mounted {
	t.Helper()
	m, err := mountImage(t, image, o)
	if err != nil {
		rs, _ := m.watch.records()
		m.release()
		t.Fatalf("mount %s: %v\nkernel: %v", image, err, m.own(rs))
	}
	t.Cleanup(func() { m.Unmount(t) })
	return m
}

// MountRefused fails the test unless the kernel refuses to mount an image and
// says so in words that the regular expression why matches.
func MountRefused(t testing.TB, image, why string, options ...string) {
	t.Helper()
	m, err := mountImage(t, image, MountOptions{Options: options})
	defer m.release()
	if err == nil {
		unix.Unmount(m.Dir, 0)
		t.Errorf("mount %s: was accepted, expected a refusal", image)
		return
	}
	rs, logErr := m.watch.records()
	if logErr != nil {
		t.Error(logErr)
	}
	if _, unmet := unexpected(m.own(rs), []string{why}); len(unmet) > 0 {
		t.Errorf("mount %s: refused with %v, but the kernel says %v, expected %q", image, err, m.own(rs), why)
	}
}

// mountImage returns what it got hold of even with an error, to be released;
// only what fails before that ends the test.
func mountImage(t testing.TB, image string, o MountOptions) (*Mounted, error) {
	t.Helper()
	NeedRoot(t)
	Need(t, "mount", "btrfs")
	watch, err := watchKernel()
	if err != nil {
		t.Fatal(err)
	}
	l, err := attachLoop(image)
	if err != nil {
		watch.close()
		t.Fatal(err)
	}
	m := &Mounted{Dir: t.TempDir(), Device: l.Name(), loop: l, watch: watch, expect: o.Expect}
	options := strings.Join(append([]string{NoBarrier}, o.Options...), ",")
	return m, command("mount", "-t", "btrfs", "-o", options, m.Device, m.Dir)
}

// Unmount ends the mount, does nothing when it has ended, and fails the test
// when the kernel complained about the device since it was mounted.
func (m *Mounted) Unmount(t testing.TB) {
	t.Helper()
	if m.loop == nil {
		return
	}
	if err := unix.Unmount(m.Dir, 0); err != nil {
		t.Errorf("unmount %s: %v", m.Dir, err)
		unix.Unmount(m.Dir, unix.MNT_DETACH)
	}
	rs, err := m.watch.records()
	if err != nil {
		t.Error(err)
	}
	bad, unmet := unexpected(m.own(rs), m.expect)
	for _, r := range bad {
		t.Errorf("kernel: %s", r.text)
	}
	for _, e := range unmet {
		t.Errorf("kernel: logged nothing about %s that matches %q", m.Device, e)
	}
	m.release()
}

// own returns the messages about this device.
func (m *Mounted) own(rs []record) (out []record) {
	for _, r := range rs {
		if r.device() == m.loop.name {
			out = append(out, r)
		}
	}
	return out
}

// release makes the kernel forget the file system and gives the loop device
// back. Kernels before 6.7 refuse an image when they remember a newer one of
// the same UUID, and an image of ours has the same UUID each time it is made.
func (m *Mounted) release() {
	_ = command("btrfs", "device", "scan", "--forget", m.Device)
	m.loop.Close()
	m.watch.close()
	m.loop = nil
}

// Grow makes the image file and then the mounted file system size bytes large.
func (m *Mounted) Grow(t testing.TB, image string, size int64) {
	t.Helper()
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	if err := m.loop.grow(); err != nil {
		t.Fatalf("%s: set capacity: %v", m.Device, err)
	}
	mustRun(t, "btrfs", "filesystem", "resize", "max", m.Dir)
}

// command runs a program; its error carries what the program said.
func command(argv ...string) error {
	_, err := output(argv...)
	return err
}

// output returns both output streams of a program.
func output(argv ...string) (string, error) {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

func mustRun(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := output(argv...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
