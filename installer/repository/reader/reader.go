// Package reader reads a repository of restic in a directory, of format 1 or 2:
// its keys, its index, its snapshots, their trees, and the data of files.
//
// A repository is opened once for all that is asked of it, which takes the time of
// one key: each run of restic takes that, and reads the index again. All that is
// handed on is authenticated, and equals the hash that it is named by, but for the
// configuration, which has none. Sizes and counts of others are bounded before
// memory is taken for them.
//
// What it does not do: it takes no lock, keeps no cache and writes nothing. It does
// not read the headers of packs: what no index has is not there.
//
// Errors are of *firstboot.Problem, but those of a cancelled context and of
// ParseID. They begin with what they are of: a file of the repository, a tree, or
// a directory of the snapshot. CodeDamaged is what is damaged or lacking,
// CodeDisk what cannot be read, CodePassword another password, CodeNoRepository
// and CodeNoSnapshot what is not there, and CodeIncomplete a directory that the
// snapshot does not have.
//
// The format is that of restic's doc/design.rst, "Repository Format" and after,
// and for the fields of nodes of its internal/restic/node.go.
package reader

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// ID names a file or a blob: the SHA-256 of its content, that of a blob before it
// is compressed and encrypted.
type ID [32]byte

// String returns 64 hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads 64 hex digits.
func ParseID(text string) (id ID, err error) {
	return id, id.decode([]byte(text))
}

func (id *ID) decode(text []byte) error {
	if len(text) != hex.EncodedLen(len(id)) {
		return fmt.Errorf("ID of %d characters, expected %d", len(text), hex.EncodedLen(len(id)))
	}
	if _, err := hex.Decode(id[:], text); err != nil {
		return fmt.Errorf("ID: %w", err)
	}
	return nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (id *ID) UnmarshalJSON(text []byte) error {
	if len(text) < 2 || text[0] != '"' {
		return fmt.Errorf("ID of %d bytes, expected a string", len(text))
	}
	return id.decode(text[1 : len(text)-1])
}

// Limits of what is read into memory, in bytes. restic writes indexes of 8 MiB;
// a tree has about 450 bytes for each entry of its directory.
const (
	maxSmall    = 1 << 20   // a key, or the configuration
	maxSnapshot = 64 << 20  // a snapshot names the paths that it was made of
	maxIndex    = 256 << 20 // a file of the index
	maxTree     = 1 << 30   // a tree or another blob, and whatever is decompressed
)

// DamagedHint is what to type about damage.
const DamagedHint = "restic check tells what is damaged"

// damaged is the problem of a file.
func damaged(name, format string, args ...any) error {
	return firstboot.NewProblem(firstboot.CodeDamaged, DamagedHint, "%s: %w", name, fmt.Errorf(format, args...))
}

// Repository is one that was opened. It may be used concurrently.
type Repository struct {
	dir     string
	version int
	key     *sealer
	zstd    *zstd.Decoder

	mu      sync.Mutex // of ReadIndex
	indexed bool
	index   index // of nothing until it is read
}

// Open opens the repository in a directory by one of its passwords. What is asked of
// trees and data wants ReadIndex before it.
func Open(ctx context.Context, dir string, password []byte) (*Repository, error) {
	r := &Repository{dir: dir}
	var err error
	if r.zstd, err = newDecoder(); err != nil {
		return nil, err
	}
	sealed, err := r.read("config", maxSmall)
	if err != nil {
		if errors.Is(err, errAbsent) {
			return nil, firstboot.NewProblem(firstboot.CodeNoRepository, "", "config: %w", errAbsent)
		}
		return nil, err
	}
	if r.key, err = r.unlock(ctx, password); err != nil {
		return nil, err
	}
	text, err := r.key.open(sealed)
	if err != nil {
		return nil, damaged("config", "%w", err)
	}
	if r.version, err = decodeConfig(text); err != nil {
		return nil, damaged("config", "%w", err)
	}
	return r, nil
}

// decodeConfig returns the version of the format.
func decodeConfig(text []byte) (int, error) {
	var c struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return 0, err
	}
	if c.Version != 1 && c.Version != 2 {
		return 0, fmt.Errorf("format %d, expected 1 or 2", c.Version)
	}
	return c.Version, nil
}

// Length returns how many bytes a blob of data has, which is not in doubt for one
// that is there: ok is false for what no index has.
func (r *Repository) Length(data ID) (n int64, ok bool) {
	places := r.index.data.find(data)
	if len(places) == 0 {
		return 0, false
	}
	return int64(places[0].size()), true
}
