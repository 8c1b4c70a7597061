package reader

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/crypto/scrypt"
	//lint:ignore SA1019 as in seal.go
	"golang.org/x/crypto/poly1305"
)

const testPassword = "correct horse"

// testKeys are those of the repositories that tests make: 32 bytes of AES-256, and
// twice 16 of the MAC.
var testKeys = []byte("an AES-256 key, which is as long" + "the key k of MAC" + "the key r of MAC")

// seal encrypts as restic does, by 64 bytes of keys.
func seal(keys, text []byte) []byte {
	nonce := sha256.Sum256(text) // one for each text is all that it takes
	out := append([]byte{}, nonce[:nonceSize]...)
	stream, err := aes.NewCipher(keys[:32])
	if err != nil {
		panic(err)
	}
	nonces, err := aes.NewCipher(keys[32:48])
	if err != nil {
		panic(err)
	}
	ciphertext := make([]byte, len(text))
	cipher.NewCTR(stream, out).XORKeyStream(ciphertext, text)
	var once [32]byte
	copy(once[:], keys[48:64])
	nonces.Encrypt(once[16:], out)
	var mac [macSize]byte
	poly1305.Sum(&mac, ciphertext, &once)
	return append(append(out, ciphertext...), mac[:]...)
}

// compress makes a document of format 2.
func compress(text []byte) []byte {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	defer e.Close()
	return e.EncodeAll(text, nil)
}

// keyText returns a file of a key.
func keyText(password string, n, r, p int, change ...func(map[string]any)) []byte {
	salt := []byte(strings.Repeat("salt", 16))
	user, err := scrypt.Key([]byte(password), salt, n, r, p, 64)
	if err != nil {
		panic(err)
	}
	master, err := json.Marshal(map[string]any{"mac": map[string]any{"k": testKeys[32:48], "r": testKeys[48:]}, "encrypt": testKeys[:32]})
	if err != nil {
		panic(err)
	}
	k := map[string]any{"kdf": "scrypt", "N": n, "r": r, "p": p, "salt": salt, "data": seal(user, master)}
	for _, c := range change {
		c(k)
	}
	text, err := json.Marshal(k)
	if err != nil {
		panic(err)
	}
	return text
}

// disk is a repository that a test makes.
type disk struct {
	t   testing.TB
	dir string
}

// newDisk makes one of a format, with one key and nothing else.
func newDisk(t testing.TB, version int) *disk {
	t.Helper()
	d := &disk{t, t.TempDir()}
	d.write("config", seal(testKeys, fmt.Appendf(nil, `{"version":%d,"id":"x","chunker_polynomial":"25b468838dcb75"}`, version)))
	d.name("keys", keyText(testPassword, 2, 1, 1))
	d.mkdir("index")
	d.mkdir("snapshots")
	return d
}

func (d *disk) mkdir(name string) {
	d.t.Helper()
	if err := os.MkdirAll(filepath.Join(d.dir, name), 0o755); err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) write(name string, text []byte) {
	d.t.Helper()
	d.mkdir(filepath.Dir(name))
	if err := os.WriteFile(filepath.Join(d.dir, name), text, 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// name writes a file whose name is its hash.
func (d *disk) name(dir string, text []byte) ID {
	d.t.Helper()
	id := ID(sha256.Sum256(text))
	d.write(filepath.Join(dir, id.String()), text)
	return id
}

// pack writes a pack of trees, which begins with a text, and returns what an index
// has of it.
func (d *disk) pack(before string, trees ...string) string {
	d.t.Helper()
	text, blobs := []byte(before), []string{}
	for _, tree := range trees {
		b := seal(testKeys, []byte(tree))
		blobs = append(blobs, fmt.Sprintf(`{"id":"%s","type":"tree","offset":%d,"length":%d}`, hashed(tree), len(text), len(b)))
		text = append(text, b...)
	}
	id := ID(sha256.Sum256(text))
	d.write("data/"+id.String()[:2]+"/"+id.String(), text)
	return fmt.Sprintf(`{"id":"%s","blobs":[%s]}`, id, strings.Join(blobs, ","))
}

// index writes a file of the index.
func (d *disk) index(packs ...string) {
	d.t.Helper()
	d.name("index", seal(testKeys, []byte(`{"supersedes":null,"packs":[`+strings.Join(packs, ",")+`]}`)))
}

func (d *disk) open() (*Repository, error) {
	r, err := Open(context.Background(), d.dir, []byte(testPassword))
	if err == nil {
		err = r.ReadIndex(context.Background())
	}
	return r, err
}

func hashed(text string) ID { return ID(sha256.Sum256([]byte(text))) }

// opener returns a repository of format 2 that decrypts by testKeys and has no files.
func opener(t testing.TB) *Repository {
	t.Helper()
	key, err := newSealer(testKeys[:32], testKeys[32:48], testKeys[48:])
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDecoder()
	if err != nil {
		t.Fatal(err)
	}
	return &Repository{dir: t.TempDir(), version: 2, key: key, zstd: d}
}
