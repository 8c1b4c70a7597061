package repository

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository/reader"
)

// maxFailures is how many items that could not be restored are kept.
const maxFailures = 100

// failure is what restic could not restore.
type failure struct {
	item    string // "" for what is no file
	message string
}

// Complaints are what restic writes to its standard error.
type Complaints struct {
	mu       sync.Mutex
	failures []failure // the first maxFailures
	count    int       // of all
	exit     string    // the message of exit_error
	last     string    // of what is no message
	retrying string    // the last line of an operation on the disk that restic tries again
}

// take reads a line.
func (c *Complaints) take(text []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := parseLine(text)
	switch {
	case ok && l.MessageType == "error":
		if c.count++; len(c.failures) < maxFailures {
			c.failures = append(c.failures, failure{Printable(l.Item), Printable(cmp.Or(l.Error.Message, l.Message))})
		}
	case ok && l.MessageType == "exit_error":
		c.exit = Printable(l.Message)
	case !ok && len(bytes.TrimSpace(text)) > 0:
		c.last = Printable(string(text))
		if strings.Contains(c.last, "retrying after") {
			c.retrying = c.last
		}
	}
}

// Count returns how many errors restic told of.
func (c *Complaints) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// Last returns the last line that restic printed for people, or "".
func (c *Complaints) Last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// Items returns the names of what could not be restored, of the first errors,
// each once, and how many errors there were.
func (c *Complaints) Items() (names []string, count int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.items(), c.count
}

// Retries returns what restic tries again since advanced was last true; "" for
// nothing.
func (c *Complaints) Retries(advanced bool) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if advanced {
		c.retrying = ""
	}
	return c.retrying
}

// problem says why restic failed.
func (c *Complaints) problem(err error, repo *Repository) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("restic: %w", err)
	}
	reason := c.reason(err)
	where := repo.Names.Repository
	switch code := firstboot.Code(exit.ExitCode()); code {
	case firstboot.CodeNoRepository:
		return firstboot.NewProblem(code, "", "backup disk %s has no repository of restic in %s", repo.Disk, where)
	case firstboot.CodeLocked:
		return firstboot.NewProblem(code, repo.Again, "repository %s: is locked: %s", where, reason)
	case firstboot.CodePassword:
		return firstboot.NewProblem(code, repo.PasswordHint, "repository %s: %s is not its password", where, repo.Password)
	}
	code := codeOf(reason)
	if code == firstboot.CodeDamaged && c.count == 0 {
		return firstboot.NewProblem(code, reader.DamagedHint, "repository %s: is damaged: %s", where, reason)
	}
	if c.count == 0 {
		return firstboot.NewProblem(code, repo.Again, "repository %s: restic: %s", where, reason)
	}
	for _, f := range c.failures { // the cause is often that of a single file
		if code == firstboot.CodeIncomplete {
			code = codeOf(f.message)
		}
	}
	return firstboot.NewProblem(code, IncompleteHint(code, repo.Again), "%d errors, the first with %s: %s; restored was not: %s",
		c.count, c.failures[0].item, c.failures[0].message, Listed(c.items()))
}

// reason is what restic said last.
func (c *Complaints) reason(err error) string {
	switch {
	case c.exit != "":
		return c.exit
	case c.last != "":
		return c.last
	}
	return err.Error()
}

// items returns the names of what failed, each once.
func (c *Complaints) items() (names []string) {
	seen := map[string]bool{}
	for _, f := range c.failures {
		if !seen[f.item] {
			seen[f.item] = true
			names = append(names, f.item)
		}
	}
	return names
}

// IncompleteHint is what to do where not everything was restored; again is what
// to type then.
func IncompleteHint(code firstboot.Code, again string) string {
	switch code {
	case firstboot.CodeSpace:
		return "make room, then: " + again
	case firstboot.CodeDamaged:
		return reader.DamagedHint + ", restic repair how to leave it out of the backup; then: " + again
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

// Damage is the problem of what restic check has complained of, if it did.
func (repo *Repository) Damage(said *Complaints) error {
	if said.Count() == 0 {
		return nil
	}
	first := said.failures[0].message
	code := codeOf(first)
	if code != firstboot.CodeDisk { // whatever else check complains of
		code = firstboot.CodeDamaged
	}
	return firstboot.NewProblem(code, "restic check --read-data tells what is damaged, restic repair how to leave it out of the backup",
		"repository %s: is damaged: %s", repo.Names.Repository, first)
}
