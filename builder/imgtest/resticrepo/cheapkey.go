// Package resticrepo changes repositories of restic for tests. It makes none:
// that is restic's own.
//
// The format is that of restic's doc/design.rst, version 1 and 2, "Keys,
// Encryption and MAC".
package resticrepo

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/crypto/scrypt"
)

// The least that scrypt takes.
const cheapN, cheapR, cheapP = 2, 1, 1

const (
	nonceSize = aes.BlockSize
	macSize   = 16
)

// keyFile is a file of keys/, named by the SHA-256 of its bytes.
type keyFile struct {
	Created  string `json:"created"`
	Username string `json:"username"`
	Hostname string `json:"hostname"`
	KDF      string `json:"kdf"`
	N        int    `json:"N"`
	R        int    `json:"r"`
	P        int    `json:"p"`
	Salt     []byte `json:"salt"`
	Data     []byte `json:"data"` // nonce, encrypted keys, MAC
}

// CheapKey replaces the only key of the repository in dir by one with the same
// password and master key that costs next to nothing to open. restic chooses a
// key of half a second of a processor, which every command of every test pays.
func CheapKey(dir, password string) error {
	names, err := filepath.Glob(filepath.Join(dir, "keys", "*"))
	if err != nil {
		return err
	}
	if len(names) != 1 {
		return fmt.Errorf("repository %s: %d keys, expected one", dir, len(names))
	}
	text, err := os.ReadFile(names[0])
	if err != nil {
		return err
	}
	var k keyFile
	if err := json.Unmarshal(text, &k); err != nil {
		return fmt.Errorf("%s: %w", names[0], err)
	}
	if err := k.rewrap(password); err != nil {
		return fmt.Errorf("%s: %w", names[0], err)
	}
	if text, err = json.Marshal(k); err != nil {
		return err
	}
	if err := os.Remove(names[0]); err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	return os.WriteFile(filepath.Join(dir, "keys", hex.EncodeToString(sum[:])), text, 0o600)
}

// rewrap encrypts the data anew with a key of the least cost.
func (k *keyFile) rewrap(password string) error {
	if k.KDF != "scrypt" || len(k.Data) < nonceSize+macSize {
		return fmt.Errorf("kdf %q, %d bytes of data: expected scrypt, at least %d", k.KDF, len(k.Data), nonceSize+macSize)
	}
	nonce, sealed := k.Data[:nonceSize], k.Data[nonceSize:len(k.Data)-macSize]
	old, err := k.derive(password)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(old.mac(nonce, sealed), k.Data[len(k.Data)-macSize:]) != 1 {
		return fmt.Errorf("the password does not open it")
	}
	master := old.stream(nonce, sealed)
	k.N, k.R, k.P = cheapN, cheapR, cheapP
	cheap, err := k.derive(password)
	if err != nil {
		return err
	}
	sealed = cheap.stream(nonce, master)
	k.Data = slices.Concat(nonce, sealed, cheap.mac(nonce, sealed))
	return nil
}

// derived are the keys of a password: of AES-256 in counter mode, and the K and
// R of Poly1305-AES.
type derived struct{ encrypt, k, r []byte }

func (k *keyFile) derive(password string) (derived, error) {
	b, err := scrypt.Key([]byte(password), k.Salt, k.N, k.R, k.P, 64)
	if err != nil {
		return derived{}, err
	}
	return derived{encrypt: b[:32], k: b[32:48], r: b[48:]}, nil
}

// stream encrypts or decrypts.
func (d derived) stream(nonce, text []byte) []byte {
	out := make([]byte, len(text))
	cipher.NewCTR(block(d.encrypt), nonce).XORKeyStream(out, text)
	return out
}

func (d derived) mac(nonce, text []byte) []byte {
	s := make([]byte, macSize)
	block(d.k).Encrypt(s, nonce)
	return poly1305(d.r, s, text)
}

func block(key []byte) cipher.Block {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic("resticrepo: " + err.Error()) // all keys are as long as they must be
	}
	return b
}

// poly1305 is that of RFC 8439, section 2.5.1, slow and short: the package of
// golang.org/x/crypto is deprecated.
func poly1305(r, s, text []byte) []byte {
	clamp := [macSize]byte{0xff, 0xff, 0xff, 0x0f, 0xfc, 0xff, 0xff, 0x0f, 0xfc, 0xff, 0xff, 0x0f, 0xfc, 0xff, 0xff, 0x0f}
	for i := range clamp {
		clamp[i] &= r[i]
	}
	prime := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 130), big.NewInt(5))
	sum, factor := new(big.Int), little(clamp[:])
	for part := range slices.Chunk(text, macSize) {
		sum.Add(sum, little(append(slices.Clone(part), 1)))
		sum.Mod(sum.Mul(sum, factor), prime)
	}
	sum.Add(sum, little(s))
	out := sum.FillBytes(make([]byte, macSize+2))[2:]
	slices.Reverse(out)
	return out
}

func little(b []byte) *big.Int {
	b = slices.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}
