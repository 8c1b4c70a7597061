package storedb

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// attempts is how often a database is read anew that changed meanwhile. Nix
// writes it in short bursts: when a path is built, copied or deleted.
const attempts = 5

// errChanged says that what was read is of two states of the database.
var errChanged = errors.New("changed while it was read")

// visit calls f with a connection to a state of the database name that does not
// change. It calls f again when that turns out to have been an illusion.
//
// SQLite offers two ways to read a database in WAL mode, as Nix has it. A
// connection as any other makes or locks the -shm file, and as root removes or
// makes the -wal file: it writes to the store. One with immutable=1 does not, but
// does not see what is only in the -wal file either. So this takes the second
// one when there is no -wal file with content, and looks afterwards whether it
// is still so; else it copies both files and reads the copy.
func visit(ctx context.Context, name string, f func(*sql.Conn) error) error {
	if err := checkSchema(filepath.Join(filepath.Dir(name), "schema")); err != nil {
		return err
	}
	file, err := filepath.EvalSymlinks(name) // SQLite looks for its other files beside the real one
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Input, "", "store database: %w", err)
	}
	if err != nil {
		return fmt.Errorf("store database: %w", err)
	}
	for range attempts {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		err := visitOnce(ctx, file, f)
		if err == nil {
			return nil
		}
		if !errors.Is(err, errChanged) {
			return fmt.Errorf("store database %s: %w", name, err)
		}
	}
	return fault.New(fault.Input, "wait until Nix is idle, then try again", "store database %s: %w, %d times", name, errChanged, attempts)
}

// maxSchema is more than any schema file has, in bytes.
const maxSchema = 64

func checkSchema(name string) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Input, "", "store database: no file %s, expected one that says %s", name, Schema)
	}
	if err != nil {
		return fmt.Errorf("store database: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSchema))
	if err != nil {
		return fmt.Errorf("store database: %w", err)
	}
	if string(content) != Schema {
		return fault.New(fault.Input, "let Nix 2 bring it up to date: nix-store --verify", "store database: %s says schema %q, expected %q", name, content, Schema)
	}
	return nil
}

func visitOnce(ctx context.Context, name string, f func(*sql.Conn) error) error {
	before, err := look(name)
	if err != nil {
		return err
	}
	if !before.wal {
		address, err := uri(name, "mode=ro&immutable=1")
		if err != nil {
			return err
		}
		err = query(ctx, address, f)
		// First of all: a row may seem damaged because of the change.
		if after, lookErr := look(name); ctx.Err() == nil && (lookErr != nil || !after.equal(before)) {
			return errChanged
		}
		return err
	}
	dir, err := os.MkdirTemp("", "storedb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	twin := filepath.Join(dir, "db.sqlite")
	if err := copyPair(ctx, name, twin); err != nil {
		return err
	}
	address, err := uri(twin, "mode=rw")
	if err != nil {
		return err
	}
	return query(ctx, address, f)
}

// state is what the folder of a database says of it.
type state struct {
	file fs.FileInfo
	wal  bool // a -wal file has content
}

func (s state) equal(t state) bool {
	return os.SameFile(s.file, t.file) && s.file.Size() == t.file.Size() && s.file.ModTime().Equal(t.file.ModTime()) && s.wal == t.wal
}

// look refuses a database with a rollback journal: Nix writes one in the place
// of the -wal file when it is set to, and one with content is that of a
// transaction which is under way or was cut short.
func look(name string) (state, error) {
	file, err := os.Stat(name)
	if err != nil {
		return state{}, err
	}
	if !file.Mode().IsRegular() {
		return state{}, fault.New(fault.Input, "", "is of type %s, expected a regular file", file.Mode().Type())
	}
	journal, err := hasContent(name + "-journal")
	if err != nil {
		return state{}, err
	}
	if journal {
		return state{}, fault.New(fault.Input, "let Nix end it: nix-store --verify", "a change is not complete: its -journal file has content")
	}
	wal, err := hasContent(name + "-wal")
	return state{file, wal}, err
}

func hasContent(name string) (bool, error) {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Size() > 0, err
}

// walHeader is the size of the header of a -wal file. Its two salts change each
// time that SQLite begins to fill the file anew.
const walHeader = 32

// copyPair copies the database name and its -wal file to twin, or returns
// errChanged. SQLite appends to the -wal file, and now and then carries its
// pages over into the database. What was copied fits together when
//   - the database is the same when it is read once more after both are copied:
//     then the copy is its state at the end of the first reading, and
//   - the -wal file was neither begun anew nor replaced in between: then its copy,
//     which was made after that, has all that was carried over by then.
//
// A frame at the end of it that is not whole has a wrong checksum and does not
// count.
func copyPair(ctx context.Context, name, twin string) error {
	db, err := os.Open(name)
	if err != nil {
		return err
	}
	defer db.Close()
	wal, err := os.Open(name + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return errChanged
	}
	if err != nil {
		return err
	}
	defer wal.Close()
	var begin [walHeader]byte
	if _, err := wal.ReadAt(begin[:], 0); err != nil && err != io.EOF {
		return err
	}
	if err := copyFile(ctx, db, twin); err != nil {
		return err
	}
	if err := copyFile(ctx, wal, twin+"-wal"); err != nil {
		return err
	}
	if err := same(ctx, db, twin); err != nil {
		return err
	}
	return unreplaced(db, wal, begin[:])
}

// unreplaced returns errChanged unless both files still have their names, and
// the -wal file the header begin.
func unreplaced(db, wal *os.File, begin []byte) error {
	for _, f := range []*os.File{db, wal} {
		held, err := f.Stat()
		if err != nil {
			return err
		}
		named, err := os.Stat(f.Name())
		if err != nil || !os.SameFile(held, named) {
			return errChanged
		}
	}
	var end [walHeader]byte
	if _, err := wal.ReadAt(end[:], 0); err != nil && err != io.EOF {
		return err
	}
	if !bytes.Equal(begin, end[:]) {
		return errChanged
	}
	return nil
}
