package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/installer/signature"
)

// signFlags are those of sign.
type signFlags struct {
	key      string // the secret key's file; "-" is standard input
	output   string // "" is the file's name with a suffix
	comment  string // "" is made from time and name
	generate string // the name of a new key; "" makes none
	open     bool   // the new key is not encrypted
	passphraseFlags
}

// newSign makes the command that signs, and makes the keys to sign with.
func newSign(u *ui) *cobra.Command {
	var f signFlags
	cmd := &cobra.Command{
		Use:   "sign FILE",
		Short: "sign the manifest of an image, or another file",
		Long: `sign makes a signature in the format of minisign: FILE.minisig, which minisign -V
verifies too. Of an image the manifest is signed, IMAGE.manifest.json, which holds the
digest of every MiB: mkimage verify IMAGE --key PUBKEY then checks the signature before
it believes the manifest.

--generate NAME makes a key instead: NAME.key, the secret half, encrypted with a
passphrase, for the owner alone to read, and NAME.pub, which everybody may have who
verifies. Neither is ever written over a file that is there. Opening the key takes
1 GiB of memory, so that trying passphrases is slow.

The passphrase is asked for on the terminal and not shown, or comes from the first
line of --passphrase-file. Signatures hold the time, which SOURCE_DATE_EPOCH sets,
and the name of the file in a comment that is signed as well; --comment replaces it.`,
		Example: `  mkimage sign --generate fox
  mkimage sign fox.img.manifest.json --key fox.key
  mkimage verify fox.img --key fox.pub
  minisign -Vm fox.img.manifest.json -p fox.pub`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.generate != "" {
				return takes(0, 0)(cmd, args)
			}
			return takes(1, 1)(cmd, args)
		},
		Annotations: exits(fault.Input, fault.Target),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.generate != "" {
				return f.runGenerate(cmd.Context(), u)
			}
			return f.run(cmd.Context(), u, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.key, "key", "", "sign with the secret key in `FILE`; - is standard input")
	flags.StringVarP(&f.output, "output", "o", "", "write the signature to `FILE`; default: the file's name with "+signature.Suffix)
	flags.StringVar(&f.comment, "comment", "", "`text` that is signed with the file, one line; default: time and name")
	flags.StringVar(&f.generate, "generate", "", "make the key `NAME`.key and NAME.pub")
	flags.BoolVar(&f.open, "no-passphrase", false, "do not encrypt the new key: who reads the file can sign")
	f.define(cmd)
	return cmd
}

// signedFile is what sign says.
type signedFile struct {
	File      string `json:"file"`
	Signature string `json:"signature"`
	KeyID     string `json:"key_id"`
	Comment   string `json:"trusted_comment"`
}

func (f *signFlags) run(ctx context.Context, u *ui, name string) error {
	if f.open {
		return fault.New(fault.Usage, "", "--no-passphrase: is for --generate; a key's file says itself whether it is encrypted")
	}
	made := signedFile{File: name, Signature: f.output}
	if made.Signature == "" {
		made.Signature = name + signature.Suffix
	}
	if err := checkSignature(made.Signature); err != nil {
		return err
	}
	message, err := toSign(name)
	if err != nil {
		return err
	}
	if made.Comment, err = f.trustedComment(name, os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		return err
	}
	key, err := f.secret(ctx, u)
	if err != nil {
		return err
	}
	made.KeyID = key.Public().ID()
	sig, err := key.Sign(message, made.Comment)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := replaceFile(made.Signature, sig); err != nil {
		return err
	}
	return u.summary(made, func(w io.Writer) {
		fmt.Fprintf(w, "%s: signed with key %s\n", printable(made.Signature), made.KeyID)
	})
}

// checkSignature refuses a name that a signature cannot have. Only an older
// signature is replaced: another file of that name may be a key.
func checkSignature(name string) error {
	if err := checkOutput(name, "name a file in it"); err != nil || !isThere(name) {
		return err
	}
	if data, err := readWhole(name, signature.MaxSignature); err != nil || !signature.IsSignature(data) {
		return fault.New(fault.Target, "remove it, or name another output", "%s: exists and is no signature", name)
	}
	return nil
}

// toSign reads what is to be signed. A manifest must be one: nobody could use
// a signature of anything else under that name.
func toSign(name string) ([]byte, error) {
	if isThere(name + manifest.Suffix) {
		return nil, fault.New(fault.Usage, "mkimage sign "+shellWord(name+manifest.Suffix), "%s: is an image; its manifest is signed, which holds its digests", name)
	}
	data, err := readWhole(name, manifest.MaxSize)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(name, manifest.Suffix) {
		if _, err := manifest.Decode(data); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return data, nil
}

// readWhole reads a file of at most so many bytes.
func readWhole(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, fault.New(fault.Input, "", "%w", err)
	case int64(len(data)) > limit:
		return nil, fault.New(fault.Input, "", "%s: larger than %d bytes", name, limit)
	}
	return data, nil
}

// trustedComment returns what is signed beside the file, in the form that
// minisign gives it.
func (f *signFlags) trustedComment(name, epoch string) (string, error) {
	if f.comment != "" {
		return f.comment, signature.CheckComment(f.comment)
	}
	at, err := parseTimestamp("", epoch)
	if err != nil {
		return "", err
	}
	if at.IsZero() {
		at = time.Now()
	}
	return fmt.Sprintf("timestamp:%d\tfile:%s\thashed", at.Unix(), printable(filepath.Base(name))), nil
}

// secret reads the secret key, and asks for its passphrase when it is encrypted.
func (f *signFlags) secret(ctx context.Context, u *ui) (*signature.Secret, error) {
	if f.key == "" {
		return nil, fault.New(fault.Usage, "mkimage sign --generate NAME makes one", "--key is missing: expected the file of a secret key")
	}
	data, err := readSecret(u, f.key, signature.MaxKey)
	if err != nil {
		return nil, err
	}
	var passphrase []byte
	if signature.IsEncrypted(data) {
		if passphrase, err = f.passphrase(ctx, u, "Passphrase of "+printable(f.key)+": "); err != nil {
			return nil, err
		}
	}
	key, err := signature.ParseSecret(data, passphrase)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.key, err)
	}
	return key, nil
}

// replaceFile writes a file that everybody may read, which takes the place of an
// older one when it is complete.
func replaceFile(name string, data []byte) error {
	out, err := createOutput(name, int64(len(data)), modePlain)
	if err != nil {
		return err
	}
	if _, err := out.WriteAt(data, 0); err != nil {
		return errors.Join(err, out.discard())
	}
	return out.publish(int64(len(data)))
}

// isThere reports whether a name is taken, by whatever.
func isThere(name string) bool {
	_, err := os.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}
