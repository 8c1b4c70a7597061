package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/6FaNcY9/mkimage/builder/secrets"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/preflight"
)

// lookAtSecrets decrypts every file of secrets: one finding for each. A NixOS
// has its files in the store, where nothing says which they are.
func (p *prover) lookAtSecrets() {
	type source struct{ file, format string }
	var files []source
	of := map[source][]firstboot.Secret{}
	for _, s := range p.c.Secrets {
		from := source{s.File, s.Format}
		if of[from] == nil {
			files = append(files, from)
		}
		of[from] = append(of[from], s)
	}
	for _, from := range files {
		err := p.decryptFile(from.file, from.format, of[from])
		p.add("secrets", preflight.ProofKey, fmt.Sprintf("%s: decrypted, with all %d that come of it", from.file, len(of[from])), err)
	}
	if p.c.NixOS && len(files) == 0 {
		p.list = append(p.list, preflight.Finding{
			Name: "secrets", Proof: preflight.ProofKey, Warning: true,
			Text: "not tried: NixOS has them in its store, and decrypts them itself", Hint: "the key is one of those that they were encrypted for",
		})
	}
}

// decryptFile decrypts a file and looks for all secrets that come of it.
func (p *prover) decryptFile(file, format string, list []firstboot.Secret) error {
	if p.key == nil {
		return notTried(firstboot.CodeNoKey, "%s: the key is missing or wrong", file)
	}
	plain, err := p.decryptSecrets(file, format)
	if err != nil {
		return firstboot.Located(file, err)
	}
	var first error
	for _, s := range list {
		value, err := plain.Value(s.Key)
		if err != nil {
			if first == nil {
				first = firstboot.Located(file+": secret "+s.Name, err)
			}
			continue
		}
		if p.c.Restore != nil && s.Name == p.c.Restore.Password {
			p.password = bytes.Clone(value)
		}
		clear(value)
	}
	return first
}

func (p *prover) decryptSecrets(file, format string) (*secrets.Plain, error) {
	f, err := os.Open(p.tree.Path(file))
	if err != nil {
		return nil, firstboot.NewProblem(firstboot.CodeSecret, "build the medium again", "%w", err)
	}
	defer f.Close()
	// One byte more than is allowed of one that is too large: Decrypt refuses it.
	data, err := io.ReadAll(io.LimitReader(f, secrets.MaxFile+1))
	if err != nil {
		return nil, firstboot.NewProblem(firstboot.CodeSecret, "build the medium again", "%w", err)
	}
	return secrets.Decrypt(data, secrets.Format(format), p.key.Identities())
}
