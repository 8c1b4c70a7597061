package narinfo

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nix-community/go-nix/pkg/narinfo/signature"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

const (
	hintKeys   = "for example: --set nix.trusted-public-keys=cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
	hintSign   = "the owner of the cache can sign it: nix store sign --store URL --key-file FILE PATH"
	hintTrust  = "to trust a key: --set nix.trusted-public-keys=NAME:BASE64, as the owner of the cache publishes it, or as nix.conf of a machine that uses the cache has it"
	hintForged = "use another cache: this one was changed, or has another key of that name than nix.trusted-public-keys"
)

// keySize and secretSize are the bytes of the two halves of an ed25519 key.
const (
	keySize    = 32
	secretSize = 64
)

// Keys are the public keys that are trusted, by name. The zero value trusts
// none.
type Keys struct {
	byName map[string]signature.PublicKey
}

// ParseKeys reads lists of NAME:BASE64 as trusted-public-keys of nix.conf has
// them, parted by white space. Of several keys of one name the first is trusted
// and the others are not, as in libstore/keys.cc of Nix. Errors are of class
// fault.Config.
func ParseKeys(text ...string) (Keys, error) {
	k := Keys{map[string]signature.PublicKey{}}
	for n, word := range strings.Fields(strings.Join(text, " ")) {
		key, err := parseKey(word)
		if err != nil {
			return Keys{}, fault.New(fault.Config, hintKeys, "trusted public key %d: %w", n+1, err)
		}
		if _, taken := k.byName[key.Name]; !taken {
			k.byName[key.Name] = key
		}
	}
	return k, nil
}

// parseKey reads NAME:BASE64. Errors have the name but never what follows it,
// which may be a secret key in the wrong place.
func parseKey(text string) (signature.PublicKey, error) {
	name, data, ok := strings.Cut(text, ":")
	if !ok && len(text) >= strictBase64.EncodedLen(keySize) {
		return signature.PublicKey{}, fmt.Errorf("%d bytes without a colon, expected NAME:BASE64", len(text))
	} else if !ok || name == "" {
		return signature.PublicKey{}, fmt.Errorf("%q, expected NAME:BASE64", name)
	}
	raw, err := strictBase64.DecodeString(data)
	switch {
	case err != nil:
		return signature.PublicKey{}, fmt.Errorf("%.300q: %w, expected NAME:BASE64 with white space behind it", name, err)
	case len(raw) == secretSize:
		return signature.PublicKey{}, fmt.Errorf("%.300q: is a secret key, expected the public one", name)
	case len(raw) != keySize:
		return signature.PublicKey{}, fmt.Errorf("%.300q: %d bytes, expected %d in base 64", name, len(raw), keySize)
	}
	return signature.PublicKey{Name: name, Data: raw}, nil
}

// AddSig adds a signature, NAME:BASE64, unless i has it. The length of a signature is not looked at: one of a
// kind that is not known here may stand beside one that is.
func (i *Info) AddSig(value string) error {
	if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) }) {
		return fmt.Errorf("%.300q: expected printable text without white space, which parts signatures in a database", value)
	}
	name, data, _ := strings.Cut(value, ":")
	raw, err := strictBase64.DecodeString(data)
	if err != nil || name == "" || len(raw) == 0 {
		return fmt.Errorf("%.300q: expected NAME:BASE64", value)
	}
	if len(i.Sigs) == maxSigs {
		return fmt.Errorf("signature %d, expected at most %d", maxSigs+1, maxSigs)
	}
	if !slices.ContainsFunc(i.Sigs, func(s signature.Signature) bool { return s.String() == value }) {
		i.Sigs = append(i.Sigs, signature.Signature{Name: name, Data: raw})
	}
	return nil
}

// Verify returns the name of the key that signed i, the first in the order of
// the file. One valid signature by a trusted key is enough. Errors are of class
// fault.Input: i is not signed, or by keys that are not trusted only, or a
// trusted key signed something else.
func (k Keys) Verify(i *Info) (by string, err error) {
	if len(i.Sigs) == 0 {
		return "", fault.New(fault.Input, hintSign, "%s: is not signed, expected a signature by a trusted key", i.Path)
	}
	fingerprint := i.Fingerprint()
	var wrong, unknown []string
	for _, sig := range i.Sigs {
		key, trusted := k.byName[sig.Name]
		switch {
		case !trusted:
			unknown = append(unknown, sig.Name)
		case key.Verify(fingerprint, sig):
			return sig.Name, nil
		default:
			wrong = append(wrong, sig.Name)
		}
	}
	if len(wrong) > 0 {
		return "", fault.New(fault.Input, hintForged, "%s: wrong signature by the trusted key %s: path, hash, size or references are not what was signed", i.Path, quote(wrong))
	}
	return "", fault.New(fault.Input, hintTrust, "%s: signed by %s only, expected a signature by a trusted key", i.Path, quote(unknown))
}

// quote returns the first few of names for an error.
func quote(names []string) string {
	const most = 4
	var b strings.Builder
	for n, name := range names[:min(len(names), most)] {
		if n > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%.100q", name)
	}
	if len(names) > most {
		fmt.Fprintf(&b, " and %d more", len(names)-most)
	}
	return b.String()
}
