package reader

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"

	//lint:ignore SA1019 restic authenticates with Poly1305-AES; what replaces this package takes no key of that form
	"golang.org/x/crypto/poly1305"
)

// The parts of what is encrypted: a nonce, which is the IV of AES, the ciphertext, and a MAC.
const (
	nonceSize = aes.BlockSize
	macSize   = poly1305.TagSize
	overhead  = nonceSize + macSize
)

// errMAC says that something was not encrypted by a key, or changed since.
var errMAC = errors.New("its MAC is wrong")

// sealer decrypts by a key: AES-256 in counter mode and Poly1305-AES.
type sealer struct {
	stream cipher.Block // AES-256
	nonces cipher.Block // AES-128, by the key "k" of the MAC
	r      [16]byte     // of Poly1305, which clears the bits that must be
}

func newSealer(encrypt, k, r []byte) (*sealer, error) {
	if len(encrypt) != 32 || len(k) != 16 || len(r) != 16 {
		return nil, fmt.Errorf("keys of %d, %d and %d bytes, expected 32, 16 and 16", len(encrypt), len(k), len(r))
	}
	stream, err := aes.NewCipher(encrypt)
	if err != nil {
		return nil, err
	}
	nonces, err := aes.NewCipher(k)
	return &sealer{stream: stream, nonces: nonces, r: [16]byte(r)}, err
}

// open decrypts in place and returns the part that is the plaintext. Without the
// right MAC nothing is changed.
func (s *sealer) open(sealed []byte) ([]byte, error) {
	if len(sealed) < overhead {
		return nil, fmt.Errorf("%d encrypted bytes, expected at least %d", len(sealed), overhead)
	}
	nonce, text := sealed[:nonceSize], sealed[nonceSize:len(sealed)-macSize]
	if [nonceSize]byte(nonce) == [nonceSize]byte{} {
		return nil, errors.New("its nonce is zero")
	}
	var once [32]byte
	copy(once[:16], s.r[:])
	s.nonces.Encrypt(once[16:], nonce)
	mac := [macSize]byte(sealed[len(sealed)-macSize:])
	if !poly1305.Verify(&mac, text, &once) {
		return nil, errMAC
	}
	cipher.NewCTR(s.stream, nonce).XORKeyStream(text, text)
	return text, nil
}
