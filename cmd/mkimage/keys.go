package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/agekey"
)

// newKeys makes the command whose subcommands are about the key of age that
// opens a machine's secrets.
func newKeys(u *ui) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "make, carry and check the key that opens a machine's secrets",
		Long: `keys is about the key of age with which a machine decrypts its secrets. An image
holds secrets only as sops encrypted them, and never the key: the owner brings that
to the first boot, best on a key medium, a USB stick that nothing else needs.

  keys new           makes a key: the secret half into a file, the public half printed
  keys medium        writes a key to a stick, or to an image of one, encrypted
  keys check         proves before an installation that the key opens every secret of
                     a profile, and its backup

The public key goes into .sops.yaml, so that sops encrypts for it. Without the
secret key nothing brings the secrets back, nor a backup whose password is among
them: keep a copy where the machine is not.`,
		Example: `  mkimage keys new -o fox.key
  mkimage keys check fox --key fox.key --repository /mnt/restic/fox
  mkimage keys medium /dev/sdb --key fox.key`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fault.New(fault.Usage, "mkimage keys --help lists them", "keys: unknown subcommand %q, expected new, medium or check", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeysNew(u), newKeysMedium(u), newKeysCheck(u))
	return cmd
}

// keysNewFlags are those of keys new.
type keysNewFlags struct {
	output      string // "" or "-" is standard output
	postQuantum bool
	encrypt     bool
	passphraseFlags
}

func newKeysNew(u *ui) *cobra.Command {
	var f keysNewFlags
	cmd := &cobra.Command{
		Use:   "new",
		Short: "make a key of age",
		Long: `new makes a key of age and prints its public key, which goes into .sops.yaml and
into age.recipient of the profile. The secret key goes into the file of -o: mode
0600, and never over a file that is there. Without -o it goes to standard output,
but not to a terminal, where it would stay on the screen and in its history: -o -
says that this is meant.

With --encrypt the file is encrypted with a passphrase, which is asked for twice on
the terminal and not shown, or comes from --passphrase-file. age -d opens it. The
passphrase can be tried by whoever has the file, as often as they like: make it six
random words rather than one.

--post-quantum makes a key that a quantum computer would not break either. Its
public key is long (1959 characters), and older programs do not know it: sops 3.12,
age 1.3 and sops-nix of that time or later are needed.`,
		Example: `  mkimage keys new -o fox.key
  mkimage keys new -o fox.key.age --encrypt
  mkimage keys new --json -o fox.key | jq -r .recipient`,
		Args:        takes(0, 0),
		Annotations: exits(fault.Input, fault.Target),
		RunE:        func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), u) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.output, "output", "o", "", "write the secret key to `FILE`; - is standard output")
	flags.BoolVar(&f.postQuantum, "post-quantum", false, "make a key of the hybrid kind, ML-KEM-768 with X25519")
	flags.BoolVar(&f.encrypt, "encrypt", false, "encrypt the file with a passphrase")
	f.define(cmd)
	return cmd
}

// madeKey is what keys new says.
type madeKey struct {
	Recipient string `json:"recipient"`
	Kind      string `json:"kind"` // "x25519" or "hybrid"
	File      string `json:"file"`
	Encrypted bool   `json:"encrypted"`
}

func (f *keysNewFlags) run(ctx context.Context, u *ui) error {
	toFile, err := f.check(u)
	if err != nil {
		return err
	}
	made := madeKey{Kind: "x25519", File: f.output, Encrypted: f.encrypted()}
	if f.postQuantum {
		made.Kind = "hybrid"
	}
	key, err := generate(f.postQuantum)
	if err != nil {
		return err
	}
	made.Recipient = key.Recipients()[0]
	data := key.Text()
	if made.Encrypted {
		if data, err = f.seal(ctx, u, key); err != nil {
			return err
		}
	}
	if !toFile {
		if _, err := u.out.Write(data); err != nil {
			return err
		}
		if !u.quiet {
			fmt.Fprintf(u.err, "public key: %s\n", made.Recipient)
		}
		return nil
	}
	if err := createSecret(f.output, data); err != nil {
		return err
	}
	return u.answer(made, func(w io.Writer) { fmt.Fprintln(w, made.Recipient) })
}

func (f *keysNewFlags) encrypted() bool { return f.encrypt || f.passphraseFile != "" }

// check refuses a place for the key before one is made. It reports whether
// that is a file.
func (f *keysNewFlags) check(u *ui) (toFile bool, err error) {
	if f.output == "" || f.output == "-" {
		switch {
		case u.json:
			return false, fault.New(fault.Usage, "mkimage keys new --json -o FILE", "--json: standard output is for the answer, expected a file for the secret key")
		case f.output == "" && !f.encrypted() && isTerminal(u.out):
			return false, fault.New(fault.Usage, "mkimage keys new -o FILE; or -o - to show it", "the secret key would be shown on the terminal")
		}
		return false, nil
	}
	if _, err := os.Lstat(f.output); err == nil {
		return false, fault.New(fault.Target, "name another file, or move that one away", "%s: exists; a key is never overwritten", f.output)
	}
	return true, checkOutput(f.output, "name a file in it")
}

// generate makes a key.
func generate(postQuantum bool) (*agekey.Key, error) {
	var id fmt.Stringer
	var err error
	if postQuantum {
		id, err = age.GenerateHybridIdentity()
	} else {
		id, err = age.GenerateX25519Identity()
	}
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return agekey.Parse([]byte(id.String()))
}

// createSecret writes a file that only its owner reads, which must not exist,
// and brings it to the disk. When that fails the file is not there.
func createSecret(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, modeSecret)
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Target, "name another file, or move that one away", "%s: exists; a key is never overwritten", name)
	}
	if err != nil {
		return fault.New(fault.Target, "", "%w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(spaceHint(err), os.Remove(name))
	}
	return syncDir(filepath.Dir(name))
}
