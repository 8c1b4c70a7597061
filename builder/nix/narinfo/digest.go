package narinfo

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/nix-community/go-nix/pkg/nixbase32"
)

// strictBase64 does not take what has other bits set than those of the bytes, so
// that equal bytes have one text.
var strictBase64 = base64.StdEncoding.Strict()

// parseSHA256 reads the spellings of libutil/hash.cc of Nix: sha256: and base 16,
// base 32 or base 64, or sha256- and base 64.
func parseSHA256(text string) (sum [sha256.Size]byte, err error) {
	var digest []byte
	if rest, ok := strings.CutPrefix(text, "sha256:"); ok {
		digest, err = parseDigest(rest, len(sum))
	} else if rest, ok := strings.CutPrefix(text, "sha256-"); ok && len(rest) == strictBase64.EncodedLen(len(sum)) {
		digest, err = parseDigest(rest, len(sum))
	} else {
		err = fmt.Errorf("expected sha256: and 64 digits of base 16, 52 of base 32 or 44 of base 64, or sha256- and base 64")
	}
	if err != nil {
		return sum, fmt.Errorf("%.300q: %w", text, err)
	}
	return [sha256.Size]byte(digest), nil
}

// parseDigest reads a digest of size bytes in base 16, 32 or 64. The length of
// the text says which.
func parseDigest(text string, size int) (digest []byte, err error) {
	lengths := [...]int{hex.EncodedLen(size), nixbase32.EncodedLen(size), strictBase64.EncodedLen(size)}
	switch len(text) {
	case lengths[0]:
		digest, err = hex.DecodeString(text)
	case lengths[1]:
		digest, err = nixbase32.DecodeString(text)
	case lengths[2]:
		digest, err = strictBase64.DecodeString(text)
	default:
		return nil, fmt.Errorf("digest of %d digits, expected %d of base 16, %d of base 32 or %d of base 64", len(text), lengths[0], lengths[1], lengths[2])
	}
	// Line feeds are passed over by the decoder of base 64.
	if err == nil && len(digest) != size {
		err = fmt.Errorf("digest of %d bytes, expected %d", len(digest), size)
	}
	return digest, err
}
