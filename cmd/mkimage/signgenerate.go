package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/signature"
)

// generatedKey is what sign --generate says.
type generatedKey struct {
	KeyID     string `json:"key_id"`
	PublicKey string `json:"public_key"`
	Public    string `json:"public_file"`
	Secret    string `json:"secret_file"`
	Encrypted bool   `json:"encrypted"`
}

func (f *signFlags) runGenerate(ctx context.Context, u *ui) error {
	switch {
	case f.key != "" || f.output != "" || f.comment != "":
		return fault.New(fault.Usage, "make the key first, then sign with it", "--generate: not together with --key, --output or --comment")
	case f.open && f.passphraseFile != "":
		return fault.New(fault.Usage, "", "--no-passphrase: not together with --passphrase-file")
	}
	made := generatedKey{Secret: f.generate + ".key", Public: f.generate + ".pub", Encrypted: !f.open}
	for _, name := range []string{made.Secret, made.Public} {
		if isThere(name) {
			return keyExists(name)
		}
		if err := checkOutput(name, ""); err != nil {
			return err
		}
	}
	key, err := signature.Generate()
	if err != nil {
		return err
	}
	made.KeyID, made.PublicKey = key.Public().ID(), key.Public().String()
	text, err := f.keyText(ctx, u, key)
	if err != nil {
		return err
	}
	// The secret key first: the public one can be made of it, but not it of that.
	if err := createKeyFile(made.Secret, text, modeSecret); err != nil {
		return err
	}
	if err := createKeyFile(made.Public, key.Public().Text(), modePlain); err != nil {
		return errors.Join(err, os.Remove(made.Secret))
	}
	return u.answer(made, func(w io.Writer) { fmt.Fprintln(w, made.PublicKey) })
}

// keyText returns the content of the file of a new key, whose passphrase is asked
// for twice.
func (f *signFlags) keyText(ctx context.Context, u *ui, key *signature.Secret) ([]byte, error) {
	if f.open {
		return key.Plain()
	}
	passphrase, err := f.passphrase(ctx, u, "New passphrase of the key: ", "The same again: ")
	if err != nil {
		return nil, err
	}
	if len(passphrase) < shortPassphrase {
		u.warn("the passphrase has %d bytes: whoever finds the key can try all of that length", len(passphrase))
	}
	return key.Encrypt(passphrase)
}

func keyExists(name string) error {
	return fault.New(fault.Target, "name another key, or move that file away", "%s: exists; a key is never overwritten", name)
}

// createKeyFile writes a file that has its name only when it is complete and on
// the disk, and never takes the place of another.
func createKeyFile(name string, data []byte, mode fs.FileMode) error {
	out, err := createOutput(name, int64(len(data)), mode)
	if err != nil {
		return err
	}
	if _, err = out.WriteAt(data, 0); err == nil {
		err = spaceHint(out.file.Sync())
	}
	if err == nil {
		err = renameNew(out.file.Name(), name)
	}
	if err != nil {
		return errors.Join(err, out.discard())
	}
	out.done = true
	return errors.Join(out.file.Close(), syncDir(filepath.Dir(name)))
}

// renameNew gives a file a name that is free.
func renameNew(old, name string) error {
	err := unix.Renameat2(unix.AT_FDCWD, old, unix.AT_FDCWD, name, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // not of this file system
		if err = os.Link(old, name); err == nil {
			err = os.Remove(old)
		}
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return keyExists(name)
	case err != nil:
		return fault.New(fault.Target, "", "%s: %w", name, err)
	}
	return nil
}
