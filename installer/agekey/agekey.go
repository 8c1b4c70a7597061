// Package agekey reads, checks, encrypts and installs the key of age that opens
// a machine's secrets.
//
// Nothing of a secret key gets into an error's text or, by mistake, into a log:
// a Key prints its public keys.
//
// What it does not do: it looks for no key and asks nobody for a passphrase.
package agekey

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Key is one or more identities of age, of the kinds X25519 and, safe from
// quantum computers, ML-KEM-768 with X25519.
type Key struct {
	identities []identity // no two with the same public key
}

// identity is a secret key and what is known of it. The secret is behind a
// function: package fmt follows pointers in fields that are not exported, under
// verbs that do not fit, and a function has nothing to follow.
type identity struct {
	secret    func() secret
	recipient string // public key
}

// secret is a secret key. Its String is what a key file has.
type secret interface {
	age.Identity
	fmt.Stringer
}

// newIdentity hides a secret key.
func newIdentity(s secret, recipient fmt.Stringer) identity {
	return identity{func() secret { return s }, recipient.String()}
}

// Recipients returns the public keys, in the order of the identities.
func (k *Key) Recipients() []string {
	var list []string
	for _, i := range k.identities {
		list = append(list, i.recipient)
	}
	return list
}

// Identities returns what decrypts.
func (k *Key) Identities() []age.Identity {
	var list []age.Identity
	for _, i := range k.identities {
		list = append(list, i.secret())
	}
	return list
}

// Opens reports whether one of these public keys is the key's.
func (k *Key) Opens(recipients []string) bool {
	return slices.ContainsFunc(k.identities, func(i identity) bool {
		return slices.Contains(recipients, i.recipient)
	})
}

// has reports whether k can do all that other can.
func (k *Key) has(other *Key) bool {
	for _, i := range other.identities {
		if !k.Opens([]string{i.recipient}) {
			return false
		}
	}
	return true
}

// Text returns the key as a file for age and sops.
func (k *Key) Text() []byte {
	var b []byte
	for _, i := range k.identities {
		b = fmt.Appendf(b, "# public key: %s\n%s\n", i.recipient, i.secret())
	}
	return b
}

// Format implements fmt.Formatter: under every verb a key is its public keys.
func (k Key) Format(f fmt.State, verb rune) {
	io.WriteString(f, "key of age "+names(k.Recipients()))
}

// maxName is the length of a public key that a message has in full; that of an
// ML-KEM key is 1959.
const maxName = 80

// names returns public keys for people.
func names(recipients []string) string {
	short := slices.Clone(recipients)
	for i, r := range short {
		if len(r) > maxName {
			short[i] = r[:24] + "…" + r[len(r)-8:]
		}
	}
	return strings.Join(short, ", ")
}

// Check returns a *firstboot.Problem with CodeOtherKey unless k has one of
// these public keys, any of which opens the secrets.
func Check(k *Key, recipients []string) error {
	if k.Opens(recipients) {
		return nil
	}
	return firstboot.NewProblem(firstboot.CodeOtherKey,
		"use the key of which the secrets' .sops.yaml has the public key; age-keygen -y FILE shows that of a key",
		"key of age: it is %s, the secrets need %s", names(k.Recipients()), names(recipients))
}
