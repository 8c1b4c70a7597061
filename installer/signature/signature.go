// Package signature signs files, manifests above all, and verifies them with a
// public key, in the format of the program minisign
// (https://jedisct1.github.io/minisign/): what one signs the other verifies.
//
// Both kinds of signature are verified, the one over the file's BLAKE2b-512
// ("ED", which alone is made) and the legacy one over the file itself ("Ed").
// The cryptography is that of a library; here are the limits on what is read
// and an error for each thing that can be wrong with it.
//
// The package reads no file and asks for no passphrase. No error holds
// anything of a secret key.
package signature

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"aead.dev/minisign"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Suffix is what the name of a signature ends in, after the name of its file.
const Suffix = ".minisig"

// Limits of what is read, in bytes. minisign itself writes comments of up to
// 1024 and trusted ones of up to 8192 bytes.
const (
	// MaxKey bounds the file of a key, public or secret.
	MaxKey = 4096
	// MaxSignature bounds a signature.
	MaxSignature = 16384
	// MaxComment bounds a trusted comment.
	MaxComment = 8192
)

// Why a signature is not accepted. Errors of Verify hold one of them.
var (
	// ErrMalformed is of what is no signature at all, or none that is known.
	ErrMalformed = errors.New("malformed signature")
	// ErrOtherKey is of a signature that was made with another key.
	ErrOtherKey = errors.New("signed with another key")
	// ErrChanged is of a signature that does not belong to the content.
	ErrChanged = errors.New("the content or the signature was changed after signing")
)

// Key is a public key. The zero value is none and verifies nothing.
type Key struct {
	key minisign.PublicKey
	set bool
}

// ID returns the number of the key as minisign prints it, in hexadecimal
// digits. It tells keys apart, and proves nothing.
func (k Key) ID() string { return formatID(k.key.ID()) }

// String returns the key in one line, as minisign takes it with -P.
func (k Key) String() string { return k.key.String() }

// Text returns the content of a key's file, as minisign writes it.
func (k Key) Text() []byte {
	return fmt.Appendf(nil, "untrusted comment: minisign public key %s\n%s\n", k.ID(), k)
}

// Equal reports whether both are the same key.
func (k Key) Equal(o Key) bool { return k.set == o.set && k.key.Equal(o.key) }

func formatID(id uint64) string { return fmt.Sprintf("%X", id) }

// ParsePublic reads a public key: the content of its file, or its line alone.
// Errors have class fault.Input.
func ParsePublic(text []byte) (Key, error) {
	malformed := func(format string, args ...any) (Key, error) {
		return Key{}, fault.New(fault.Input, "the .pub file of minisign or mkimage sign --generate has it", "public key: "+format, args...)
	}
	if len(text) > MaxKey {
		return malformed("more than %d bytes", MaxKey)
	}
	if secretKind(text) != kindNone {
		return malformed("this is a secret key, expected the public one")
	}
	var k minisign.PublicKey
	if err := k.UnmarshalText(text); err != nil {
		return malformed("%w", plain(err))
	}
	return Key{key: k, set: true}, nil
}

// plain is an error of the library without its name, and without its base64
// offsets, which nobody can use.
func plain(err error) error {
	var corrupt base64.CorruptInputError
	if errors.As(err, &corrupt) || strings.Contains(err.Error(), "illegal base64") {
		return errors.New("not base64, or more behind it")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "minisign: "))
}

// Verify checks that the owner of a key signed a message, and returns the
// comment that is signed with it. Errors hold ErrMalformed (class
// fault.Input), ErrOtherKey or ErrChanged (class fault.Mismatch).
func Verify(public Key, message, sig []byte) (trustedComment string, err error) {
	s, err := parse(sig)
	if err != nil {
		return "", err
	}
	switch {
	case !public.set:
		return "", fault.New(fault.Input, "", "no public key to verify with")
	case s.KeyID != public.key.ID():
		return "", fault.New(fault.Mismatch, "name the public key of whoever signed it, or have it signed with yours", "%w: %s, expected %s",
			ErrOtherKey, formatID(s.KeyID), public.ID())
	case !minisign.Verify(public.key, message, sig):
		return "", fault.New(fault.Mismatch, "take both from their origin again; do not use them", "%w", ErrChanged)
	}
	return s.TrustedComment, nil
}

// IsSignature reports whether the content of a file is a signature, of whatever.
func IsSignature(text []byte) bool {
	_, err := parse(text)
	return err == nil
}

// parse reads a signature, of which nothing is verified yet.
func parse(sig []byte) (*minisign.Signature, error) {
	var s minisign.Signature
	if len(sig) > MaxSignature {
		return nil, malformed("more than %d bytes", MaxSignature)
	}
	if err := s.UnmarshalText(sig); err != nil {
		text := plain(err).Error()
		if text == "invalid signature" {
			text = "expected two comments, each with a line behind it"
		}
		return nil, malformed("%s", strings.TrimPrefix(text, "invalid signature: "))
	}
	if len(s.TrustedComment) > MaxComment {
		return nil, malformed("a trusted comment of %d bytes, expected %d at most", len(s.TrustedComment), MaxComment)
	}
	return &s, nil
}

func malformed(format string, args ...any) error {
	return fault.New(fault.Input, "", "%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// CheckComment refuses a trusted comment that a signature cannot hold, or that
// would not be shown as it is. Errors have class fault.Usage.
func CheckComment(text string) error {
	switch {
	case len(text) > MaxComment:
		return fault.New(fault.Usage, "", "comment: %d bytes, expected %d at most", len(text), MaxComment)
	case !utf8.ValidString(text):
		return fault.New(fault.Usage, "", "comment: expected UTF-8")
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return fault.New(fault.Usage, "", "comment: expected one line without control characters")
	}
	return nil
}

// kind is what the content of a file is, as far as secret keys are concerned.
type kind int

const (
	kindNone kind = iota // no secret key
	kindPlain
	kindEncrypted
)

// Layout of a secret key: the algorithm of signatures, of the derivation from a
// passphrase ("Sc", or zeros where there is none), of the checksum; salt and
// cost, then the key.
const (
	secretSize = 158
	derivation = 2 // offset
	scrypt     = 'S' | 'c'<<8
)

// secretKind looks whether a file is that of a secret key.
func secretKind(text []byte) kind {
	first, rest, found := strings.Cut(string(text), "\n")
	if !found || !strings.HasPrefix(first, "untrusted comment: ") {
		rest = first
	}
	raw, err := base64.StdEncoding.DecodeString(rest)
	if err != nil || len(raw) != secretSize {
		return kindNone
	}
	if binary.LittleEndian.Uint16(raw[derivation:]) == scrypt {
		return kindEncrypted
	}
	return kindPlain
}
