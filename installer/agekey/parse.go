package agekey

import (
	"bytes"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Limits of a key file.
const (
	maxText       = 64 << 10 // bytes
	maxIdentities = 100
)

// Beginnings of lines, as age and its tools write them.
const (
	prefixX25519 = "AGE-SECRET-KEY-1"
	prefixHybrid = "AGE-SECRET-KEY-PQ-1"
	prefixPlugin = "AGE-PLUGIN-"
	prefixPublic = "age1"
	prefixBinary = "age-encryption.org/"
)

// bom is what some editors begin a text in UTF-8 with.
const bom = "\xef\xbb\xbf"

// expected ends the messages about what is not a key.
const expected = "expected a line that begins with " + prefixX25519

// makeKey is the hint of those who have no key yet.
const makeKey = "age-keygen -o key.txt makes a key"

// Parse reads a key file: a secret key on each line, empty lines and lines that
// begin with #. The error is a *firstboot.Problem with CodeBadKey, which has
// the number of a line, from 1, and nothing of its text.
func Parse(text []byte) (*Key, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	text = bytes.TrimPrefix(text, []byte(bom))
	all := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(text))
	k, number, found := &Key{}, 0, 0
	for line := range strings.SplitSeq(all, "\n") {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if found++; found > maxIdentities {
			return nil, bad("", "line %d: more than %d secret keys", number, maxIdentities)
		}
		i, err := parseLine(line, number)
		if err != nil {
			return nil, err
		}
		if !k.Opens([]string{i.recipient}) {
			k.identities = append(k.identities, i)
		}
	}
	if len(k.identities) == 0 {
		return nil, bad(makeKey, "key of age: no secret key in %d lines, %s", number, expected)
	}
	return k, nil
}

// checkText refuses what is not a text of keys as a whole.
func checkText(text []byte) error {
	switch {
	case len(text) == 0:
		return bad(makeKey, "key of age: empty, %s", expected)
	case len(text) > maxText:
		return bad("", "key of age: larger than %d bytes", maxText)
	case IsEncrypted(text):
		return bad("give its passphrase, or age -d FILE > key.txt", "key of age: encrypted, its passphrase is needed")
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return bad("save it as UTF-8", "key of age: in UTF-16, expected UTF-8")
	}
	return nil
}

// parseLine reads the secret key on a line.
func parseLine(line string, number int) (identity, error) {
	switch upper := strings.ToUpper(line); {
	case strings.HasPrefix(line, prefixX25519):
		if id, err := age.ParseX25519Identity(line); err == nil {
			return newIdentity(id, id.Recipient()), nil
		}
	case strings.HasPrefix(line, prefixHybrid):
		if id, err := age.ParseHybridIdentity(line); err == nil {
			return newIdentity(id, id.Recipient()), nil
		}
	case strings.HasPrefix(upper, prefixX25519), strings.HasPrefix(upper, prefixHybrid):
		return identity{}, bad("tr a-z A-Z < FILE > key.txt", "line %d: a secret key in small letters, expected capital ones: %s…", number, prefixX25519)
	case strings.HasPrefix(line, prefixPublic):
		return identity{}, bad("", "line %d: a public key, expected the secret one that belongs to it: %s…", number, prefixX25519)
	case strings.HasPrefix(upper, prefixPlugin):
		return identity{}, bad(makeKey, "line %d: a key of a plugin of age, %s", number, expected)
	case strings.HasPrefix(line, "ssh-"), strings.HasPrefix(line, "-----BEGIN OPENSSH"):
		return identity{}, bad("ssh-to-age -private-key -i FILE -o key.txt", "line %d: a key of ssh, %s", number, expected)
	default:
		return identity{}, bad(makeKey, "line %d: not a secret key of age, %s", number, expected)
	}
	if line != strings.ToUpper(line) {
		return identity{}, bad("tr a-z A-Z < FILE > key.txt", "line %d: a secret key with small letters, expected only capital ones and digits", number)
	}
	return identity{}, bad("copy the whole line, and nothing else into that line",
		"line %d: a secret key with a mistake: %d characters of which the last are a checksum that does not match", number, len(line))
}

// bad makes the error of what is not a key.
func bad(hint, format string, args ...any) error {
	return firstboot.NewProblem(firstboot.CodeBadKey, hint, format, args...)
}

// IsEncrypted reports whether data begins like a file that age encrypted, as
// bytes or armored.
func IsEncrypted(data []byte) bool {
	data = bytes.TrimPrefix(data, []byte(bom))
	return bytes.HasPrefix(data, []byte(prefixBinary)) || isArmored(data)
}

func isArmored(data []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte(armor.Header))
}
