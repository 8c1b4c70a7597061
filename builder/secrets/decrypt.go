package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/keyservice"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// checkHint is what to do about a file that no key decrypts.
const checkHint = "on the host, see whether it is whole with: sops decrypt FILE; then bring it here anew"

// Plain is a file that was decrypted. It prints nothing of it.
type Plain struct {
	format Format
	tree   sops.TreeBranches
}

// Format implements fmt.Formatter: no verb prints what was decrypted.
func (Plain) Format(s fmt.State, _ rune) { io.WriteString(s, "a decrypted file") }

// Decrypt decrypts a file with keys of age, those given and no other: it asks
// no server, looks into no environment variable and starts no program. It
// checks the file as Parse does, and its MAC. Every error is a
// *firstboot.Problem: CodeNoKey without keys, CodeOtherKey when none of them
// opens the file, with its recipients in the text, CodeSecret when the file is
// damaged or was changed.
func Decrypt(data []byte, format Format, ids []age.Identity) (*Plain, error) {
	found := &findings{}
	f := parse(found, "", format, data)
	if f == nil {
		return nil, firstboot.NewProblem(firstboot.CodeSecret, checkHint, "%w", found.err())
	}
	key, err := f.dataKey(ids)
	if err != nil {
		return nil, err
	}
	if err := f.decrypt(key); err != nil {
		return nil, firstboot.NewProblem(firstboot.CodeSecret, checkHint, "%w", err)
	}
	return &Plain{format: format, tree: f.tree.Branches}, nil
}

// decrypt decrypts the tree in place and compares its MAC. Errors of the
// library are not passed on: they quote values.
func (f *File) decrypt(key []byte) error {
	c := &noting{Cipher: aes.NewCipher()}
	mac, err := f.tree.Decrypt(key, c)
	if err != nil {
		return fmt.Errorf("%s: is damaged: it was not encrypted with the data key of this file, or for another key of it", quoteKey(c.failed))
	}
	m := f.tree.Metadata
	stored, err := c.Cipher.Decrypt(m.MessageAuthenticationCode, key, m.LastModified.Format(time.RFC3339))
	if err != nil {
		return errors.New("sops/mac: is damaged, or sops/lastmodified is")
	}
	if stored != mac {
		return errors.New("sops/mac: does not match: values were added, removed, moved or changed after sops encrypted them")
	}
	return nil
}

// noting is a cipher that notes which value it could not decrypt.
type noting struct {
	aes.Cipher
	failed string
}

// Decrypt implements sops.Cipher.
func (c *noting) Decrypt(text string, key []byte, parents string) (any, error) {
	v, err := c.Cipher.Decrypt(text, key, parents)
	if err != nil {
		c.failed = strings.ReplaceAll(strings.TrimSuffix(parents, ":"), ":", "/")
	}
	return v, err
}

// dataKey decrypts the key that the values are encrypted with.
func (f *File) dataKey(ids []age.Identity) ([]byte, error) {
	if len(ids) == 0 { // the library would look for some
		return nil, firstboot.NewProblem(firstboot.CodeNoKey, "", "no key of age was given; any of %s opens it", quoted(f.Recipients))
	}
	m := f.tree.Metadata
	m.KeyGroups = ageOnly(m.KeyGroups)
	key, err := m.GetDataKeyWithKeyServices([]keyservice.KeyServiceClient{keyservice.NewCustomLocalClient(keyring{ids})}, nil)
	if err == nil {
		return key, nil
	}
	have := recipientsOf(ids)
	for _, r := range have {
		if slices.Contains(f.Recipients, r) {
			return nil, firstboot.NewProblem(firstboot.CodeSecret, checkHint, "sops/age: the data key for %s is damaged: its key does not open it", r)
		}
	}
	return nil, firstboot.NewProblem(firstboot.CodeOtherKey, "use the key of one of its recipients, or on the host make this key's the file's, in .sops.yaml, and: sops updatekeys FILE",
		"the key of age is another: it is %s, expected one of %s", quoted(have), quoted(f.Recipients))
}

// ageOnly returns key groups with nothing but keys of age in them. Their number
// stays: with several, the data key was split into as many parts.
func ageOnly(groups []sops.KeyGroup) []sops.KeyGroup {
	out := make([]sops.KeyGroup, len(groups))
	for i, group := range groups {
		for _, k := range group {
			if _, ok := k.(*sopsage.MasterKey); ok {
				out[i] = append(out[i], k)
			}
		}
	}
	return out
}

// recipientsOf returns the public keys of identities that can go into a key
// file.
func recipientsOf(ids []age.Identity) []string {
	var all []string
	for _, id := range ids {
		switch id := id.(type) {
		case *age.X25519Identity:
			all = append(all, id.Recipient().String())
		case *age.HybridIdentity:
			all = append(all, id.Recipient().String())
		}
	}
	return all
}

// keyring decrypts data keys with the identities that it has.
type keyring struct{ ids sopsage.ParsedIdentities }

// Encrypt implements keyservice.KeyServiceServer: nothing is encrypted.
func (keyring) Encrypt(context.Context, *keyservice.EncryptRequest) (*keyservice.EncryptResponse, error) {
	return nil, errors.New("nothing is encrypted here")
}

// Decrypt implements keyservice.KeyServiceServer.
func (k keyring) Decrypt(_ context.Context, req *keyservice.DecryptRequest) (*keyservice.DecryptResponse, error) {
	recipient := req.GetKey().GetAgeKey()
	if recipient == nil {
		return nil, errors.New("not a key of age")
	}
	key := &sopsage.MasterKey{Recipient: recipient.Recipient, EncryptedKey: string(req.Ciphertext)}
	k.ids.ApplyToMasterKey(key)
	plain, err := key.Decrypt()
	if err != nil {
		return nil, err
	}
	return &keyservice.DecryptResponse{Plaintext: plain}, nil
}

// Value returns the value of a key, as Has finds it: text as it is, numbers in
// decimal, true and false, times as RFC 3339 has them. The value of "" is the
// whole file in its format, as sops decrypt would print it.
func (p *Plain) Value(key string) ([]byte, error) {
	if key == "" {
		out, err := storeOf(p.format).EmitPlainFile(p.tree)
		if err != nil { // its text may quote a value
			return nil, firstboot.NewProblem(firstboot.CodeSecret, checkHint, "the decrypted file cannot be written as %s", p.format)
		}
		return out, nil
	}
	v, ok := find(p.tree[0], key)
	switch {
	case p.format == Binary || !ok:
		return nil, firstboot.NewProblem(firstboot.CodeSecret, "", "%s: the file has no such key", quoteKey(key))
	case !isValue(v):
		return nil, firstboot.NewProblem(firstboot.CodeSecret, "", "%s: is %s, expected one value", quoteKey(key), describe(v))
	}
	if b, ok := v.(bool); ok { // of Python's form in the library
		return fmt.Append(nil, b), nil
	}
	out, err := sops.ToBytes(v)
	if err != nil {
		return nil, firstboot.NewProblem(firstboot.CodeSecret, checkHint, "%s: a value of an unknown kind", quoteKey(key))
	}
	return out, nil
}
