// Package ids derives every identity of an image from one seed.
//
// Nothing here is random: equal seeds and equal names give equal identifiers,
// so that an image can be rebuilt to the byte, and another seed gives an image
// that shares none of them.
package ids

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Seed is the source of all identifiers of one image.
type Seed [32]byte

// Parse reads a seed from 1 to 64 hexadecimal digits. Shorter seeds are padded
// with zero digits on the right.
func Parse(text string) (Seed, error) {
	var s Seed
	padded := text
	if len(padded)%2 == 1 {
		padded += "0"
	}
	b, err := hex.DecodeString(padded)
	if err != nil || len(b) == 0 || len(b) > len(s) {
		return s, fault.New(fault.Usage, "make one with: openssl rand -hex 32",
			"seed %q: expected 1 to %d hexadecimal digits", text, 2*len(s))
	}
	copy(s[:], b)
	return s, nil
}

// String returns the seed as 64 hexadecimal digits.
func (s Seed) String() string { return hex.EncodeToString(s[:]) }

// UUID returns the identifier called name: the first 16 bytes of
// HMAC-SHA256(seed, name) in the form of a version 8 UUID (RFC 9562, 5.8).
func (s Seed) UUID(name string) UUID {
	mac := hmac.New(sha256.New, s[:])
	mac.Write([]byte(name))
	var u UUID
	copy(u[:], mac.Sum(nil))
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return u
}

// UUID is a universally unique identifier in its binary, big-endian form.
type UUID [16]byte

// String returns the usual form of 36 characters.
func (u UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// IsZero reports whether u is the nil UUID, which formats use for "none".
func (u UUID) IsZero() bool { return u == UUID{} }
