// Package repository drives restic, the program, on a repository in a directory:
// it lists snapshots and what is in them, and restores. That a directory equals
// what was restored it proves without restic, by the package reader.
//
// Nothing of this process' environment reaches restic, the password is in no
// argument, and the repository is not written to: no lock is taken and no cache
// is kept, so that a disk may be mounted read-only. Errors of restic are told
// apart by its exit codes and its messages, and are of *firstboot.Problem, but
// those of a cancelled context.
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
	Program      string // restic, 0.18 or later
	Dir          string
	PasswordFile string // which restic reads, and Verify; see Hold
	Names
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

// Command runs restic with a standard output; see Messages.
func (repo *Repository) Command(ctx context.Context, out io.Writer, args ...string) error {
	return repo.Start(ctx, &Complaints{}, out, args...)
}

// Start is Command for who wants to know what restic complains about meanwhile.
func (repo *Repository) Start(ctx context.Context, said *Complaints, out io.Writer, args ...string) error {
	// A child is killed when the thread ends that started it, not the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	global := []string{"--repo=" + repo.Dir, "--password-file=" + repo.PasswordFile, "--no-lock", "--no-cache", "--json"}
	cmd := exec.CommandContext(ctx, repo.Program, append(global, args...)...)
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

// Restoring is what restic restores, and where to.
type Restoring struct {
	Snapshot string   // ID
	From     string   // the directory of the snapshot whose content comes into To; "" is the top
	To       string   // is made if it is missing
	Includes []string // absolute below From, each with all that is below it; none is everything
}

// what is how restic is told of a snapshot, or of a directory in it.
func (r *Restoring) what() string {
	if r.From == "" {
		return r.Snapshot
	}
	return r.Snapshot + ":" + r.From
}

// args are the arguments of a restore.
func (r *Restoring) args(more ...string) []string {
	// What is there of a restore that was cut short may look right and hold zeros:
	// "always" reads it.
	args := append([]string{"restore", r.what(), "--target=" + r.To, "--overwrite=always"}, more...)
	for _, path := range r.Includes {
		args = append(args, "--include="+literal(path))
	}
	return args
}

// Restore restores all that is missing or wrong in To. call gets what restic
// says of "status" about once a second, and of "summary" in the end. Holes of
// files stay holes.
func (repo *Repository) Restore(ctx context.Context, r Restoring, said *Complaints, call func(Line)) error {
	return repo.Start(ctx, said, Messages(call, "status", "summary"), r.args("--sparse")...)
}

// Measure returns restic's summary of a restore that writes nothing, which takes
// it as long as to read all names. It counts as the real one does: hard links
// once, and what lies below From alone. "stats" counts the whole snapshot. Of
// what is damaged it counts what can be read, which is as much as can be
// restored: then the error is nil, unless nothing can.
func (repo *Repository) Measure(ctx context.Context, r Restoring) (sum Line, err error) {
	said := &Complaints{}
	err = repo.Start(ctx, said, Messages(func(l Line) { sum = l }, "summary"), r.args("--dry-run")...)
	if err != nil && (said.Count() == 0 || sum.TotalFiles == 0) {
		return Line{}, err
	}
	return sum, nil
}

// List calls a function with each entry of a directory of a snapshot, a Line of
// the type "node" whose Path is from the top of the snapshot, in the order of
// their names: the directory itself first, but for the top. What is not there,
// and what is no directory, has at most itself.
func (repo *Repository) List(ctx context.Context, snapshot, dir string, call func(Line)) error {
	return repo.Command(ctx, Messages(call, "node"), "ls", snapshot, dir)
}
