package closure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/narinfo"
	"github.com/6FaNcY9/mkimage/builder/nix/storedb"
)

// hintNoStore goes with a store that is not there.
const hintNoStore = "name the directory that holds nix/store, as for nix --store: --set nix.store=DIR; without Nix take the system out of a cache: cache:URL#STOREPATH"

// hintReadable goes with what an ordinary user may not read.
const hintReadable = "run it as a user who may read the store: Nix itself lets everybody"

// database is where a store has its database, from its directory.
const database = "nix/var/nix/db/db.sqlite"

// HostStore is a store of this host. Nothing is written to it, and no program of Nix is
// needed to read it.
type HostStore struct {
	dir     string
	objects *os.Root // the store directory
}

// OpenHostStore opens the store below a directory: "/" for the host's own, another for
// what Nix calls a chroot store. The store must be closed. Errors are of class
// fault.Input.
func OpenHostStore(dir string) (*HostStore, error) {
	name := filepath.Join(dir, nix.StoreDir)
	objects, err := os.OpenRoot(name)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fault.New(fault.Input, hintReadable, "store %s: %w", name, cause(err))
	case err != nil:
		return nil, fault.New(fault.Input, hintNoStore, "store %s: %w", name, cause(err))
	}
	return &HostStore{dir, objects}, nil
}

// cause is an error of package os without the path, which is often only a part of one.
func cause(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// Close closes the store; what was taken of it cannot be read any more.
func (s *HostStore) Close() error { return s.objects.Close() }

// HostOptions says how a closure is taken. The result depends on Keys only, and only in
// which signatures are kept.
type HostOptions struct {
	Keys narinfo.Keys // whose signatures the database of the closure keeps
	// Signed wants of each object a signature by one of the keys, or that its path proves
	// its content, as of a cache. Else the store is trusted, as Nix trusts it.
	Signed   bool
	FileSums bool                    // as in Options
	Workers  int                     // objects that are read at a time; 0 means GOMAXPROCS
	Progress func(done, total int64) // as in Options
}

// Closure returns the closure of objects: the same that Fetch makes out of a cache
// where it has the same objects with the same signatures. Its tree can be read as long
// as the store is open. Errors are of class fault.Input where the store is to blame, and
// name the object.
func (s *HostStore) Closure(ctx context.Context, roots []nix.StorePath, o HostOptions) (*Closure, error) {
	known, err := storedb.Closure(ctx, filepath.Join(s.dir, database), roots...)
	if err != nil {
		return nil, databaseError(err)
	}
	f, err := newFetcher(Options{Keys: o.Keys, Unsigned: !o.Signed, Workers: o.Workers, FileSums: o.FileSums, Progress: o.Progress})
	if err != nil {
		return nil, err
	}
	objects := make([]*found, len(known))
	for i, k := range known {
		if objects[i], err = f.known(k); err != nil {
			return nil, err
		}
	}
	h := &hostFetcher{fetcher: f, host: s}
	if err := f.each(ctx, objects, h.object); err != nil {
		return nil, err
	}
	return f.closure(roots, objects), nil
}

// databaseError gives an error of the database what may help.
func databaseError(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Input, hintReadable, "%w", err)
	case fault.ClassOf(err) == fault.Input && fault.HintOf(err) == "":
		return fault.New(fault.Input, hintNoStore, "%w", err)
	}
	return err
}

// known makes of what a database says of an object what a cache would say.
func (f *fetcher) known(k storedb.Object) (*found, error) {
	if err := noDerivation(k.Path); err != nil {
		return nil, err
	}
	info := &narinfo.Info{Path: k.Path, NarHash: k.NarHash, NarSize: k.NarSize, References: k.References, CA: k.CA}
	for _, s := range k.Sigs {
		// One that is no signature proves nothing: Nix passes over it, too.
		_ = info.AddSig(s)
	}
	content, err := f.trust(info, false)
	if err != nil {
		return nil, err
	}
	return &found{info: info, cache: -1, content: content}, nil
}

// name is the path of an object, or of what is in one, on this host.
func (s *HostStore) name(rel string) string { return filepath.Join(s.dir, nix.StoreDir, rel) }

// damaged is the error of an object that is not what the database says.
func (s *HostStore) damaged(format string, args ...any) error {
	of := ""
	if s.dir != "/" {
		of = " --store " + quoted(s.dir)
	}
	return fault.New(fault.Input, "let Nix mend the store: nix-store"+of+" --verify --check-contents --repair", "%w", fmt.Errorf(format, args...))
}

// quoted returns a word as a shell takes it.
func quoted(word string) string {
	if !strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`"'\$&;|<>()*?[]#~!{}`+"`", r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
