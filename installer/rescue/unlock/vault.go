// Package unlock opens what a rescue needs and a machine keeps closed: it finds the age
// key, decrypts the password of a repository with it, and opens the repository.
//
// The secrets are those that a recovery stick has of its payload, or a system that is
// mounted, as sops encrypted them. What decrypts them is mkimage-firstboot, which the
// stick has anyway: the library of sops is eight times as large as all else here, and a
// rescue environment is in memory as a whole. Keys and passwords go through pipes and
// memory alone, and get into no argument, variable, file or error.
//
// What it does not do: it mounts nothing and writes nothing, and it asks nobody but
// through a function that its caller hands in. Errors about keys, secrets and
// repositories are of *firstboot.Problem.
package unlock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"

	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Vault is the encrypted secrets of a machine.
type Vault struct {
	Config  firstboot.Config
	Root    string // of the files that it names
	Program string // mkimage-firstboot
}

// maxConfig bounds the configuration of a system, and maxSecret a password, in bytes.
const (
	maxConfig = 1 << 20
	maxSecret = 64 << 10
)

// FindVault returns the vault in a root directory, nil where it has none. A configuration
// that cannot be read is a fault.
func FindVault(root, program string) (*Vault, error) {
	for _, name := range []string{firstboot.ConfigPathNixOS, firstboot.ConfigPath} {
		text, err := durable.Read(durable.OS(root), name, maxConfig)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c, err := firstboot.DecodeConfig(name, text)
		if err != nil {
			return nil, err
		}
		return &Vault{c, root, program}, nil
	}
	return nil, nil
}

// Recipients returns the public keys, any of which opens the secrets.
func (v *Vault) Recipients() []string {
	if v == nil || v.Config.Age == nil {
		return nil
	}
	return v.Config.Age.Recipients
}

// has reports whether there is a secret of a name.
func (v *Vault) has(name string) bool {
	for _, s := range v.Config.Secrets {
		if s.Name == name {
			return true
		}
	}
	return false
}

// Secret decrypts one secret. Its user wipes it.
func (v *Vault) Secret(ctx context.Context, k *agekey.Key, name string) ([]byte, error) {
	key := k.Text()
	defer clear(key)
	var out, said limited
	cmd := exec.CommandContext(ctx, v.Program, "secret", name, "--json", "--root", v.Root, "--key-file", "-")
	cmd.Env = []string{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(key), &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &exit):
		return nil, failure(name, out.Bytes(), said.Bytes(), exit)
	case err != nil:
		return nil, firstboot.NewProblem(firstboot.CodeSecret, "type the password of the repository, or name a file that has it: --password-file FILE", "secret %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// failure is the problem that the program has told.
func failure(name string, out, said []byte, exit *exec.ExitError) error {
	var f struct {
		Error, Hint string
		Code        int
	}
	if json.Unmarshal(out, &f) == nil && f.Error != "" {
		return firstboot.NewProblem(firstboot.Code(f.Code), f.Hint, "%s", f.Error)
	}
	last := said[bytes.LastIndexByte(bytes.TrimSpace(said), '\n')+1:]
	return firstboot.NewProblem(firstboot.CodeSecret, "", "secret %s: %s: %w: %q", name, firstboot.Program, exit, bytes.TrimSpace(last))
}

// limited is a buffer that takes no more than a secret.
type limited struct{ bytes.Buffer }

// Write implements io.Writer. What is too long ends the program that writes it.
func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxSecret {
		return 0, fmt.Errorf("more than %d bytes: %w", maxSecret, io.ErrShortWrite)
	}
	return l.Buffer.Write(p)
}
