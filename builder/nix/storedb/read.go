package storedb

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// Read returns all objects of a store, sorted by path, from its database, the
// file name, with "schema" beside it. Nothing is written to that folder; a
// database that Nix has open, or left with changes in a -wal file, is copied to
// a temporary folder first. References, Sigs and Outputs are sorted, and nil when
// there are none. The last is so for a derivation whose outputs get their paths
// when they are built.
//
// A database of another schema, one with a row that Nix cannot have written, and
// one that changes all the time while it is read are of class fault.Input.
func Read(ctx context.Context, name string) ([]Object, error) {
	var objects []Object
	err := visit(ctx, name, func(conn *sql.Conn) (err error) {
		objects, err = readAll(ctx, conn)
		return err
	})
	if err != nil {
		return nil, err
	}
	return objects, nil
}

// Closure returns roots and all that they refer to, directly or not, as Read
// does. Rows outside of the closure are not looked at. A root that the store
// does not have is of class fault.Input.
func Closure(ctx context.Context, name string, roots ...nix.StorePath) ([]Object, error) {
	var objects []Object
	err := visit(ctx, name, func(conn *sql.Conn) (err error) {
		objects, err = readClosure(ctx, conn, roots)
		return err
	})
	if err != nil {
		return nil, err
	}
	return objects, nil
}

// careful are settings for a database that others wrote: nothing in its schema
// may call functions with effects, and pages are checked when they are read.
var careful = []string{
	"pragma query_only = on",
	"pragma trusted_schema = off",
	"pragma cell_size_check = on",
	"pragma temp_store = memory",
}

// query opens the database at a URI, calls f and closes it.
func query(ctx context.Context, address string, f func(*sql.Conn) error) error {
	db, err := sql.Open("sqlite", address)
	if err != nil {
		return err
	}
	defer db.Close() // nothing was written
	conn, err := db.Conn(ctx)
	if err != nil {
		return classify(ctx, err)
	}
	defer conn.Close()
	if err := execute(ctx, conn, careful); err != nil {
		return classify(ctx, err)
	}
	if err := checkTables(ctx, conn); err != nil {
		return classify(ctx, err)
	}
	return classify(ctx, f(conn))
}

// classify says whose fault an error of SQLite is: that of the machine, or that
// of the file.
func classify(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff { // the upper bits hold details
	case codes.SQLITE_IOERR, codes.SQLITE_NOMEM, codes.SQLITE_FULL, codes.SQLITE_CANTOPEN, codes.SQLITE_PERM:
		return err
	}
	return fault.New(fault.Input, verifyHint, "damaged: %w", err)
}

// checkTables refuses views and virtual tables in the place of the tables: those run code, or never end.
func checkTables(ctx context.Context, conn *sql.Conn) error {
	var n int
	err := conn.QueryRowContext(ctx, "select count(*) from sqlite_master where type = 'table' and rootpage > 0 and name in ('ValidPaths', 'Refs', 'DerivationOutputs')").Scan(&n)
	if err == nil && n != 3 {
		return fault.New(fault.Input, "", "found %d of the tables ValidPaths, Refs and DerivationOutputs, expected the database of a Nix store", n)
	}
	return err
}

// store holds the objects that were read so far.
type store struct {
	objects []Object
	place   map[int64]int // in objects, by id
}

// add takes an object. Ids of a whole table ascend; that an id comes twice is
// the sign of a damaged tree of pages, which may have no end.
func (s *store) add(id int64, o Object) error {
	if _, ok := s.place[id]; ok {
		return damaged("ValidPaths", id, "store path %s: this id is there twice", o.Path)
	}
	s.place[id] = len(s.objects)
	s.objects = append(s.objects, o)
	return nil
}

// refer notes that one object refers to another.
func (s *store) refer(referrer, reference any) error {
	from, ok1 := referrer.(int64)
	to, ok2 := reference.(int64)
	i, ok3 := s.place[from]
	j, ok4 := s.place[to]
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return fault.New(fault.Input, verifyHint, "Refs row (%s, %s): expected the ids of two rows of ValidPaths", show(referrer), show(reference))
	}
	s.objects[i].References = append(s.objects[i].References, s.objects[j].Path)
	return nil
}

// output notes what a derivation makes.
func (s *store) output(drv, name, path any) error {
	id, ok1 := drv.(int64)
	i, ok2 := s.place[id]
	text, ok3 := name.(string)
	where, ok4 := path.(string)
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return fault.New(fault.Input, verifyHint, "DerivationOutputs row (%s, %s): path %s: expected the id of a row of ValidPaths, and two texts", show(drv), show(name), show(path))
	}
	p, err := nix.ParseStorePath(where)
	if err != nil {
		return fault.New(fault.Input, verifyHint, "DerivationOutputs row (%d, %.100q): %w", id, text, err)
	}
	o := &s.objects[i]
	if slices.ContainsFunc(o.Outputs, func(out Output) bool { return out.Name == text }) { // see add
		return fault.New(fault.Input, verifyHint, "DerivationOutputs row (%d, %.100q): is there twice, expected once", id, text)
	}
	o.Outputs = append(o.Outputs, Output{text, p})
	return nil
}

// sorted returns all objects, sorted by path.
func (s *store) sorted() ([]Object, error) {
	slices.SortFunc(s.objects, func(a, b Object) int { return a.Path.Compare(b.Path) })
	for i, o := range s.objects {
		if i > 0 && o.Path == s.objects[i-1].Path {
			return nil, fault.New(fault.Input, verifyHint, "ValidPaths: store path %s: is there twice, expected once", o.Path)
		}
		slices.SortFunc(o.References, nix.StorePath.Compare)
		for k, p := range o.References {
			if k > 0 && p == o.References[k-1] {
				return nil, fault.New(fault.Input, verifyHint, "Refs: store path %s: refers to %s twice, expected once", o.Path, p)
			}
		}
		slices.Sort(o.Sigs)
		slices.SortFunc(o.Outputs, byName)
		if err := o.checkOutputs(); err != nil {
			return nil, fault.New(fault.Input, verifyHint, "DerivationOutputs: %w", err)
		}
	}
	return s.objects, nil
}

// readAll reads all tables from end to end, and no index of them.
func readAll(ctx context.Context, conn *sql.Conn) ([]Object, error) {
	s := store{place: map[int64]int{}}
	err := each(ctx, conn, "select "+columns+" from ValidPaths not indexed", func(rows *sql.Rows) error {
		id, o, err := decode(rows)
		if err != nil {
			return err
		}
		return s.add(id, o)
	})
	if err != nil {
		return nil, err
	}
	last := int64(0)
	err = each(ctx, conn, "select rowid, referrer, reference from Refs not indexed", func(rows *sql.Rows) error {
		var id int64
		var referrer, reference any
		if err := rows.Scan(&id, &referrer, &reference); err != nil {
			return err
		}
		if id <= last { // see add
			return damaged("Refs", id, "follows row %d", last)
		}
		last = id
		return s.refer(referrer, reference)
	})
	if err != nil {
		return nil, err
	}
	err = each(ctx, conn, "select drv, id, path from DerivationOutputs not indexed", func(rows *sql.Rows) error {
		var drv, name, path any
		if err := rows.Scan(&drv, &name, &path); err != nil {
			return err
		}
		return s.output(drv, name, path)
	})
	if err != nil {
		return nil, err
	}
	return s.sorted()
}

// each calls f at each row of a query.
func each(ctx context.Context, conn *sql.Conn, text string, f func(*sql.Rows) error) error {
	rows, err := conn.QueryContext(ctx, text)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
