package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/verify"
	"github.com/6FaNcY9/mkimage/installer/signature"
)

// signedBy says who signed a manifest.
type signedBy struct {
	Manifest string `json:"manifest"`
	KeyID    string `json:"key_id"`
	Comment  string `json:"trusted_comment"`
}

// text prints it; nil is of a manifest whose signature was not asked for.
func (s *signedBy) text(w io.Writer) {
	if s != nil {
		comment := strings.ReplaceAll(s.Comment, "\t", "  ") // which minisign puts between its parts
		fmt.Fprintf(w, "%s: signed with key %s\n  comment: %s\n", printable(s.Manifest), s.KeyID, printable(comment))
	}
}

// signedReport is a report, and who signed the manifest that it relies on.
type signedReport struct {
	*verify.Report
	Signature *signedBy `json:"signature,omitempty"`
}

// readSigned reads the manifest that was asked for, or the one beside the
// image, once its signature is verified: the bytes that were signed are those
// that are used.
func (f *verifyFlags) readSigned(image string) (*manifest.Manifest, *signedBy, error) {
	key, err := publicKey(f.key)
	if err != nil {
		return nil, nil, err
	}
	name := f.manifest
	if name == "" {
		name = image + manifest.Suffix
	}
	sig, err := readWhole(name+signature.Suffix, signature.MaxSignature)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fault.New(fault.Input, "mkimage sign "+shellWord(name)+" --key SECRETKEY; without --key it is not asked for",
			"%s: no signature: %s%s is missing", name, name, signature.Suffix)
	}
	if err != nil {
		return nil, nil, err
	}
	data, err := readWhole(name, manifest.MaxSize)
	if err != nil {
		return nil, nil, err
	}
	comment, err := signature.Verify(key, data, sig)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	m, err := manifest.Decode(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, &signedBy{name, key.ID(), comment}, nil
}

// publicKey reads a public key from its line, or from the file of that name.
func publicKey(word string) (signature.Key, error) {
	if key, err := signature.ParsePublic([]byte(word)); err == nil {
		return key, nil
	}
	data, err := readWhole(word, signature.MaxKey)
	if errors.Is(err, fs.ErrNotExist) {
		return signature.Key{}, fault.New(fault.Input, "", "--key %s: neither a public key nor a file", word)
	}
	if err != nil {
		return signature.Key{}, err
	}
	key, err := signature.ParsePublic(data)
	if err != nil {
		return key, fmt.Errorf("%s: %w", word, err)
	}
	return key, nil
}
