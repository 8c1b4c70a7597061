package storedb

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// settings hold for the one connection that writes. The page size is Nix' own.
// There is no journal, because a file that is not whole is removed; temporary
// data stay in memory, so that nothing is left beside the file. What is free in
// a page is zeroed, so that no byte depends on what was there before.
var settings = []string{
	"pragma page_size = 4096",
	"pragma journal_mode = off",
	"pragma synchronous = off",
	"pragma temp_store = memory",
	"pragma secure_delete = on",
	"pragma locking_mode = exclusive",
	"pragma foreign_keys = off", // prepare has checked them
	"pragma cache_size = -2048",
}

// Write makes the database of a store that holds objects, in any order, as the
// new file name, of mode 0644. It does not sync it. The objects must be closed:
// each reference is one of them.
//
// Equal objects give equal bytes: rows go in sorted by path, with ids from 1 and
// the registration time 1, in one transaction of a fixed order. The number of
// the SQLite version is a part of the file, at offset 96; the version of the
// module modernc.org/sqlite pins it.
//
// Objects that are not valid or not closed are of class fault.Input, and a file
// that is there already, or a leftover of a database beside it, of class
// fault.Target. After an error, also that of a cancelled ctx, there is no file.
func Write(ctx context.Context, name string, objects []Object) (err error) {
	rows, err := prepare(objects)
	if err != nil {
		return err
	}
	if err := create(name); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("store database %s: %w", name, err), os.Remove(name))
		}
	}()
	return fill(ctx, name, rows)
}

// row is an object with the sorted ids of its references.
type row struct {
	*Object
	refs []int64
}

// prepare sorts objects by path and finds the id of each reference: the place
// of what it names, from 1. Nothing of objects is changed.
func prepare(objects []Object) ([]row, error) {
	rows := make([]row, len(objects))
	for i := range objects {
		if err := objects[i].check(); err != nil {
			return nil, err
		}
		if objects[i].isDerivation() && len(objects[i].Outputs) == 0 {
			return nil, fault.New(fault.Input, "", "store path %s: a derivation without outputs, expected those that it makes", objects[i].Path)
		}
		rows[i].Object = &objects[i]
	}
	slices.SortFunc(rows, func(a, b row) int { return a.Path.Compare(b.Path) })
	ids := make(map[nix.StorePath]int64, len(rows))
	for i, r := range rows {
		if ids[r.Path] != 0 {
			return nil, fault.New(fault.Input, "", "store path %s: is there twice, expected once", r.Path)
		}
		ids[r.Path] = int64(i) + 1
	}
	for i, r := range rows {
		refs := make([]int64, 0, len(r.References))
		for _, p := range r.References {
			id := ids[p]
			if id == 0 {
				return nil, fault.New(fault.Input, "", "store path %s: refers to %s, which is not among the %d objects of the store", r.Path, p, len(rows))
			}
			refs = append(refs, id)
		}
		slices.Sort(refs)
		rows[i].refs = slices.Compact(refs)
	}
	return rows, nil
}

// suffixes are of files that SQLite keeps beside a database. It would take
// those of another one for its own: play them back, or delete them.
var suffixes = []string{"-wal", "-shm", "-journal"}

// create makes the empty file name, never over another.
func create(name string) error {
	for _, suffix := range suffixes {
		if _, err := os.Lstat(name + suffix); !errors.Is(err, fs.ErrNotExist) {
			return exists(name+suffix, err)
		}
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return exists(name, nil)
	}
	if err != nil {
		return fmt.Errorf("store database: %w", err)
	}
	return f.Close()
}

func exists(name string, err error) error {
	if err != nil {
		return fmt.Errorf("store database: %w", err)
	}
	return fault.New(fault.Target, "rm "+name, "store database: %s exists, expected no such file", name)
}

// uri names a database file for SQLite, whatever letters its name has.
func uri(name, query string) (string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	u := url.URL{Scheme: "file", Path: abs, RawQuery: query}
	return u.String(), nil
}

// fill writes all tables into the empty file name.
func fill(ctx context.Context, name string, rows []row) (err error) {
	address, err := uri(name, "mode=rw")
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", address)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, conn.Close()) }()
	if err := execute(ctx, conn, slices.Concat(settings, []string{"begin"}, tables)); err != nil {
		return err
	}
	if err := insert(ctx, conn, rows); err != nil {
		return err
	}
	return execute(ctx, conn, slices.Concat(indexes, []string{"commit"}))
}

func execute(ctx context.Context, conn *sql.Conn, statements []string) error {
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%.40q: %w", s, err)
		}
	}
	return nil
}

// inserter writes one object after the other.
type inserter struct{ path, ref, output *sql.Stmt }

// insert writes all rows. The context is asked once an object and not given to
// the driver, which would start a goroutine for each statement.
func insert(ctx context.Context, conn *sql.Conn, rows []row) (err error) {
	var in inserter
	quiet := context.WithoutCancel(ctx)
	for _, s := range []struct {
		to   **sql.Stmt
		text string
	}{
		{&in.path, "insert into ValidPaths values (?, ?, ?, 1, ?, ?, ?, ?, ?)"},
		{&in.ref, "insert into Refs values (?, ?)"},
		{&in.output, "insert into DerivationOutputs values (?, ?, ?)"},
	} {
		stmt, err := conn.PrepareContext(quiet, s.text)
		if err != nil {
			return err
		}
		defer stmt.Close() // its errors are those of Exec
		*s.to = stmt
	}
	for i, r := range rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := in.object(int64(i)+1, r); err != nil {
			return fmt.Errorf("store path %s: %w", r.Path, err)
		}
	}
	return nil
}

// object writes all rows of one object.
func (in *inserter) object(id int64, r row) error {
	if _, err := in.path.Exec(r.values(id)...); err != nil {
		return err
	}
	for _, ref := range r.refs {
		if _, err := in.ref.Exec(id, ref); err != nil {
			return err
		}
	}
	outputs := slices.Clone(r.Outputs)
	slices.SortFunc(outputs, byName)
	for _, o := range outputs {
		if _, err := in.output.Exec(id, o.Name, o.Path.String()); err != nil {
			return err
		}
	}
	return nil
}

func byName(a, b Output) int { return strings.Compare(a.Name, b.Name) }

// values are the columns of ValidPaths but the time. Nix has NULL, not 0 or an
// empty text, for each that an object does not have.
func (r row) values(id int64) []any {
	var deriver, ultimate, sigs, ca any
	if !r.Deriver.IsZero() {
		deriver = r.Deriver.String()
	}
	if r.Ultimate {
		ultimate = 1
	}
	if len(r.Sigs) > 0 {
		sigs = strings.Join(slices.Compact(slices.Sorted(slices.Values(r.Sigs))), " ")
	}
	if r.CA != "" {
		ca = r.CA
	}
	return []any{id, r.Path.String(), hashPrefix + hex.EncodeToString(r.NarHash[:]), deriver, r.NarSize, ultimate, sigs, ca}
}
