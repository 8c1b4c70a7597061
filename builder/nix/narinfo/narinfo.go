// Package narinfo reads what a binary cache says about a store object, and
// decides whether that is to be trusted.
//
// It decodes the .narinfo files and nix-cache-info, checks signatures, and
// computes the path that a content-addressed object must have. It fetches
// nothing and opens no archive.
//
// Trust comes from two things only. A signature covers the path, the hash and
// size of the archive and the references, see Info.Fingerprint. A content
// address proves a path by its content, see Info.ContentAddressed. All else in a
// file (URL, Compression, FileHash, FileSize, Deriver, CA) is what the owner of
// the cache, or who stands between, wants it to be.
//
// The format is that of libstore/nar-info.cc of Nix. What Nix reads without
// saying so in the format, such as the second of two equal keys or what follows
// an empty line, is an error here.
package narinfo

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nix-community/go-nix/pkg/narinfo/signature"
	"github.com/nix-community/go-nix/pkg/nixbase32"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// MaxSize is the size in bytes of the largest file that is read. A NixOS system
// with 1,500 references has one of 100 KB.
const MaxSize = 1 << 20

// maxBytes is one more than the largest size that is believed, so that sums of
// two fit into an int64.
const maxBytes = 1 << 62

// maxSigs bounds how many signatures are tried: each costs about 50 µs.
const maxSigs = 256

// hintDamaged goes with every file that cannot be read.
const hintDamaged = "the binary cache is damaged, or it is none; another one may have it: --set nix.substituters=URL"

// Info is what a .narinfo file says about one store object.
type Info struct {
	Path        nix.StorePath
	URL         string                // of the archive, relative to the cache; stays inside of it
	Compression string                // none, xz, zstd, bzip2, gzip, or a name that is not supported
	FileHash    *[sha256.Size]byte    // of the archive as it is stored; nil: not said
	FileSize    int64                 // bytes of the archive as it is stored; 0: not said
	NarHash     [sha256.Size]byte     // of the archive when it is unpacked
	NarSize     int64                 // bytes of the archive when it is unpacked, at least 1
	References  []nix.StorePath       // sorted, without duplicates, the object itself among them when it refers to itself
	Deriver     nix.StorePath         // the derivation that made it; zero: not known
	Sigs        []signature.Signature // in the order of the file, without duplicates; String gives the text of the file
	CA          string                // its content address; empty: none. Not checked before ContentAddressed
}

// fields has how each key that is known fills an Info.
var fields = map[string]func(i *Info, value string) error{
	"StorePath":   func(i *Info, v string) (err error) { i.Path, err = nix.ParseStorePath(v); return err },
	"URL":         (*Info).setURL,
	"Compression": (*Info).setCompression,
	"FileHash":    (*Info).setFileHash,
	"FileSize":    func(i *Info, v string) (err error) { i.FileSize, err = parseSize(v, 0); return err },
	"NarHash":     func(i *Info, v string) (err error) { i.NarHash, err = parseSHA256(v); return err },
	"NarSize":     func(i *Info, v string) (err error) { i.NarSize, err = parseSize(v, 1); return err },
	"References":  (*Info).setReferences,
	"Deriver":     (*Info).setDeriver,
	keySig:        (*Info).AddSig,
	"CA":          func(i *Info, v string) error { i.CA = v; return nil },
}

// keySig is the one key that may come more than once.
const keySig = "Sig"

// required are the keys without which Nix reads no file either.
var required = []string{"StorePath", "URL", "NarHash", "NarSize"}

// Parse reads a .narinfo file of that name; the name is for errors only, which
// are of class fault.Input. Keys that are not known are passed over.
func Parse(name string, data []byte) (*Info, error) {
	lines, err := splitLines(data)
	if err != nil {
		return nil, fault.New(fault.Input, hintDamaged, "%s: %w", name, err)
	}
	// Caches of the time before there was a choice do not say bzip2.
	info := &Info{Compression: "bzip2"}
	seen := map[string]int{}
	for n, line := range lines {
		key, value, err := splitLine(line)
		set := fields[key]
		switch {
		case err != nil:
		case set == nil:
			continue
		case seen[key] > 0 && key != keySig:
			err = fmt.Errorf("%s again, the first is in line %d", key, seen[key])
		default:
			if err = set(info, value); err != nil {
				err = fmt.Errorf("%s: %w", key, err)
			}
		}
		if err != nil {
			return nil, fault.New(fault.Input, hintDamaged, "%s: line %d: %w", name, n+1, err)
		}
		seen[key] = n + 1
	}
	for _, key := range required {
		if seen[key] == 0 {
			return nil, fault.New(fault.Input, hintDamaged, "%s: no line %q, expected %s", name, key+": ", strings.Join(required, ", "))
		}
	}
	return info, nil
}

// splitLines returns the lines of a file, which all end in a line feed: a last
// one that does not is a file cut off.
func splitLines(data []byte) ([]string, error) {
	switch {
	case len(data) > MaxSize:
		return nil, fmt.Errorf("%d bytes or more, expected at most %d", len(data), MaxSize)
	case len(data) == 0:
		return nil, fmt.Errorf("is empty")
	case data[len(data)-1] != '\n':
		return nil, fmt.Errorf("line %d: is cut off, expected a line feed at the end", bytes.Count(data, []byte("\n"))+1)
	}
	return strings.Split(string(data[:len(data)-1]), "\n"), nil
}

// splitLine splits "KEY: VALUE" at its first colon. Nix does not look at what
// follows the colon; to read a line with something else there would be to read
// another value than Nix.
func splitLine(line string) (key, value string, err error) {
	if i := strings.IndexAny(line, "\x00\r"); i >= 0 {
		return "", "", fmt.Errorf("%.300q: byte %#02x, expected text without NUL and carriage return", line, line[i])
	}
	key, value, _ = strings.Cut(line, ":")
	value, ok := strings.CutPrefix(value, " ")
	if !ok {
		return "", "", fmt.Errorf("%.300q: expected KEY, a colon, a space and a value", line)
	}
	return key, value, nil
}

func (i *Info) setURL(value string) error {
	i.URL = value
	return checkURL(value)
}

func (i *Info) setCompression(value string) error {
	if value != "" {
		i.Compression = value
	}
	return nil
}

func (i *Info) setFileHash(value string) error {
	hash, err := parseSHA256(value)
	i.FileHash = &hash
	return err
}

// setReferences reads a set, as Nix does: an item may come twice, and more than
// one space may part two.
func (i *Info) setReferences(value string) error {
	for item := range strings.SplitSeq(value, " ") {
		if item == "" {
			continue
		}
		p, err := nix.ParseBase(item)
		if err != nil {
			return err
		}
		i.References = append(i.References, p)
	}
	i.References = sortPaths(i.References)
	return nil
}

// sortPaths sorts paths in place and drops duplicates.
func sortPaths(paths []nix.StorePath) []nix.StorePath {
	slices.SortFunc(paths, nix.StorePath.Compare)
	return slices.Compact(paths)
}

func (i *Info) setDeriver(value string) (err error) {
	if value != "unknown-deriver" {
		i.Deriver, err = nix.ParseBase(value)
	}
	return err
}

// parseSize reads a number of bytes of at least low. Digits only: a sign is
// something that Nix takes by accident.
func parseSize(text string, low int64) (int64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || int64(n) < low || n >= maxBytes {
		return 0, fmt.Errorf("%.300q, expected a number from %d to %d", text, low, int64(maxBytes-1))
	}
	return int64(n), nil
}

// Fingerprint returns the text that signatures of the object are made over, as
// libstore/path-info.cc of Nix has it:
// 1;PATH;sha256:HASH OF THE ARCHIVE IN BASE 32;ITS SIZE;REFERENCE,REFERENCE…
func (i *Info) Fingerprint() string {
	var b strings.Builder
	fmt.Fprintf(&b, "1;%s;sha256:%s;%d;", i.Path, nixbase32.EncodeToString(i.NarHash[:]), i.NarSize)
	for n, p := range sortPaths(slices.Clone(i.References)) {
		if n > 0 {
			b.WriteByte(',')
		}
		b.WriteString(p.String())
	}
	return b.String()
}
