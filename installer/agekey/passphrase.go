package agekey

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

const (
	workFactor    = 18       // of age; 256 MiB and about a second
	maxWorkFactor = 22       // of age; 4 GiB
	blockSize     = 128 * 8  // bytes of memory that scrypt takes for each of 2^factor blocks
	spare         = 64 << 20 // bytes that the rest of the system keeps
)

// Decrypt returns the text of a key file that was encrypted with a passphrase.
// memory is how many bytes are available: the passphrase is tried only if there
// are enough, since the kernel would kill this process, which may be the first.
//
// The error is a *firstboot.Problem: CodeMemory, CodePassphrase, and CodeBadKey
// for what no passphrase opens.
func Decrypt(data, passphrase []byte, memory int64) ([]byte, error) {
	if !IsEncrypted(data) {
		return nil, bad("", "key of age: not encrypted, expected a file of age -p")
	}
	data = bytes.TrimPrefix(data, []byte(bom))
	if len(passphrase) == 0 {
		return nil, wrong("empty")
	}
	scrypt, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, wrong("refused by age")
	}
	scrypt.SetMaxWorkFactor(maxWorkFactor)
	var from io.Reader = bytes.NewReader(data)
	if isArmored(data) {
		from = armor.NewReader(from)
	}
	plain, err := age.Decrypt(from, &gate{scrypt, memory})
	if err != nil {
		return nil, undecrypted(err)
	}
	text, err := io.ReadAll(io.LimitReader(plain, maxText+1))
	if err != nil {
		return nil, damaged()
	}
	if len(text) > maxText {
		return nil, bad("", "key of age: larger than %d bytes when it is decrypted", maxText)
	}
	return text, nil
}

// undecrypted returns the problem of what age says. Its own words may have parts
// of the file, and go no further.
func undecrypted(err error) error {
	var problem *firstboot.Problem
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.Is(err, age.ErrIncorrectIdentity):
		return wrong("wrong")
	}
	return damaged()
}

func wrong(how string) error {
	return firstboot.NewProblem(firstboot.CodePassphrase, "type it again; mind the layout of the keyboard", "passphrase of the key: %s", how)
}

func damaged() error {
	return bad("copy the file again, or encrypt the key again: age -p -a key.txt", "key of age: encrypted, and damaged or cut short")
}

// gate looks at the head of a file before scrypt takes its memory.
type gate struct {
	scrypt *age.ScryptIdentity
	memory int64
}

// Unwrap implements age.Identity.
func (g *gate) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != "scrypt" {
		return nil, bad("encrypt it with age -p, or give the key unencrypted", "key of age: encrypted for a key, expected with a passphrase")
	}
	if len(stanzas[0].Args) != 2 {
		return nil, damaged()
	}
	digits := stanzas[0].Args[1]
	factor, err := strconv.Atoi(digits)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && factor > maxWorkFactor:
		return nil, bad("encrypt the key again: age -p -a key.txt", "key of age: encrypted with a work factor above %d, which nothing of age does", maxWorkFactor)
	case err != nil, factor < 1:
		return nil, damaged()
	}
	if need := int64(blockSize)<<factor + spare; g.memory < need {
		return nil, firstboot.NewProblem(firstboot.CodeMemory,
			"use the key medium unencrypted, or `mkimage-firstboot import` in the running system",
			"passphrase of the key: %d MiB of memory are needed to try it, %d MiB are available", need>>20, g.memory>>20)
	}
	return g.scrypt.Unwrap(stanzas)
}

// Encrypt returns a key file, or any text, encrypted with a passphrase as age -p
// -a does.
func Encrypt(text, passphrase []byte) ([]byte, error) {
	return encrypt(text, passphrase, workFactor)
}

func encrypt(text, passphrase []byte, factor int) ([]byte, error) {
	if len(passphrase) == 0 {
		return nil, wrong("empty")
	}
	r, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, err
	}
	r.SetWorkFactor(factor)
	var out bytes.Buffer
	armored := armor.NewWriter(&out)
	w, err := age.Encrypt(armored, r)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), armored.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
