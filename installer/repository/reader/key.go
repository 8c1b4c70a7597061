package reader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"

	"golang.org/x/crypto/scrypt"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Limits of a key. restic chooses parameters of at most 60 MiB that take half a
// second. It tries the first 20 keys that it comes by, in no order, so that the right
// one may be any.
const (
	maxKeys      = 1000      // that are tried
	maxKeyMemory = 256 << 20 // bytes: 128·N·r
	maxKeyWork   = 4 << 30   // 128·N·r·p: some ten seconds
	saltSize     = 64
)

// key is a file of keys/: the repository's keys, encrypted by a password.
type key struct {
	KDF  string `json:"kdf"`
	N    int64  `json:"N"`
	R    int64  `json:"r"`
	P    int64  `json:"p"`
	Salt []byte `json:"salt"`
	Data []byte `json:"data"`
}

// decodeKey reads a key whose password can be tried.
func decodeKey(text []byte) (*key, error) {
	var k key
	if err := json.Unmarshal(text, &k); err != nil {
		return nil, err
	}
	switch {
	case k.KDF != "scrypt":
		return nil, fmt.Errorf("kdf %.20q, expected scrypt", k.KDF)
	case len(k.Salt) != saltSize:
		return nil, fmt.Errorf("salt of %d bytes, expected %d", len(k.Salt), saltSize)
	case k.N < 2 || k.N&(k.N-1) != 0:
		return nil, fmt.Errorf("scrypt: N %d, expected a power of two", k.N)
	case k.R < 1 || k.P < 1:
		return nil, fmt.Errorf("scrypt: r %d, p %d: expected at least 1", k.R, k.P)
	case k.N > maxKeyMemory/128/k.R:
		return nil, fmt.Errorf("scrypt: N %d, r %d: takes more than %d bytes", k.N, k.R, maxKeyMemory)
	case k.P > maxKeyWork/128/k.R/k.N:
		return nil, fmt.Errorf("scrypt: N %d, r %d, p %d: takes more than 128·N·r·p = %d", k.N, k.R, k.P, maxKeyWork)
	}
	return &k, nil
}

// open returns the repository's keys. errMAC says that the password is another
// one.
func (k *key) open(password []byte) (*sealer, error) {
	b, err := scrypt.Key(password, k.Salt, int(k.N), int(k.R), int(k.P), 64)
	if err != nil {
		return nil, err
	}
	user, err := newSealer(b[:32], b[32:48], b[48:])
	if err != nil {
		return nil, err
	}
	text, err := user.open(k.Data)
	if err != nil {
		return nil, err
	}
	return decodeMaster(text)
}

// decodeMaster reads the keys that the data of a key holds.
func decodeMaster(text []byte) (*sealer, error) {
	var m struct {
		MAC struct {
			K []byte `json:"k"`
			R []byte `json:"r"`
		} `json:"mac"`
		Encrypt []byte `json:"encrypt"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	return newSealer(m.Encrypt, m.MAC.K, m.MAC.R)
}

// unlock tries a password on all keys, up to maxKeys. That one is damaged matters only if no
// other one is opened, and then it is not said that the password is wrong.
func (r *Repository) unlock(ctx context.Context, password []byte) (*sealer, error) {
	ids, err := r.list("keys")
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, damaged("keys", "has no key")
	}
	var broken error
	for _, id := range ids[:min(len(ids), maxKeys)] {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		s, err := r.try(id, password)
		if err == nil {
			return s, nil
		}
		if broken == nil && !errors.Is(err, errMAC) {
			broken = err
		}
	}
	if broken != nil {
		return nil, broken
	}
	if len(ids) > maxKeys {
		return nil, firstboot.NewProblem(firstboot.CodePassword, "", "keys: none of the first %d of %d is opened by the password", maxKeys, len(ids))
	}
	return nil, firstboot.NewProblem(firstboot.CodePassword, "", "keys: none of %d is opened by the password", len(ids))
}

// try opens a key by a password.
func (r *Repository) try(id ID, password []byte) (*sealer, error) {
	text, err := r.named("keys", id, maxSmall)
	if err != nil {
		return nil, err
	}
	var s *sealer
	k, err := decodeKey(text)
	if err == nil {
		s, err = k.open(password)
	}
	if err != nil {
		return nil, damaged(path.Join("keys", id.String()), "%w", err)
	}
	return s, nil
}
