package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt/grow"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/smbios"
)

// firstBootDir is where the file system is mounted, from its top level, while
// the first boot changes it.
const firstBootDir = layerDir + "/first-boot"

// firstBoot is what is done once on every disk that an image is written to.
// Whether it is still to be done says the partition's entry in the table, and
// that changes last: a power cut leads to another first boot, which finds what
// is done already. Nothing in it stops the boot.
type firstBoot struct {
	steps    []string // of config.Config.FirstBoot
	swapfile *config.Swapfile
	host     host
	root     Device
	dir      string // where the file system is mounted meanwhile
	ram      func() (bytes int64, source string, err error)
	open     func(flag int) (rawDevice, error) // the root
	log      func(level int, format string, args ...any)
	again    bool // something failed that may succeed at the next boot
}

// growPartition is the step before anything is mounted.
func (m *machine) growPartition() error {
	m.first = nil
	if len(m.config.FirstBoot) == 0 || m.cmd.Factory || m.root.Part == 0 {
		return nil
	}
	f := &firstBoot{
		steps: m.config.FirstBoot, swapfile: m.config.Swapfile, host: host{"/sys", "/dev"}, root: m.root, dir: firstBootDir,
		ram:  func() (int64, string, error) { return smbios.RAM("/sys", "/proc") },
		open: func(flag int) (rawDevice, error) { return openRaw(m.root.Path(), flag) },
		log:  m.log.printf,
	}
	if f.start() {
		m.first = f
	}
	return nil
}

// firstBoot is the step after the mounts.
func (m *machine) firstBoot() error {
	if m.first != nil {
		m.first.run()
		m.first = nil
	}
	return nil
}

// start reports whether the first boot is still to be done, and does what must
// be done before the mounts.
func (f *firstBoot) start() bool {
	due := f.due()
	if due && slices.Contains(f.steps, config.StepGrow) {
		f.attempt("grow partition", f.partition)
	}
	return due
}

func (f *firstBoot) due() (due bool) {
	f.attempt("first boot", func() error {
		return f.withDisk(os.O_RDONLY, func(d grow.Disk) (err error) {
			due, err = grow.HasAttribute(d, f.root.Part, grow.AttributeGrow)
			return err
		})
	})
	return due
}

// attempt does something and tells why it failed. What the disk, the table or
// the machine do not allow will not go better next time; all else may.
func (f *firstBoot) attempt(what string, do func() error) {
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		return do()
	}()
	if err != nil {
		f.log(levelWarning, "%s: %v", what, err)
		f.again = f.again || fault.ClassOf(err) == fault.Internal
	}
}

// withDisk calls do with the disk that the root is a partition of.
func (f *firstBoot) withDisk(flag int, do func(grow.Disk) error) error {
	dir := filepath.Join(f.host.sys, "class/block", f.root.Disk)
	sector, err := readNumber(filepath.Join(dir, "queue/logical_block_size"))
	if err != nil {
		return err
	}
	size, err := readNumber(filepath.Join(dir, "size"))
	if err != nil {
		return err
	}
	disk, err := os.OpenFile(filepath.Join(f.host.dev, f.root.Disk), flag, 0)
	if err != nil {
		return err
	}
	return errors.Join(do(grow.Disk{Target: disk, SectorSize: sector, Size: size * 512}), disk.Close())
}

// run does all that is done in the file system, and ends the first boot.
func (f *firstBoot) run() {
	f.attempt("first boot", f.inFileSystem)
	finished := false
	if !f.again {
		f.attempt("first boot", func() error {
			return f.withDisk(os.O_RDWR, func(d grow.Disk) error {
				err := grow.ClearAttribute(d, f.root.Part, grow.AttributeGrow)
				finished = err == nil
				return err
			})
		})
	}
	if !finished {
		f.log(levelWarning, "first boot not finished: the next boot tries again")
		return
	}
	f.log(levelInfo, "first boot finished")
}

// inFileSystem does the steps that need the file system, in a mount of its own
// that shows all of it.
func (f *firstBoot) inFileSystem() error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	defer func() {
		_ = os.Remove(f.dir)
		_ = os.Remove(filepath.Dir(f.dir))
	}()
	node := filepath.Join(f.host.dev, f.root.Name)
	if err := unix.Mount(node, f.dir, "btrfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "subvolid=5"); err != nil {
		return fmt.Errorf("mount %s: %w", node, err)
	}
	if slices.Contains(f.steps, config.StepGrow) {
		f.attempt("grow file system", func() error { return growFileSystem(f.dir) })
	}
	if f.swapfile != nil && slices.Contains(f.steps, config.StepSwapfile) {
		f.attempt("swapfile "+f.swapfile.Path, f.enlarge)
	}
	// What was done must be on the disk before the table says so.
	return errors.Join(syncFileSystem(f.dir), unix.Unmount(f.dir, 0))
}

// syncFileSystem writes out the file system that a file or directory is in.
func syncFileSystem(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("syncfs %s: %w", name, err)
	}
	return nil
}
