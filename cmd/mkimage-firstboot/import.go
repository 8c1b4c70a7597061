package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// tries is how often a passphrase may be wrong.
const tries = 3

// maxKeyFile bounds what is read as a key, in bytes: agekey takes less.
const maxKeyFile = 1 << 20

func newImport(s *system) *cobra.Command {
	var medium bool
	cmd := &cobra.Command{
		Use:   "import [FILE]",
		Short: "take in the age key, then go on with what waits for it",
		Long: `import reads the age key of this system's secrets from FILE, "-" for the input.
Without FILE it looks for it where the boot does: on a key medium (a partition of
the label MKIMAGE-KEYS), then, encrypted, on the ESP; when there is none it asks
for the key itself. An encrypted key needs its passphrase, which is asked for.

A key that opens none of the secrets is refused. One that is in place already and
differs is kept beside it. Afterwards the secrets are decrypted and the restore of
the backup is started, without a reboot.`,
		Example: `  mkimage-firstboot import
  mkimage-firstboot import /mnt/age-key.txt.age
  ssh other cat age-key.txt | mkimage-firstboot import -`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.keyConfig()
			if err != nil {
				return err
			}
			var found keyText
			switch {
			case medium:
				found, err = s.fromMedium()
			case len(args) == 1:
				found, err = s.fromFile(args[0])
			default:
				found, err = s.search(&c)
			}
			return s.importKey(cmd.Context(), &c, found, err, medium)
		},
	}
	cmd.Flags().BoolVar(&medium, "medium", false, "from a key medium only, asking nothing")
	return cmd
}

// keyConfig is the configuration of a system that needs a key.
func (s *system) keyConfig() (firstboot.Config, error) {
	c, err := s.config()
	if err == nil && c.Age == nil {
		err = firstboot.NewProblem(firstboot.CodeNotYet, "nothing is to be imported", "this system has no secrets that a key opens")
	}
	return c, err
}

// keyText is what was found as a key.
type keyText struct {
	text  []byte
	where string // for messages
	ask   bool   // a person can be asked for a passphrase
}

// importKey puts a key that was found into its place, and goes on with what
// waits for it. Unasked, as for a medium that is there at each boot, nothing is done for
// a key that was in its place: what it opens is open, and would be gone while it is
// opened again.
func (s *system) importKey(ctx context.Context, c *firstboot.Config, found keyText, err error, unasked bool) error {
	message, outcome := "", agekey.Installed
	if err == nil {
		message, outcome, err = s.install(c, found)
	}
	if err = s.record(c, firstboot.StepKey, err, message); err != nil {
		return err
	}
	fmt.Fprintln(s.out, message)
	if unasked && outcome == agekey.Kept {
		return nil
	}
	return s.goOn(ctx, c)
}

// install checks a key and puts it into its place. It returns what it has done, for a
// message too.
func (s *system) install(c *firstboot.Config, found keyText) (string, agekey.Outcome, error) {
	text, err := s.decrypted(found)
	if err != nil {
		return "", 0, err
	}
	key, err := agekey.Parse(text)
	if err == nil {
		err = agekey.Check(key, c.Age.Recipients)
	}
	if err != nil {
		return "", 0, firstboot.Located(found.where, err)
	}
	outcome, err := agekey.Install(s.files(), c.Age.Path, key, time.Now())
	if err != nil {
		return "", 0, err
	}
	return fmt.Sprintf("age key from %s: %s as %s", found.where, outcome, c.Age.Path), outcome, nil
}

// decrypted returns the text of a key, asking for a passphrase where it needs
// one.
func (s *system) decrypted(found keyText) ([]byte, error) {
	if !agekey.IsEncrypted(found.text) {
		return found.text, nil
	}
	if !found.ask {
		return nil, firstboot.NewProblem(firstboot.CodeNoKey, "mkimage-firstboot import", "age key on %s: needs its passphrase", found.where)
	}
	var last error
	for range tries {
		passphrase, err := s.askSecret("Passphrase of the age key on " + found.where + ": ")
		if err != nil {
			return nil, err
		}
		memory, err := availableMemory(s.root)
		if err != nil {
			return nil, err
		}
		text, err := agekey.Decrypt(found.text, passphrase, memory)
		clear(passphrase)
		if firstboot.CodeOf(err) != firstboot.CodePassphrase {
			return text, err
		}
		fmt.Fprintf(s.err, "mkimage-firstboot: %v\n", err)
		last = err
	}
	return nil, last
}

// fromFile reads a file, or the input.
func (s *system) fromFile(name string) (keyText, error) {
	if name == "-" {
		// Who writes into a pipe is not there to be asked.
		text, err := readKey(s.in)
		return keyText{text: text, where: "the input"}, err
	}
	f, err := os.Open(name)
	if err != nil {
		return keyText{}, err
	}
	defer f.Close()
	text, err := readKey(f)
	return keyText{text: text, where: name, ask: true}, err
}

func readKey(from io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxKeyFile+1))
	if err == nil && len(text) > maxKeyFile {
		err = firstboot.NewProblem(firstboot.CodeBadKey, "", "larger than %d bytes, expected a key of age", maxKeyFile)
	}
	return text, err
}

// search looks where the boot does, and asks for the key in the end.
func (s *system) search(c *firstboot.Config) (keyText, error) {
	for _, look := range []func() (keyText, error){s.fromMedium, func() (keyText, error) { return s.fromESP(c) }} {
		found, err := look()
		if err == nil {
			found.ask = true
			return found, nil
		}
		if firstboot.CodeOf(err) != firstboot.CodeNoKey {
			return keyText{}, err
		}
		fmt.Fprintf(s.err, "mkimage-firstboot: %v\n", err)
	}
	line, err := s.askSecret("Age key (AGE-SECRET-KEY-1...): ")
	if err == nil && len(bytes.TrimSpace(line)) == 0 {
		err = firstboot.NewProblem(firstboot.CodeNoKey, "plug in the key medium, or name a file: mkimage-firstboot import FILE", "no key was given")
	}
	return keyText{text: line, where: "the keyboard"}, err
}

// goOn starts what waits for the key. NixOS decrypts its secrets when it is
// activated, or by a unit of sops-nix.
func (s *system) goOn(ctx context.Context, c *firstboot.Config) error {
	if s.systemctl == nil {
		return nil
	}
	var errs []error
	switch {
	case c.NixOS:
		errs = append(errs, s.activate(ctx))
	case len(c.Secrets) > 0:
		errs = append(errs, s.systemctl(ctx, "restart", "mkimage-secrets.service"))
	}
	if c.Restore != nil && s.has(firstboot.DevicePath(c.Restore.Disk)) {
		errs = append(errs, s.systemctl(ctx, "start", "--no-block", "mkimage-restore.service"))
	}
	return errors.Join(errs...)
}
