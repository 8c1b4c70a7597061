// Package agekeytest makes keys for tests.
package agekeytest

import (
	"bytes"
	"testing"

	"filippo.io/age"
)

// Encrypted encrypts the text of a key file as age -p does, but so that a
// passphrase takes no time to try.
func Encrypted(t testing.TB, text, passphrase string) []byte {
	t.Helper()
	r, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	r.SetWorkFactor(2)
	var b bytes.Buffer
	w, err := age.Encrypt(&b, r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
