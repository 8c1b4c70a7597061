package secrets

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/keyservice"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// newKey makes an identity and returns it with its recipient.
func newKey(t testing.TB) (*age.X25519Identity, string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id, id.Recipient().String()
}

// encryption is how a fixture is made: metadata with a rule, groups of
// recipients, and what is done to the tree after it was encrypted.
type encryption struct {
	metadata sops.Metadata
	groups   [][]string
	spoil    func(*sops.Tree)
}

// encrypt makes an encrypted file of a plain one, with the library alone.
func encrypt(t testing.TB, format Format, plain string, e encryption) []byte {
	t.Helper()
	store := storeOf(format)
	branches, err := store.LoadPlainFile([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	m := e.metadata
	m.Version, m.LastModified = "3.13.3", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, group := range e.groups {
		var g sops.KeyGroup
		for _, r := range group {
			k, err := sopsage.MasterKeyFromRecipient(r)
			if err != nil {
				t.Fatal(err)
			}
			g = append(g, k)
		}
		m.KeyGroups = append(m.KeyGroups, g)
	}
	if ruleOf(m) == ruleOf(sops.Metadata{}) {
		m.UnencryptedSuffix = sops.DefaultUnencryptedSuffix
	}
	tree := sops.Tree{Branches: branches, Metadata: m}
	key, errs := tree.GenerateDataKeyWithKeyServices([]keyservice.KeyServiceClient{keyservice.NewLocalClient()})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	c := aes.NewCipher()
	mac, err := tree.Encrypt(key, c)
	if err != nil {
		t.Fatal(err)
	}
	tree.Metadata.MessageAuthenticationCode, err = c.Encrypt(mac, key, m.LastModified.Format(time.RFC3339))
	if err != nil {
		t.Fatal(err)
	}
	if e.spoil != nil {
		e.spoil(&tree)
	}
	out, err := store.EmitEncryptedFile(tree)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// to is the encryption for one group of recipients.
func to(recipients ...string) encryption { return encryption{groups: [][]string{recipients}} }

// write writes a file into dir and returns its path.
func write(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantError checks an error: its class and what its text and hint must have,
// the hint's part after " => ".
func wantError(t *testing.T, err error, class fault.Class, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want %q", parts)
	}
	if got := fault.ClassOf(err); got != class {
		t.Errorf("class %d; want %d", got, class)
	}
	for _, part := range parts {
		in := err.Error()
		if hint, ok := strings.CutPrefix(part, "=> "); ok {
			in, part = fault.HintOf(err), hint
		}
		if !strings.Contains(in, part) {
			t.Errorf("%q\nhas no %q", in, part)
		}
	}
	if text := err.Error() + fault.HintOf(err); strings.Contains(text, secretText) {
		t.Errorf("the error has the secret in it: %q", text)
	}
}

// secretText is in every plain value of the tests: no error may have it.
const secretText = "hunter2"
