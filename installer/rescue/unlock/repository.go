package unlock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/rescue/backup"
)

// Opening is a repository to open.
type Opening struct {
	Place    backup.Place
	Password []byte   // that somebody has given; nil looks for it, and asks in the end
	Vault    *Vault   // that may have it; nil for none
	Names    []string // of the secrets that it may be, the likeliest first
	Search   Search   // of the key of the vault
}

// Opened is a repository that is open.
type Opened struct {
	*backup.Backup
	How string // it was opened, for people
}

// Repository opens a repository: with the password that is given, with a secret of the
// vault, or with what a person types. Errors are those of backup.Open, and of the search
// where nobody can be asked.
func Repository(ctx context.Context, o Opening) (*Opened, error) {
	if o.Password != nil {
		return o.try(ctx, o.Password, "the password that was given")
	}
	opened, problem := o.bySecret(ctx)
	if opened != nil || ctx.Err() != nil || problem != nil && isFinal(problem) {
		return opened, problem
	}
	if problem != nil {
		o.Search.note(problem)
	}
	if o.Search.Ask == nil {
		if problem == nil {
			problem = firstboot.NewProblem(firstboot.CodePassword, "--password-file FILE", "repository %s: nothing here has its password", o.Place.Repository)
		}
		return nil, problem
	}
	return o.ask(ctx, problem)
}

// try opens the repository with a password, and wipes that.
func (o *Opening) try(ctx context.Context, password []byte, how string) (*Opened, error) {
	defer clear(password)
	b, err := backup.Open(ctx, o.Place, bytes.TrimRight(password, "\r\n"))
	if err != nil {
		return nil, err
	}
	return &Opened{b, how}, nil
}

// isFinal reports whether another password would not help.
func isFinal(err error) bool {
	switch firstboot.CodeOf(err) {
	case firstboot.CodeNoRepository, firstboot.CodeLocked, firstboot.CodeDisk, firstboot.CodeDamaged:
		return true
	}
	return false
}

// bySecret opens the repository with a secret of the vault. Without an error and a result
// there is none to try.
func (o *Opening) bySecret(ctx context.Context) (*Opened, error) {
	var names []string
	for _, name := range o.Names {
		if o.Vault != nil && o.Vault.has(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	o.Search.Recipients = o.Vault.Recipients()
	found, err := o.Search.Key(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		password, secretErr := o.Vault.Secret(ctx, found.Key, name)
		if secretErr != nil {
			err = secretErr
			continue
		}
		opened, tryErr := o.try(ctx, password, fmt.Sprintf("the secret %s, by the key of %s", name, found.Where))
		if tryErr == nil || isFinal(tryErr) || ctx.Err() != nil {
			return opened, tryErr
		}
		err = firstboot.NewProblem(firstboot.CodePassword, "type the password, or name a file that has it: --password-file FILE", "repository %s: the secret %s does not open it", o.Place.Repository, name)
	}
	return nil, err
}

// ask asks for the password itself.
func (o *Opening) ask(ctx context.Context, problem error) (*Opened, error) {
	for left := tries; left > 0; left-- {
		password, err := o.Search.Ask(ctx, fmt.Sprintf("Password of the repository %s (Enter ends it): ", o.Place.Repository))
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(password)) == 0 {
			break
		}
		opened, err := o.try(ctx, password, "the password that was typed")
		if firstboot.CodeOf(err) != firstboot.CodePassword {
			return opened, err
		}
		problem = err
		o.Search.note(err)
	}
	if problem == nil {
		problem = firstboot.NewProblem(firstboot.CodePassword, "--password-file FILE names a file that has it", "repository %s: no password was given", o.Place.Repository)
	}
	return nil, problem
}

// ReadPassword reads the password in the first line of a file. Errors are of the class
// fault.Input.
func ReadPassword(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return nil, fault.New(fault.Input, "", "%s: %w", name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return nil, fault.New(fault.Input, "", "%s: its first line is empty, expected the password", name)
	}
	return line, nil
}
