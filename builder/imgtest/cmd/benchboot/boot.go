package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	qemutests "github.com/6FaNcY9/mkimage/qemu-tests"
)

// bootLimit is how long one boot may take, up to the answers of its system, on
// a busy host without KVM.
const bootLimit = 3 * time.Minute

// contender is one initramfs, and what its boots took.
type contender struct {
	name  string
	file  string
	boots []boot
}

// boot is one boot: seconds since the start of the kernel.
type boot struct {
	unpacked float64 // the kernel executes /init of the initramfs
	greeting float64 // the system's systemd prints its version
	system   float64 // the system's systemd was executed
}

// contenders are ours, out of the image, that of the reference's own package,
// which its installation made with MODULES=most, and dracut's without hostonly.
func (b *bench) contenders(ctx context.Context, e entry) ([]*contender, error) {
	dracut := filepath.Join(b.scratch, "dracut.img")
	if _, err := command(ctx, b.program("benchinitramfs"), "-dracut", dracut); err != nil {
		return nil, err
	}
	return []*contender{
		{name: "mkimage", file: e.initrd},
		{name: "initramfs-tools, MODULES=most", file: filepath.Join(b.userland.Dir, "boot/initrd.img-"+e.version)},
		{name: "dracut, no hostonly", file: dracut},
	}, nil
}

// race boots the contenders in turns.
func race(ctx context.Context, cases []*contender, rounds int, e entry, image string, log io.Writer) error {
	for round := range rounds {
		for _, c := range cases {
			b, err := start(ctx, c.file, e, image)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			c.boots = append(c.boots, b)
			fmt.Fprintf(log, "round %d of %d: %s: %.2f s\n", round+1, rounds, c.name, b.system)
		}
	}
	return nil
}

// times prints the three figures of a boot. A systemd of the initramfs greets
// too: the last greeting is that of the system.
const times = `dmesg | sed -n 's/^\[ *\([0-9.]*\)\] Run \/init as init process$/\1/p' | tail -n 1
dmesg | sed -n 's/^\[ *\([0-9.]*\)\] systemd\[1\]: systemd [0-9].* running in system mode.*/\1/p' | tail -n 1
systemctl show --property=UserspaceTimestampMonotonic --value
`

// start boots the image's system with an initramfs.
func start(ctx context.Context, initrd string, e entry, image string) (b boot, err error) {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	vm, err := qemutests.Start(ctx, qemutests.Config{
		Name: "boot", Agent: true, Disks: []qemutests.Disk{{File: image}},
		Direct: qemutests.Direct{Kernel: e.kernel, Initrd: initrd, Cmdline: e.cmdline},
	})
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, vm.Close()) }()
	out, err := vm.Output(ctx, times)
	if err != nil {
		return b, err
	}
	return parseTimes(out)
}

// parseTimes reads what the script times prints.
func parseTimes(out string) (b boot, err error) {
	var microseconds int64
	if n, err := fmt.Sscan(out, &b.unpacked, &b.greeting, &microseconds); err != nil {
		return b, fmt.Errorf("times of the boot: got %d of 3 figures in %q: %w", n, strings.TrimSpace(out), err)
	}
	b.system = float64(microseconds) / 1e6
	if b.unpacked > b.system || b.system > b.greeting {
		return b, fmt.Errorf("times of the boot: %q: expected /init, then the system (in microseconds), then its greeting", out)
	}
	return b, nil
}
