package restore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// maxFailures is how many items that could not be restored are kept.
const maxFailures = 100

// maxOutput bounds what is kept of the list of snapshots, in bytes.
const maxOutput = 64 << 20

// repository is a repository on the mounted disk.
type repository struct {
	run      *run
	dir      string
	password string // the file
}

// failure is what restic could not restore.
type failure struct {
	item    string // "" for what is no file
	message string
}

// complaints are what restic writes to its standard error.
type complaints struct {
	mu       sync.Mutex
	failures []failure // the first maxFailures
	count    int       // of all
	exit     string    // the message of exit_error
	last     string    // of what is no message
	retrying string    // the last line of an operation on the disk that restic tries again
}

// take reads a line.
func (c *complaints) take(text []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := parseLine(text)
	switch {
	case ok && l.MessageType == "error":
		if c.count++; len(c.failures) < maxFailures {
			c.failures = append(c.failures, failure{printable(l.Item), printable(cmp.Or(l.Error.Message, l.Message))})
		}
	case ok && l.MessageType == "exit_error":
		c.exit = printable(l.Message)
	case !ok && len(bytes.TrimSpace(text)) > 0:
		c.last = printable(string(text))
		if strings.Contains(c.last, "retrying after") {
			c.retrying = c.last
		}
	}
}

// retries returns what restic tries again since advanced was last true; "" for
// nothing.
func (c *complaints) retries(advanced bool) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if advanced {
		c.retrying = ""
	}
	return c.retrying
}

// command runs restic on the repository with a standard output. Nothing of this
// process' environment reaches it, and the password is in no argument.
func (repo *repository) command(ctx context.Context, out io.Writer, args ...string) error {
	return repo.start(ctx, &complaints{}, out, args...)
}

// start is command for who wants to know what restic complains about meanwhile.
func (repo *repository) start(ctx context.Context, said *complaints, out io.Writer, args ...string) error {
	// A child is killed when the thread ends that started it, not the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	global := []string{"--repo=" + repo.dir, "--password-file=" + repo.password, "--no-lock", "--no-cache", "--json"}
	cmd := exec.CommandContext(ctx, repo.run.Restic, append(global, args...)...)
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

// problem says why restic failed.
func (c *complaints) problem(err error, repo *repository) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("restic: %w", err)
	}
	reason := c.reason(err)
	where := repo.run.c.Restore.Repository
	switch code := firstboot.Code(exit.ExitCode()); code {
	case firstboot.CodeNoRepository:
		return firstboot.NewProblem(code, "", "backup disk %s has no repository of restic in %s", repo.run.c.Restore.Disk, where)
	case firstboot.CodeLocked:
		return firstboot.NewProblem(code, again, "repository %s: is locked: %s", where, reason)
	case firstboot.CodePassword:
		return firstboot.NewProblem(code, "mkimage keys check PROFILE --repository DIR", "repository %s: the secret %s is not its password", where, repo.run.c.Restore.Password)
	}
	code := codeOf(reason)
	if code == firstboot.CodeDamaged && c.count == 0 {
		return firstboot.NewProblem(code, "restic check tells what is damaged", "repository %s: is damaged: %s", where, reason)
	}
	if c.count == 0 {
		return firstboot.NewProblem(code, again, "repository %s: restic: %s", where, reason)
	}
	for _, f := range c.failures { // the cause is often that of a single file
		if code == firstboot.CodeIncomplete {
			code = codeOf(f.message)
		}
	}
	return firstboot.NewProblem(code, incompleteHint(code), "%d errors, the first with %s: %s; restored was not: %s",
		c.count, c.failures[0].item, c.failures[0].message, listed(c.items()))
}

// reason is what restic said last.
func (c *complaints) reason(err error) string {
	switch {
	case c.exit != "":
		return c.exit
	case c.last != "":
		return c.last
	}
	return err.Error()
}

// items returns the names of what failed, each once.
func (c *complaints) items() (names []string) {
	seen := map[string]bool{}
	for _, f := range c.failures {
		if !seen[f.item] {
			seen[f.item] = true
			names = append(names, f.item)
		}
	}
	return names
}

func incompleteHint(code firstboot.Code) string {
	switch code {
	case firstboot.CodeSpace:
		return "make room, then: " + again
	case firstboot.CodeDamaged:
		return "restic check tells what is damaged, restic repair how to leave it out of the backup; then: " + again
	}
	return again + " goes on with what is missing"
}

// phrases tell what kind of an error a message of restic is of: its own
// messages, and those of the kernel in them. The first that fits counts.
var phrases = []struct {
	text string
	code firstboot.Code
}{
	{"no space left on device", firstboot.CodeSpace},
	{"disk quota exceeded", firstboot.CodeSpace},
	{"decrypting blob", firstboot.CodeDamaged},
	{"ciphertext verification failed", firstboot.CodeDamaged},
	{"not found in repository", firstboot.CodeDamaged},
	{"Unknown blob", firstboot.CodeDamaged},
	{"Unable to fetch blob", firstboot.CodeDamaged},
	{"invalid data returned", firstboot.CodeDamaged},
	{"ReadFull(<", firstboot.CodeDamaged},
	{"Load(<", firstboot.CodeDamaged},
	{"load index", firstboot.CodeDamaged},
	{"config or key", firstboot.CodeDamaged},
}

// codeOf returns the code of a message of restic. What the backup disk cannot
// read is no fault of the repository.
func codeOf(message string) firstboot.Code {
	for _, p := range phrases {
		if !strings.Contains(message, p.text) {
			continue
		}
		if p.code == firstboot.CodeDamaged && (strings.Contains(message, "input/output error") || strings.Contains(message, "no such device")) {
			return firstboot.CodeDisk
		}
		return p.code
	}
	return firstboot.CodeIncomplete
}

// listed returns the first names of a list, and how many more there are.
func listed(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// open returns the repository on the disk that is mounted at dir. The password
// is read by restic alone.
func (r *run) open(dir string) *repository {
	return &repository{
		run:      r,
		dir:      filepath.Join(dir, path.Join("/", r.c.Restore.Repository)),
		password: r.passwordFile(),
	}
}

func (r *run) passwordFile() string {
	return filepath.Join(r.Secrets, path.Join("/", r.c.Restore.Password))
}
