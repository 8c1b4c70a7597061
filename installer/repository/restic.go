// Package repository restores from a repository of restic in a directory: it lists
// snapshots and what is in them, brings files back, and proves that a directory equals
// what it was to get. It does this itself, by the package reader: a restore is to be no
// slower than restic's, with a proof that this has not, and opens a repository once for
// all. restic, the program, checks a repository.
//
// The repository is not written to: no lock is taken and no cache is kept, so that a
// disk may be mounted read-only. The password is in no argument, and nothing of this
// process' environment reaches restic. Errors of repositories are of
// *firstboot.Problem, but those of a cancelled context.
//
// What it does not do: it mounts nothing, backs up nothing, syncs nothing, and
// decides nothing about where restored files go.
package repository

import (
	"context"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Repository is one of restic.
type Repository struct {
	Program      string // restic, 0.18 or later, for checks
	Dir          string
	PasswordFile string // see Hold
	Names

	// Unreadable is told of snapshots that are damaged; nil tells nobody.
	Unreadable func(line string)

	session session
}

// Names are what errors call a repository, and what their hints tell to do.
type Names struct {
	Disk         string // the disk it is on, such as "LABEL=backup"
	Repository   string // such as its path on the disk
	Password     string // such as "the secret backup"
	PasswordHint string // what to do about a wrong one
	NoneHint     string // what to do where there is no snapshot of a host and path
	Again        string // what to type when the cause of an error is out of the way
}

// check runs restic check with its standard output a writer.
func (repo *Repository) check(ctx context.Context, said *complaints, out io.Writer, args ...string) error {
	// A child is killed when the thread ends that started it, not the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all := []string{"--repo=" + repo.Dir, "--password-file=" + repo.PasswordFile, "--no-lock", "--no-cache", "--json", "check"}
	cmd := exec.CommandContext(ctx, repo.Program, append(all, args...)...)
	cmd.Env = []string{"RESTIC_PROGRESS_FPS=1"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // Ctrl-C is for us: we tell it
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stdout, cmd.Stderr = out, &lineWriter{call: said.take}
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return said.problem(err, repo)
}
