package narinfo

import (
	"bytes"
	"crypto"
	_ "crypto/md5"  // so that the caller can make the hash that a CA names
	_ "crypto/sha1" // the same
	"crypto/sha256"
	_ "crypto/sha512" // the same
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nix-community/go-nix/pkg/nixbase32"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// hintClaim goes with a content address that does not make the path.
const hintClaim = "only a signature by a trusted key can prove it: --set nix.trusted-public-keys=NAME:BASE64"

// ErrSelfReference is in the chain of the error of an object whose content
// address is right but holds for its content without its own name in it, which
// cannot be checked here: such an object needs a signature.
var ErrSelfReference = errors.New("is that of an object that refers to itself, which cannot be checked here")

// CA is the content address of an object, in a store of which it has that path.
// It holds when the content has the digest, and that is not yet known.
type CA struct {
	method    string // what the text begins with, of methods
	algorithm string // of algorithms
	digest    []byte
}

// What a CA begins with, as libstore/content-address.cc of Nix has it.
const (
	methodText = "text:"    // one file, which may have references
	methodFlat = "fixed:"   // one file
	methodNAR  = "fixed:r:" // any object
)

// methods is in the order in which to try: one is the beginning of another.
var methods = []string{methodText, methodNAR, methodFlat}

// algorithms are those of Nix without experimental features.
var algorithms = map[string]crypto.Hash{"md5": crypto.MD5, "sha1": crypto.SHA1, "sha256": crypto.SHA256, "sha512": crypto.SHA512}

const sha256Name = "sha256"

// Digest says what must hold of the content: the whole archive has the digest
// (ofNAR), or else the object is one regular file, not executable, whose bytes
// have it. The algorithm is MD5, SHA1, SHA256 or SHA512.
func (c *CA) Digest() (ofNAR bool, algorithm crypto.Hash, digest []byte) {
	return c.method == methodNAR, algorithms[c.algorithm], c.digest
}

// String returns the text of c as Nix writes it, with a digest in base 32.
func (c *CA) String() string {
	return c.method + c.algorithm + ":" + nixbase32.EncodeToString(c.digest)
}

// ContentAddressed returns the content address of i, nil when it has none. Then
// the path is the one that objects of this name, references and content have,
// and no signature is needed if CA.Digest holds. Errors are of class fault.Input
// and mean that a signature is needed: i says what is no content address, or the
// one of another path, or there is ErrSelfReference.
func (i *Info) ContentAddressed() (*CA, error) {
	if i.CA == "" {
		return nil, nil
	}
	c, err := parseCA(i.CA)
	if err != nil {
		return nil, fault.New(fault.Input, hintDamaged, "%s: content address %.300q: %w", i.Path, i.CA, err)
	}
	path, err := c.path(i)
	switch {
	case err != nil:
	case path != i.Path:
		err = fmt.Errorf("is that of %s", path)
	case slices.Contains(i.References, i.Path):
		err = ErrSelfReference
	case c.method == methodNAR && c.algorithm == sha256Name && !bytes.Equal(c.digest, i.NarHash[:]):
		err = fmt.Errorf("is not the hash of the archive, sha256:%s", nixbase32.EncodeToString(i.NarHash[:]))
	default:
		return c, nil
	}
	return nil, fault.New(fault.Input, hintClaim, "%s: content address %s: %w", i.Path, c, err)
}

// parseCA reads METHOD ALGORITHM:DIGEST. Nix of today and 2.8 take the spellings
// of a digest that parseDigest does, but not sha256-BASE64.
func parseCA(text string) (*CA, error) {
	for _, method := range methods {
		rest, ok := strings.CutPrefix(text, method)
		if !ok {
			continue
		}
		name, digest, _ := strings.Cut(rest, ":")
		algorithm, known := algorithms[name]
		if !known || method == methodText && name != sha256Name {
			break
		}
		raw, err := parseDigest(digest, algorithm.Size())
		if err != nil {
			return nil, err
		}
		return &CA{method, name, raw}, nil
	}
	return nil, fmt.Errorf("expected text:sha256:DIGEST, or fixed:ALGORITHM:DIGEST or fixed:r:ALGORITHM:DIGEST with md5, sha1, sha256 or sha512")
}

// path returns what libstore/store-dir-config.cc of Nix calls makeTextPath and
// makeFixedOutputPath: the path of an object with the name and the references of
// i and this content.
func (c *CA) path(i *Info) (nix.StorePath, error) {
	others := slices.DeleteFunc(slices.Clone(i.References), func(p nix.StorePath) bool { return p == i.Path })
	self := len(others) < len(i.References)
	switch {
	case c.method == methodText && self:
		return nix.StorePath{}, fmt.Errorf("a text that refers to itself, expected none")
	case c.method == methodText:
		return makePath(withReferences("text", others, self), c.digest, i.Path.Name), nil
	case c.method == methodNAR && c.algorithm == sha256Name:
		return makePath(withReferences("source", others, self), c.digest, i.Path.Name), nil
	case len(i.References) > 0:
		return nix.StorePath{}, fmt.Errorf("%d references, expected none in what is not text or fixed:r:sha256", len(i.References))
	}
	prefix := strings.TrimPrefix(c.method, methodFlat)
	inner := sha256.Sum256(fmt.Appendf(nil, "fixed:out:%s%s:%x:", prefix, c.algorithm, c.digest))
	return makePath("output:out", inner[:], i.Path.Name), nil
}

// withReferences returns the type of a path that depends on references too.
func withReferences(kind string, others []nix.StorePath, self bool) string {
	var b strings.Builder
	b.WriteString(kind)
	for _, p := range sortPaths(others) {
		b.WriteString(":" + p.String())
	}
	if self {
		b.WriteString(":self")
	}
	return b.String()
}

// makePath returns the store path of a type, a digest of SHA-256 and a name,
// whose hash is one of SHA-256 folded to 160 bits.
func makePath(kind string, digest []byte, name string) nix.StorePath {
	sum := sha256.Sum256([]byte(strings.Join([]string{kind, sha256Name, hex.EncodeToString(digest), nix.StoreDir, name}, ":")))
	var folded [20]byte
	for n, b := range sum {
		folded[n%len(folded)] ^= b
	}
	return nix.StorePath{Hash: nixbase32.EncodeToString(folded[:]), Name: name}
}
