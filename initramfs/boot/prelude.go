package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// systemInit is what a system's own initrd is started by.
const systemInit = "/init"

// preludeRun is where the /run of the duties is. What they leave in it the system's
// initrd finds in its own.
const preludeRun = config.PreludeDir + "/run"

// preludeLimit is how long a system waits for the duties: longer than any disk, driver
// or person that they wait for.
const preludeLimit = 30 * time.Minute

// Prelude runs as PID 1 what comes before the initrd of a system itself, and then starts
// that in its own place, with the arguments and the environment that the kernel gave.
// Nothing that happens before keeps it from that: the duties are done by a process of
// their own, see Duties, in a mount namespace that ends with it.
func Prelude() {
	if err := precede(); err != nil {
		complain("%v; the system's own initrd goes on", err)
	}
	signal.Reset()
	err := unix.Exec(systemInit, append([]string{systemInit}, os.Args[1:]...), os.Environ())
	complain("%s of the system's initrd: %v", systemInit, err)
	stayOrReboot(0)
}

// complain writes a line on the console, as the kernel's log cannot be reached.
func complain(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "mkimage-init: "+format+"\n", args...)
}

// precede has the duties done, and leaves of the archive nothing but what they left in
// /run.
func precede() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.Join(err, fmt.Errorf("this is a fault of mkimage-init, please report it: panic: %v\n%s", p, debug.Stack()))
		}
	}()
	if err := os.MkdirAll(preludeRun, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", preludeRun, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount %s: %w", preludeRun, err)
	}
	err = runDuties(preludeLimit)
	return errors.Join(err, handRun(), remove(config.PreludeDir))
}

// runDuties starts this program again for the duties and waits until it ends, or until
// limit is over. One that cannot be killed, since a disk does not answer, is left behind.
func runDuties(limit time.Duration) error {
	p, err := os.StartProcess("/init", append([]string{config.PreludeDuties}, os.Args[1:]...), &os.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: standardFiles(),
		Sys: &syscall.SysProcAttr{Chroot: config.PreludeDir, Cloneflags: syscall.CLONE_NEWNS, Setsid: true},
	})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		state, err := p.Wait()
		if err == nil && !state.Success() {
			err = fmt.Errorf("%s: %s", config.PreludeDuties, state)
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(limit):
		return errors.Join(fmt.Errorf("%s: did not end within %s", config.PreludeDuties, limit), p.Kill())
	}
}

// standardFiles returns the files of the console, as far as the kernel had one.
func standardFiles() []*os.File {
	var st unix.Stat_t
	for fd := range 3 {
		if unix.Fstat(fd, &st) != nil {
			return nil
		}
	}
	return []*os.File{os.Stdin, os.Stdout, os.Stderr}
}

// handRun gives what the duties left to the system: systemd, in an initrd and after it,
// keeps a /run that is mounted. Where they left nothing, nothing is mounted.
func handRun() error {
	names, err := os.ReadDir(preludeRun)
	if err == nil && len(names) > 0 {
		if err = mountPoint("/run"); err == nil {
			err = unix.Mount(preludeRun, "/run", "", unix.MS_MOVE, "")
		}
		if err == nil {
			return nil
		}
		err = fmt.Errorf("move %s to /run: %w", preludeRun, err)
	}
	return errors.Join(err, unix.Unmount(preludeRun, unix.MNT_DETACH))
}

// remove deletes a directory of the memory that the kernel unpacked the archives into.
func remove(dir string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	empty(fd)
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
