package rehearsal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// chroot is a folder in which programs run that see nothing else: a home is backed up from
// the path that it has on the machine. Programs in it need no library.
//
// Root runs them as root. Of an ordinary user the files are, in there, those of one user
// of the machine: a user namespace with that one in it.
type chroot struct {
	dir string
	uid uint32 // to whom the caller's files belong in there, if the caller is not root
}

// isRoot reports whether files can be given to others.
func isRoot() bool { return os.Geteuid() == 0 }

// command returns a program of the folder, by its path there.
func (c *chroot) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = "/", []string{"HOME=/", "TMPDIR=/tmp", "TZ=UTC", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.dir, Pdeathsig: syscall.SIGKILL}
	if !isRoot() {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: int(c.uid), HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: int(c.uid), HostID: os.Getegid(), Size: 1}}
	}
	return cmd
}

// run runs a program that must succeed and returns what it prints.
func (c *chroot) run(ctx context.Context, program string, args ...string) (string, error) {
	cmd := c.command(ctx, program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		return string(out), nil
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	name := filepath.Base(program)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return "", fmt.Errorf("%s %s: %w: %s", name, args[0], err, strings.TrimSpace(stderr.String()))
	}
	if !isRoot() && (errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC)) {
		return "", fault.New(fault.Target, "run it as root, or allow user namespaces: sysctl kernel.unprivileged_userns_clone", "user namespace: this host gives none to ordinary users: %w", err)
	}
	return "", fmt.Errorf("%s: %w", name, err)
}

// put puts a program into the folder and returns its path there.
func (c *chroot) put(name string, data []byte) (string, error) {
	if err := os.MkdirAll(filepath.Join(c.dir, "bin"), 0o755); err != nil {
		return "", err
	}
	return "/bin/" + name, os.WriteFile(filepath.Join(c.dir, "bin", name), data, 0o755)
}
