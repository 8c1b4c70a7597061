package imgtest

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const loopMajor = 7

// loop is an attached loop device. It goes away by itself when it is closed
// and nothing has it mounted.
type loop struct {
	*os.File
	name string // such as loop3, as the kernel's messages have it
}

// attachLoop attaches a loop device to an image file. Another process can take
// the free device that the kernel named: then the kernel is asked again.
func attachLoop(image string) (*loop, error) {
	backing, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer backing.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for range 100 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("%s: no free loop device: %w", image, err)
		}
		l, err := configureLoop(n, backing)
		if errors.Is(err, unix.EBUSY) {
			continue
		}
		return l, err
	}
	return nil, fmt.Errorf("%s: every free loop device was taken by others", image)
}

func configureLoop(n int, backing *os.File) (*loop, error) {
	name := fmt.Sprintf("loop%d", n)
	err := unix.Mknod("/dev/"+name, unix.S_IFBLK|0o660, int(unix.Mkdev(loopMajor, uint32(n))))
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("/dev/%s: mknod: %w", name, err)
	}
	f, err := os.OpenFile("/dev/"+name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	c := unix.LoopConfig{Fd: uint32(backing.Fd())}
	c.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	if err := unix.IoctlLoopConfigure(int(f.Fd()), &c); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: attach %s: %w", f.Name(), backing.Name(), err), f.Close())
	}
	return &loop{f, name}, nil
}

// grow tells the device that its image became longer.
func (l *loop) grow() error {
	return unix.IoctlSetInt(int(l.Fd()), unix.LOOP_SET_CAPACITY, 0)
}
