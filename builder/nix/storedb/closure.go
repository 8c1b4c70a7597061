package storedb

import (
	"context"
	"database/sql"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// walker reads one object after the other.
type walker struct {
	store
	byPath, byID, refs, outputs *sql.Stmt
	edges                       [][2]int64 // referrer and reference
}

// readClosure walks from root along the references, by the indexes that Nix
// itself uses.
func readClosure(ctx context.Context, conn *sql.Conn, roots []nix.StorePath) ([]Object, error) {
	w := walker{store: store{place: map[int64]int{}}}
	// As in insert: the driver would start a goroutine for each query.
	quiet := context.WithoutCancel(ctx)
	for text, s := range map[string]**sql.Stmt{
		"select " + columns + " from ValidPaths where path = ?": &w.byPath,
		"select " + columns + " from ValidPaths where id = ?":   &w.byID,
		"select reference from Refs where referrer = ?":         &w.refs,
		"select id, path from DerivationOutputs where drv = ?":  &w.outputs,
	} {
		stmt, err := conn.PrepareContext(quiet, text)
		if err != nil {
			return nil, err
		}
		defer stmt.Close()
		*s = stmt
	}
	var queue []int64
	for _, root := range roots {
		found, id, err := w.object(w.byPath, root.String())
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, fault.New(fault.Input, "build or copy it: nix-store -r "+root.String(), "%s is not valid in the store", root)
		}
		queue = append(queue, id)
	}
	for ; len(queue) > 0; queue = queue[1:] {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		next, err := w.references(queue[0])
		if err != nil {
			return nil, err
		}
		queue = append(queue, next...)
	}
	for _, e := range w.edges {
		if err := w.refer(e[0], e[1]); err != nil {
			return nil, err
		}
	}
	return w.sorted()
}

// object reads the object that a statement finds for a key.
func (w *walker) object(s *sql.Stmt, key any) (found bool, id int64, err error) {
	rows, err := s.Query(key)
	if err != nil {
		return false, 0, err
	}
	defer rows.Close()
	if !rows.Next() {
		return false, 0, rows.Err()
	}
	id, o, err := decode(rows)
	if err != nil {
		return false, 0, err
	}
	if err := w.add(id, o); err != nil || !o.isDerivation() {
		return true, id, err
	}
	return true, id, w.outputsOf(id)
}

func (w *walker) outputsOf(id int64) error {
	rows, err := w.outputs.Query(id)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name, path any
		if err := rows.Scan(&name, &path); err != nil {
			return err
		}
		if err := w.output(id, name, path); err != nil {
			return err
		}
	}
	return rows.Err()
}

// references notes what the object id refers to, reads what is new of it, and
// returns the ids of that.
func (w *walker) references(id int64) ([]int64, error) {
	begin := len(w.edges)
	if err := w.edgesOf(id); err != nil {
		return nil, err
	}
	var next []int64
	for _, e := range w.edges[begin:] {
		if _, ok := w.place[e[1]]; ok {
			continue
		}
		found, read, err := w.object(w.byID, e[1])
		if err != nil {
			return nil, err
		}
		if found && read == e[1] {
			next = append(next, read)
		} // else refer says so
	}
	return next, nil
}

func (w *walker) edgesOf(id int64) error {
	rows, err := w.refs.Query(id)
	if err != nil {
		return err
	}
	defer rows.Close()
	seen := map[int64]bool{}
	for rows.Next() {
		var to int64
		if err := rows.Scan(&to); err != nil {
			return damaged("Refs", id, "reference: %w", err)
		}
		if seen[to] { // see add
			return damaged("Refs", id, "refers to row %d twice, expected once", to)
		}
		seen[to] = true
		w.edges = append(w.edges, [2]int64{id, to})
	}
	return rows.Err()
}
