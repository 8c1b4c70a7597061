package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

const (
	// maxKeyFile bounds a key file in bytes, encrypted or not: a few keys.
	maxKeyFile = 1 << 20
	// maxPassphrase bounds a passphrase in bytes.
	maxPassphrase = 4096
	// shortPassphrase is the length in bytes below which a passphrase is soon
	// found by trying.
	shortPassphrase = 12
)

// passphraseFlags say where a passphrase comes from.
type passphraseFlags struct {
	passphraseFile string // "" asks on the terminal
}

func (f *passphraseFlags) define(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.passphraseFile, "passphrase-file", "", "read the passphrase of the key from the first line of `FILE`")
}

// keyFlags name a key.
type keyFlags struct {
	key string // a file, "-" for standard input
	passphraseFlags
}

func (f *keyFlags) define(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.key, "key", "", "the secret key: a `FILE` of age, encrypted with a passphrase or not; - is standard input")
	f.passphraseFlags.define(cmd)
}

// givenKey is a key as its file has it.
type givenKey struct {
	*agekey.Key
	sealed []byte // the file, when it was encrypted; else nil
}

// read reads the key, and asks for its passphrase when it is encrypted.
func (f *keyFlags) read(ctx context.Context, u *ui) (*givenKey, error) {
	if f.key == "" {
		return nil, fault.New(fault.Usage, "mkimage keys new -o FILE makes one", "--key is missing: expected the file of a secret key")
	}
	data, err := readSecret(u, f.key, maxKeyFile)
	if err != nil {
		return nil, err
	}
	given := &givenKey{}
	if agekey.IsEncrypted(data) {
		given.sealed = data
		passphrase, err := f.passphrase(ctx, u, "Passphrase of "+printable(f.key)+": ")
		if err != nil {
			return nil, err
		}
		// The kernel of a host ends this program at worst: unlike in a machine
		// that boots, memory needs no looking after.
		if data, err = agekey.Decrypt(data, passphrase, math.MaxInt64); err != nil {
			return nil, keyError(f.key, err)
		}
	}
	if given.Key, err = agekey.Parse(data); err != nil {
		return nil, keyError(f.key, err)
	}
	return given, nil
}

// keyError gives the problem of a key its class, and its hint to the user.
func keyError(name string, err error) error {
	var p *firstboot.Problem
	if errors.As(err, &p) {
		return fault.New(fault.Input, p.Hint, "%s: %w", name, p.Err)
	}
	return fault.New(fault.Input, "", "%s: %w", name, err)
}

// readSecret reads a file that holds a secret: at most so many bytes. A file
// that others can read is used with a warning.
func readSecret(u *ui, name string, limit int64) ([]byte, error) {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return nil, fault.New(fault.Input, "", "%w", err)
		}
		defer f.Close()
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		u.warn("%s: mode %#o: others can read it; chmod 600 %s", name, info.Mode().Perm(), shellWord(name))
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, fault.New(fault.Input, "", "%w", err)
	case int64(len(data)) > limit:
		return nil, fault.New(fault.Input, "", "%s: larger than %d bytes", name, limit)
	}
	return data, nil
}

// seal encrypts a key with a passphrase, which is asked for twice.
func (f *passphraseFlags) seal(ctx context.Context, u *ui, key *agekey.Key) ([]byte, error) {
	passphrase, err := f.passphrase(ctx, u, "New passphrase of the key: ", "The same again: ")
	if err != nil {
		return nil, err
	}
	if len(passphrase) < shortPassphrase {
		u.warn("the passphrase has %d bytes: whoever finds the key can try all of that length", len(passphrase))
	}
	return agekey.Encrypt(key.Text(), passphrase)
}

// passphrase returns what the file holds, or else what is typed at each of the
// prompts, which must be the same.
func (f *passphraseFlags) passphrase(ctx context.Context, u *ui, prompts ...string) ([]byte, error) {
	var first []byte
	if f.passphraseFile != "" {
		data, err := readSecret(u, f.passphraseFile, maxPassphrase)
		if err != nil {
			return nil, err
		}
		first, _, _ = bytes.Cut(data, []byte("\n"))
		first = bytes.TrimSuffix(first, []byte("\r"))
		return first, refuseEmpty(first)
	}
	u.endProgress()
	for i, prompt := range prompts {
		typed, err := askHidden(ctx, "/dev/tty", prompt)
		switch {
		case err != nil:
			return nil, err
		case i == 0:
			first = typed
		case !bytes.Equal(first, typed):
			return nil, fault.New(fault.Input, "", "the two passphrases are not the same")
		}
	}
	return first, refuseEmpty(first)
}

func refuseEmpty(passphrase []byte) error {
	if len(passphrase) == 0 {
		return fault.New(fault.Input, "", "the passphrase is empty")
	}
	return nil
}

// askHidden asks on a terminal for a line that is not shown. When ctx ends the
// terminal shows again what is typed.
func askHidden(ctx context.Context, terminal, prompt string) ([]byte, error) {
	tty, err := os.OpenFile(terminal, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fault.New(fault.Usage, "name a file that has it with --passphrase-file", "there is no terminal to ask for the passphrase on")
	}
	defer tty.Close()
	fd := int(tty.Fd()) // from here on a read cannot be ended but by typing
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", terminal, err)
	}
	hidden := *old
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG | unix.ECHONL
	hidden.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
		return nil, fmt.Errorf("%s: %w", terminal, err)
	}
	defer func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, old) }()
	if _, err := io.WriteString(tty, prompt); err != nil {
		return nil, fmt.Errorf("%s: %w", terminal, err)
	}
	type typed struct {
		line []byte
		err  error
	}
	// The reader has a descriptor of its own: it may outlive this function.
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", terminal, err)
	}
	done := make(chan typed, 1)
	go func() {
		f := os.NewFile(uintptr(own), terminal)
		defer f.Close()
		line, err := readLine(f)
		done <- typed{line, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case t := <-done:
		return t.line, t.err
	}
}

// readLine reads up to a newline, and nothing behind it.
func readLine(r io.Reader) ([]byte, error) {
	var line []byte
	for b := make([]byte, 1); len(line) <= maxPassphrase; {
		switch _, err := io.ReadFull(r, b); {
		case errors.Is(err, io.EOF):
			return nil, fault.New(fault.Input, "", "no passphrase was typed")
		case err != nil:
			return nil, err
		case b[0] == '\n':
			return line, nil
		}
		line = append(line, b[0])
	}
	return nil, fault.New(fault.Input, "", "the passphrase is longer than %d bytes", maxPassphrase)
}
