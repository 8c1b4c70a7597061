package repository

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	//lint:ignore SA1019 as in package reader
	"golang.org/x/crypto/poly1305"
)

// rewriting makes a snapshot with other nodes than the program would.
type rewriting struct {
	m      *made
	keys   struct{ encrypt, k, r []byte }
	change func(path string, node map[string]any)
	pack   []byte
	blobs  []map[string]any
}

// rewrite replaces the snapshot by one in which a function has changed nodes, whose
// paths are below the home. Its trees go into a pack without a header, which only
// restic check reads.
func (m *made) rewrite(change func(path string, node map[string]any)) error {
	w := &rewriting{m: m, change: change}
	if err := w.readKeys(); err != nil {
		return err
	}
	snapshot, err := w.cat("snapshot", m.id)
	if err != nil {
		return err
	}
	if snapshot["tree"], err = w.tree(snapshot["tree"].(string), "/"); err != nil {
		return err
	}
	pack := hashOf(w.pack)
	index := map[string]any{"packs": []any{map[string]any{"id": pack, "blobs": w.blobs}}}
	if err := w.write("data/"+pack[:2], w.pack); err != nil {
		return err
	}
	if err := w.seal("index", index); err != nil {
		return err
	}
	return w.seal("snapshots", snapshot)
}

func (w *rewriting) readKeys() error {
	var out bytes.Buffer
	if err := w.m.restic(&out, "cat", "masterkey"); err != nil {
		return err
	}
	var keys struct {
		MAC     struct{ K, R []byte }
		Encrypt []byte
	}
	err := json.Unmarshal(out.Bytes(), &keys)
	w.keys.encrypt, w.keys.k, w.keys.r = keys.Encrypt, keys.MAC.K, keys.MAC.R
	return err
}

// cat returns a JSON object of the repository, with its numbers as they are.
func (w *rewriting) cat(args ...string) (object map[string]any, err error) {
	var out bytes.Buffer
	if err := w.m.restic(&out, append([]string{"cat"}, args...)...); err != nil {
		return nil, err
	}
	d := json.NewDecoder(&out)
	d.UseNumber()
	return object, d.Decode(&object)
}

// tree returns the ID of a tree that was changed.
func (w *rewriting) tree(id, at string) (string, error) {
	tree, err := w.cat("blob", id)
	if err != nil {
		return "", err
	}
	for _, n := range tree["nodes"].([]any) {
		node := n.(map[string]any)
		below := path.Join(at, node["name"].(string))
		if node["type"] == "dir" {
			if node["subtree"], err = w.tree(node["subtree"].(string), below); err != nil {
				return "", err
			}
		}
		if in, err := filepath.Rel(w.m.home, below); err == nil {
			w.change(in, node)
		}
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return "", err
	}
	text = append(text, '\n')
	sealed, err := w.sealed(text)
	w.blobs = append(w.blobs, map[string]any{"id": hashOf(text), "type": "tree", "offset": len(w.pack), "length": len(sealed)})
	w.pack = append(w.pack, sealed...)
	return hashOf(text), err
}

// seal writes a document, and takes it for the snapshot if it is one.
func (w *rewriting) seal(dir string, document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	sealed, err := w.sealed(text)
	if err != nil {
		return err
	}
	if dir == "snapshots" {
		w.m.id = hashOf(sealed)
	}
	return w.write(dir, sealed)
}

func (w *rewriting) write(dir string, text []byte) error {
	dir = filepath.Join(w.m.repo, dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, hashOf(text)), text, 0o600)
}

// sealed encrypts as restic does.
func (w *rewriting) sealed(text []byte) ([]byte, error) {
	nonce := sha256.Sum256(text)
	stream, err := aes.NewCipher(w.keys.encrypt)
	if err != nil {
		return nil, err
	}
	nonces, err := aes.NewCipher(w.keys.k)
	if err != nil || len(w.keys.r) != 16 {
		return nil, fmt.Errorf("keys: %w", err)
	}
	ciphertext := make([]byte, len(text))
	cipher.NewCTR(stream, nonce[:aes.BlockSize]).XORKeyStream(ciphertext, text)
	var once [32]byte
	copy(once[:], w.keys.r)
	nonces.Encrypt(once[16:], nonce[:aes.BlockSize])
	var mac [poly1305.TagSize]byte
	poly1305.Sum(&mac, ciphertext, &once)
	return append(append(nonce[:aes.BlockSize:aes.BlockSize], ciphertext...), mac[:]...), nil
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// duplicate puts the blobs of packs into others.
func (m *made) duplicate(packs []string) (twice []string, err error) {
	w := &rewriting{m: m}
	if err := w.readKeys(); err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(m.repo, "index/*"))
	if err != nil {
		return nil, err
	}
	var copies []any
	for _, name := range names {
		index, err := w.cat("index", filepath.Base(name))
		if err != nil {
			return nil, err
		}
		for _, p := range index["packs"].([]any) {
			pack := p.(map[string]any)
			at := slices.IndexFunc(packs, func(file string) bool { return filepath.Base(file) == pack["id"] })
			if at < 0 {
				continue
			}
			second, err := w.second(pack, packs[at])
			if err != nil {
				return nil, err
			}
			twice, copies = append(twice, second), append(copies, pack)
		}
	}
	return twice, w.seal("index", map[string]any{"packs": copies})
}

// second writes a pack that has the blobs of a file at other places, and changes what an
// index has of it.
func (w *rewriting) second(pack map[string]any, file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	const before = 1000
	text = append(bytes.Repeat([]byte("x"), before), text...)
	for _, b := range pack["blobs"].([]any) {
		blob := b.(map[string]any)
		at, err := blob["offset"].(json.Number).Int64()
		if err != nil {
			return "", err
		}
		blob["offset"] = at + before
	}
	id := hashOf(text)
	pack["id"] = id
	return filepath.Join(w.m.repo, "data", id[:2], id), w.write("data/"+id[:2], text)
}
