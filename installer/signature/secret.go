package signature

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"aead.dev/minisign"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Secret is a secret key. Printed it shows nothing but the number of the key.
type Secret struct{ key minisign.PrivateKey }

// Format implements fmt.Formatter, so that no verb shows the key.
func (s *Secret) Format(f fmt.State, _ rune) {
	if s == nil {
		_, _ = io.WriteString(f, "no secret key")
		return
	}
	_, _ = io.WriteString(f, "secret key "+formatID(s.key.ID()))
}

// Generate makes a key.
func Generate() (*Secret, error) {
	_, key, err := minisign.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return &Secret{key}, nil
}

// IsEncrypted reports whether the content of a file is a secret key that a
// passphrase opens.
func IsEncrypted(text []byte) bool { return len(text) <= MaxKey && secretKind(text) == kindEncrypted }

// ParseSecret reads a secret key. The passphrase is that of an encrypted one;
// trying it takes 1 GiB of memory and some seconds, as minisign chose it. Errors
// have class fault.Input.
func ParseSecret(text, passphrase []byte) (*Secret, error) {
	if len(text) > MaxKey {
		return nil, fault.New(fault.Input, "", "secret key: more than %d bytes", MaxKey)
	}
	s := &Secret{}
	var err error
	switch secretKind(text) {
	case kindEncrypted:
		s.key, err = minisign.DecryptKey(string(passphrase), text)
		if err != nil { // of a wrong passphrase, and of a file that asks for too much
			return nil, fault.New(fault.Input, "", "secret key: the passphrase does not open it, or it is damaged")
		}
	case kindPlain:
		err = s.key.UnmarshalText(text)
		if err != nil {
			return nil, fault.New(fault.Input, "", "secret key: %w", plain(err))
		}
	default:
		hint := ""
		if _, err := ParsePublic(text); err == nil {
			hint = "this is the public key; the secret one is in the .key file"
		}
		return nil, fault.New(fault.Input, hint, "secret key: not one of minisign")
	}
	// A key whose halves do not belong together makes signatures that nobody
	// verifies and that betray it.
	if _, err := s.Sign(nil, ""); err != nil {
		return nil, fault.New(fault.Input, "", "secret key: damaged: its halves do not belong together")
	}
	return s, nil
}

// Public returns the public key that belongs to it.
func (s *Secret) Public() Key {
	public, ok := s.key.Public().(minisign.PublicKey)
	return Key{key: public, set: ok}
}

// Encrypt returns the content of a file that the passphrase opens, as minisign
// writes it. It takes 1 GiB of memory and some seconds.
func (s *Secret) Encrypt(passphrase []byte) ([]byte, error) {
	text, err := minisign.EncryptKey(string(passphrase), s.key)
	if err != nil {
		return nil, fmt.Errorf("encrypt the key: %w", err)
	}
	return append(text, '\n'), nil
}

// Plain returns the content of a file that everybody can use who reads it, as
// minisign -W writes it.
func (s *Secret) Plain() ([]byte, error) {
	text, err := s.key.MarshalText()
	if err != nil {
		return nil, errors.New("encode the key") // the library's words are not known
	}
	return append(text, '\n'), nil
}

// Sign signs a message together with a comment, and verifies what it made.
func (s *Secret) Sign(message []byte, trustedComment string) ([]byte, error) {
	if err := CheckComment(trustedComment); err != nil {
		return nil, err
	}
	hashed := minisign.NewReader(bytes.NewReader(message))
	if _, err := io.Copy(io.Discard, hashed); err != nil {
		return nil, err
	}
	sig := hashed.SignWithComments(s.key, trustedComment, "signature of minisign key "+s.Public().ID())
	if _, err := Verify(s.Public(), message, sig); err != nil {
		return nil, fmt.Errorf("signature that was just made: %w", err)
	}
	return sig, nil
}
