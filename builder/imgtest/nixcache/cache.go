// Package nixcache makes binary caches of Nix for tests, without Nix: objects of given
// content and references, signed, in any compression. What it writes depends on its
// arguments alone.
package nixcache

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/nix-community/go-nix/pkg/nixbase32"

	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/nar"
)

// File is one file of an object: a symlink where Link is set, else a regular file.
type File struct {
	Link       string
	Content    []byte
	Executable bool
}

// Object is a store object to be. Its path follows from its name.
type Object struct {
	Name       string
	Files      map[string]File // by their paths, without a slash in front; the only one called "" is the object itself
	References []string        // names of objects
}

// keyName is the name of the key that signs.
const keyName = "nixcache-1"

var secret = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

// Key returns the public key of all caches, as trusted-public-keys has it.
func Key() string {
	return keyName + ":" + base64.StdEncoding.EncodeToString(secret.Public().(ed25519.PublicKey))
}

// Path returns the path of the object of a name.
func Path(name string) nix.StorePath {
	sum := sha256.Sum256([]byte("nixcache:" + name))
	return nix.StorePath{Hash: nixbase32.EncodeToString(sum[:20]), Name: name}
}

// Write makes a cache of objects in a folder, which is made. Compression is none, zstd or
// gzip.
func Write(dir, compression string, objects []Object) error {
	if err := os.MkdirAll(filepath.Join(dir, "nar"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "nix-cache-info"), []byte("StoreDir: "+nix.StoreDir+"\n"), 0o644); err != nil {
		return err
	}
	for _, o := range objects {
		if err := o.write(dir, compression); err != nil {
			return fmt.Errorf("%s: %w", o.Name, err)
		}
	}
	return nil
}

func (o Object) write(dir, compression string) error {
	p := Path(o.Name)
	url := "nar/" + p.Hash + ".nar"
	f, err := os.Create(filepath.Join(dir, url))
	if err != nil {
		return err
	}
	defer f.Close()
	packed, err := packer(f, compression)
	if err != nil {
		return err
	}
	digest, size := sha256.New(), &counter{}
	if err := o.archive(io.MultiWriter(digest, size, packed)); err != nil {
		return err
	}
	if err := packed.Close(); err != nil {
		return err
	}
	text := o.info(p, url, compression, fmt.Sprintf("sha256:%s", nixbase32.EncodeToString(digest.Sum(nil))), size.n)
	return os.WriteFile(filepath.Join(dir, p.Hash+".narinfo"), []byte(text), 0o644)
}

// info returns what the cache says about the object.
func (o Object) info(p nix.StorePath, url, compression, hash string, size int64) string {
	var paths, bases []string
	for _, name := range o.References {
		paths, bases = append(paths, Path(name).String()), append(bases, Path(name).Base())
	}
	slices.Sort(paths)
	slices.Sort(bases)
	fingerprint := fmt.Sprintf("1;%s;%s;%d;%s", p, hash, size, strings.Join(paths, ","))
	sig := base64.StdEncoding.EncodeToString(ed25519.Sign(secret, []byte(fingerprint)))
	return fmt.Sprintf("StorePath: %s\nURL: %s\nCompression: %s\nNarHash: %s\nNarSize: %d\nReferences: %s\nSig: %s:%s\n",
		p, url, compression, hash, size, strings.Join(bases, " "), keyName, sig)
}

// archive writes the object as an archive.
func (o Object) archive(w io.Writer) error {
	e := nar.NewEncoder(w)
	if f, alone := o.Files[""]; alone {
		if err := f.encode(e, ""); err != nil {
			return err
		}
		return e.Close()
	}
	dirs := map[string]bool{"": true}
	for name := range o.Files {
		for d := path.Dir(name); d != "."; d = path.Dir(d) {
			dirs[d] = true
		}
	}
	all := slices.Collect(maps.Keys(o.Files))
	all = slices.AppendSeq(all, maps.Keys(dirs))
	slices.SortFunc(all, comparePaths)
	for _, name := range all {
		var err error
		if dirs[name] {
			err = e.Directory(name)
		} else {
			err = o.Files[name].encode(e, name)
		}
		if err != nil {
			return err
		}
	}
	return e.Close()
}

// comparePaths orders paths as an archive has them: by their elements.
func comparePaths(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

func (f File) encode(e *nar.Encoder, name string) error {
	if f.Link != "" {
		return e.Symlink(name, f.Link)
	}
	return e.File(nar.File{Path: name, Executable: f.Executable, Size: int64(len(f.Content))}, bytes.NewReader(f.Content))
}

type counter struct{ n int64 }

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// plain is a writer that compresses nothing.
type plain struct{ io.Writer }

// Close implements io.Closer.
func (plain) Close() error { return nil }

func packer(w io.Writer, compression string) (io.WriteCloser, error) {
	switch compression {
	case "none":
		return plain{w}, nil
	case "gzip":
		return gzip.NewWriter(w), nil
	case "zstd":
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	}
	return nil, fmt.Errorf("compression %q: expected none, gzip or zstd", compression)
}
