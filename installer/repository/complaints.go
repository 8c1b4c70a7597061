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

// complaints are what restic writes to its standard error.
type complaints struct {
	mu    sync.Mutex
	first string // message of the first error
	count int    // of errors
	exit  string // the message of exit_error
	last  string // of what is no message
}

// take reads a line.
func (c *complaints) take(text []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := parseLine(text)
	switch {
	case ok && l.MessageType == "error":
		if c.count++; c.count == 1 {
			c.first = Printable(cmp.Or(l.Error.Message, l.Message))
		}
	case ok && l.MessageType == "exit_error":
		c.exit = Printable(l.Message)
	case !ok && len(bytes.TrimSpace(text)) > 0:
		c.last = Printable(string(text))
	}
}

// problem says why restic failed.
func (c *complaints) problem(err error, repo *Repository) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("restic: %w", err)
	}
	reason := cmp.Or(c.exit, c.last, c.first, err.Error())
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
	if code == firstboot.CodeDamaged {
		return firstboot.NewProblem(code, reader.DamagedHint, "repository %s: is damaged: %s", where, reason)
	}
	return firstboot.NewProblem(code, repo.Again, "repository %s: restic: %s", where, reason)
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
