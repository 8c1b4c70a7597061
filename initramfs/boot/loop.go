package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// loopMajor is the number of the driver of loop devices (devices.txt of the kernel).
const loopMajor = 7

// attachLoop makes a file a device that can only be read; dev is where device nodes are.
// The device goes away by itself when it is closed and nothing has it mounted.
func attachLoop(dev, file string) (*os.File, error) {
	backing, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer backing.Close()
	control, err := os.OpenFile(filepath.Join(dev, "loop-control"), os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return nil, fmt.Errorf("%s: no free loop device: %w", file, err)
	}
	name := filepath.Join(dev, fmt.Sprintf("loop%d", n))
	// The kernel makes the node, but not necessarily at once.
	if err := unix.Mknod(name, unix.S_IFBLK|0o660, int(unix.Mkdev(loopMajor, uint32(n)))); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("%s: mknod: %w", name, err)
	}
	device, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	c := unix.LoopConfig{Fd: uint32(backing.Fd())}
	c.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_READ_ONLY
	if err := unix.IoctlLoopConfigure(int(device.Fd()), &c); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: attach %s: %w", name, file, err), device.Close())
	}
	return device, nil
}
