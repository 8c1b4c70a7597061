package secrets

import (
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// fuzzKey is a key of the tests alone, so that files that were found once are
// opened again.
const fuzzKey = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"

// fuzzParse reads files of one format that may be anything. What is accepted
// must have recipients, and the library's own cipher must know the form of
// every value that the file's rule does not exempt. Decrypting ends in a file
// that can be written or in a problem.
func fuzzParse(f *testing.F, name string) {
	id, err := age.ParseX25519Identity(fuzzKey)
	if err != nil {
		f.Fatal(err)
	}
	r := id.Recipient().String()
	_, other := newKey(f)
	format := FormatOf(name)
	for _, e := range []encryption{
		to(r), to(r, other), {groups: [][]string{{r}, {r, other}}},
		{groups: [][]string{{r}}, metadata: sops.Metadata{EncryptedRegex: "^(a|pass|PASS|data)", MACOnlyEncrypted: true}},
		// With spaces, so that it matches no comment that is encrypted.
		{groups: [][]string{{r}}, metadata: sops.Metadata{UnencryptedCommentRegex: " a "}},
	} {
		f.Add(encrypt(f, format, plainOf["a"+name[strings.LastIndexByte(name, '.'):]], e))
	}
	for _, plain := range plainOf {
		f.Add([]byte(plain))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(name, data)
		p, notDecrypted := Decrypt(data, format, ids(id))
		if err != nil {
			if firstboot.CodeOf(notDecrypted) != firstboot.CodeSecret || file != nil {
				t.Fatalf("refused: %v; decrypted: %v", err, notDecrypted)
			}
			return
		}
		if len(file.Recipients) == 0 || !slices.IsSorted(file.Recipients) {
			t.Fatalf("recipients %q", file.Recipients)
		}
		checkForms(t, file, data)
		if notDecrypted != nil {
			if firstboot.CodeOf(notDecrypted) == 0 {
				t.Fatal(notDecrypted)
			}
			return
		}
		for _, key := range append(keys(p.tree[0], ""), "") {
			if _, err := p.Value(key); err != nil && firstboot.CodeOf(err) == 0 {
				t.Fatalf("%q: %v", key, err)
			}
			if format != Binary && !file.Has(key) {
				t.Fatalf("decrypted %q, which the file does not have", key)
			}
		}
	})
}

// checkForms decrypts a file as the library does, with a key that is none: it
// must get to the authentication of every value.
func checkForms(t *testing.T, file *File, data []byte) {
	tree, err := storeOf(file.Format).LoadEncryptedFile(data)
	if err != nil {
		t.Fatal(err)
	}
	c := &formCipher{}
	tree.Decrypt(make([]byte, 32), c)
	if c.given == 0 || c.bad != "" {
		t.Fatalf("%d values; the library does not know the form of %q", c.given, c.bad)
	}
}

// formCipher is the library's cipher, but values that are only not encrypted
// with the key are decrypted to themselves.
type formCipher struct {
	given int
	bad   string
}

func (c *formCipher) Encrypt(any, []byte, string) (string, error) { return "", nil }

func (c *formCipher) Decrypt(text string, key []byte, parents string) (any, error) {
	c.given++
	_, err := aes.NewCipher().Decrypt(text, key, parents)
	if text != "" && (err == nil || !strings.Contains(err.Error(), "Could not decrypt with AES_GCM")) {
		c.bad = text
	}
	return text, nil
}

func FuzzYAML(f *testing.F)   { fuzzParse(f, "f.yaml") }
func FuzzJSON(f *testing.F)   { fuzzParse(f, "f.json") }
func FuzzDotenv(f *testing.F) { fuzzParse(f, "f.env") }
func FuzzINI(f *testing.F)    { fuzzParse(f, "f.ini") }
func FuzzBinary(f *testing.F) { fuzzParse(f, "f.bin") }
