package qemutests

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// AccelEnv names the environment variable that says which accelerator to use,
// without a probe.
const AccelEnv = "MKIMAGE_ACCEL"

// Accel is what executes the guest's instructions.
type Accel string

// The accelerators.
const (
	TCG Accel = "tcg" // QEMU itself; works everywhere, 5 to 20 times slower
	KVM Accel = "kvm" // the CPU
)

// option is the value of -accel. With a thread for each CPU, TCG (7.2) now and
// then executes what another CPU has just patched away: Linux patches itself
// with breakpoints, and then dies of "int3".
func (a Accel) option() string {
	if a == TCG {
		return "tcg,thread=single"
	}
	return string(a)
}

// cpus is the number of CPUs that a machine has by default. More than one take
// turns under TCG.
func (a Accel) cpus() int {
	if a == TCG {
		return 1
	}
	return 2
}

// cpu is the value of -cpu.
func (a Accel) cpu() string {
	if a == KVM {
		return "host"
	}
	return "max"
}

// kvmDevice is what QEMU opens for KVM.
const kvmDevice = "/dev/kvm"

// probeLimit is how long the probe's guest may take: ten times what it takes
// where KVM works, and a seventh of what it takes where an interpreter poses
// as KVM.
const probeLimit = 1500 * time.Millisecond

// Probe returns the accelerator of this host: what MKIMAGE_ACCEL says, or KVM
// where a guest that computes in long mode ends in time, or TCG. The guest is
// started once in a process at most.
func Probe() (Accel, error) { return probeOnce() }

var probeOnce = sync.OnceValues(func() (Accel, error) {
	return chooseAccel(os.Getenv(AccelEnv), kvmLooksUsable, func() bool { return kvmComputes(Binary) })
})

// chooseAccel decides by the cheapest means that will do.
func chooseAccel(env string, cheap, costly func() bool) (Accel, error) {
	switch Accel(env) {
	case TCG, KVM:
		return Accel(env), nil
	case "":
		if cheap() && costly() {
			return KVM, nil
		}
		return TCG, nil
	}
	return "", fault.New(fault.Usage, "", "%s=%q: expected %q or %q", AccelEnv, env, TCG, KVM)
}

// kvmLooksUsable does the checks that need no guest.
func kvmLooksUsable() bool {
	f, err := os.OpenFile(kvmDevice, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return false
	}
	defer info.Close()
	lines := bufio.NewScanner(info)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if name, flags, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "flags" {
			return virtualises(flags)
		}
	}
	return false
}

// virtualises reports whether a CPU with these flags can run guests itself:
// Intel's VT-x or AMD's SVM.
func virtualises(flags string) bool {
	for _, f := range strings.Fields(flags) {
		if f == "vmx" || f == "svm" {
			return true
		}
	}
	return false
}

// kvmComputes runs the probe's guest with KVM.
func kvmComputes(program string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), probeLimit)
	defer cancel()
	return runProbe(ctx, program, KVM) == nil
}

// runProbe runs the probe's guest and returns nil when it ended as it should.
func runProbe(ctx context.Context, program string, a Accel) error {
	dir, err := os.MkdirTemp("", "mkimage-probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	rom := filepath.Join(dir, "probe.rom")
	if err := os.WriteFile(rom, probeROM(), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-m", "16", "-machine", "pc", "-accel", a.option(),
		"-device", fmt.Sprintf("isa-debug-exit,iobase=%#x,iosize=4", probePort), "-bios", rom)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == probeExit {
		return nil
	}
	return fmt.Errorf("probe of %s: ended with %v, expected exit status %d", a, err, probeExit)
}
