package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/mountinfo"
	"github.com/6FaNcY9/mkimage/installer/rescue/unlock/unlocktest"
)

// lonely makes the program a process of its own, which mounts below a directory and whose
// search path has a first boot's program. What it leaves mounted goes with the test.
func lonely(t *testing.T, args ...string) (cmd *exec.Cmd, dir string) {
	t.Helper()
	dir, programs := t.TempDir(), t.TempDir()
	unlocktest.Program(t, filepath.Join(programs, firstboot.Program))
	cmd = exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "PATH="+programs+":"+os.Getenv("PATH"))
	t.Cleanup(func() {
		for _, point := range mountsBelow(t, dir) {
			_ = unix.Unmount(point, unix.MNT_DETACH)
		}
	})
	return cmd, dir
}

// mountsBelow returns what is mounted below a directory.
func mountsBelow(t *testing.T, dir string) (points []string) {
	t.Helper()
	all, err := mountinfo.Self()
	must(t, err)
	for _, m := range all {
		if strings.HasPrefix(m.Point, dir+"/") {
			points = append(points, m.Point)
		}
	}
	return points
}

// TestHangup loses the terminal of a command that has mounted a system and waits for an
// answer. The kernel and the shell both say so, and neither may keep it from unmounting.
func TestHangup(t *testing.T) {
	imgtest.NeedRoot(t)
	b := &bench{t: t, dir: t.TempDir(), key: newAgeKey(t)}
	b.laptop = filepath.Join(b.dir, "laptop.img")
	b.assemble(b.laptop)
	cmd, dir := lonely(t, "key", "--image", b.laptop)
	p, other := openTerminal(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = other, other, other
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	p.until("The secret key itself")
	if len(mountsBelow(t, dir)) == 0 {
		t.Error("nothing is mounted while it asks")
	}
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
				t.Errorf("it ended with %v; want code %d", err, exitInterrupted)
			}
			if left := mountsBelow(t, dir); len(left) > 0 {
				t.Errorf("left mounted: %q", left)
			}
			if left := names(t, dir); left != "" {
				t.Errorf("left behind: %s", left)
			}
			return
		case <-again.C:
			if err := cmd.Process.Signal(syscall.SIGHUP); !errors.Is(err, os.ErrProcessDone) {
				must(t, err)
			}
		}
	}
}

// TestNobodyReads closes the pipe that a command prints to, as an SSH session without a
// terminal does that is lost: it ends what it has begun.
func TestNobodyReads(t *testing.T) {
	imgtest.NeedRoot(t)
	image := withSnapshots(t)
	cmd, dir := lonely(t, "rollback", "@.before", "--yes", "--image", image)
	read, write, err := os.Pipe()
	must(t, err, read.Close())
	cmd.Stdout, cmd.Stderr = write, write
	err = cmd.Run()
	must(t, err, write.Close())
	if left := mountsBelow(t, dir); len(left) > 0 {
		t.Errorf("left mounted: %q", left)
	}
	if out := mustRescue(t, "rollback", "--list", "--image", image); !strings.Contains(out, "@.old-r") {
		t.Errorf("it was not rolled back:\n%s", out)
	}
}
