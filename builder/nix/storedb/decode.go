package storedb

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// hashPrefix stands before the digits of a hash.
const hashPrefix = "sha256:"

// columns are what decode reads of ValidPaths.
const columns = "id, path, hash, deriver, narSize, ultimate, sigs, ca"

// verifyHint is what helps a store with a damaged database.
const verifyHint = "let Nix check the store: nix-store --verify --check-contents"

// damaged is the error of a row that Nix cannot have written.
func damaged(table string, id int64, format string, args ...any) error {
	return fault.New(fault.Input, verifyHint, "%s row %d: %w", table, id, fault.New(fault.Input, "", format, args...))
}

// decode reads the row of ValidPaths that rows is at. It takes nothing but the
// types that Nix writes: SQLite itself lets any value be in any column.
func decode(rows *sql.Rows) (int64, Object, error) {
	var o Object
	var idValue, path, hash, deriver, size, ultimate, sigs, ca any
	if err := rows.Scan(&idValue, &path, &hash, &deriver, &size, &ultimate, &sigs, &ca); err != nil {
		return 0, o, err
	}
	id, ok := idValue.(int64)
	if !ok || id < 1 {
		return 0, o, damaged("ValidPaths", id, "id %s: expected a number from 1", show(idValue))
	}
	if err := o.decodeNames(path, deriver); err != nil {
		return 0, o, damaged("ValidPaths", id, "%w", err)
	}
	if err := o.decodeHash(hash); err != nil {
		return 0, o, damaged("ValidPaths", id, "store path %s: %w", o.Path, err)
	}
	if o.NarSize, ok = size.(int64); !ok {
		return 0, o, damaged("ValidPaths", id, "store path %s: narSize %s: expected a number", o.Path, show(size))
	}
	switch ultimate {
	case nil, int64(0):
	case int64(1):
		o.Ultimate = true
	default:
		return 0, o, damaged("ValidPaths", id, "store path %s: ultimate %s: expected NULL, 0 or 1", o.Path, show(ultimate))
	}
	signatures, sigsOK := optional(sigs)
	if o.CA, ok = optional(ca); !ok || !sigsOK {
		return 0, o, damaged("ValidPaths", id, "store path %s: sigs %s and ca %s: expected texts or NULL", o.Path, show(sigs), show(ca))
	}
	if signatures != "" {
		o.Sigs = strings.Split(signatures, " ")
	}
	if err := o.check(); err != nil {
		return 0, o, damaged("ValidPaths", id, "%w", err)
	}
	return id, o, nil
}

// show returns a value of any column for an error.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case string:
		return fmt.Sprintf("%.100q", v)
	case []byte:
		return fmt.Sprintf("of %d bytes without type", len(v))
	}
	return fmt.Sprint(v)
}

// optional returns the text of a column that may be NULL.
func optional(v any) (text string, ok bool) {
	if v == nil {
		return "", true
	}
	text, ok = v.(string)
	return text, ok
}

func (o *Object) decodeNames(path, deriver any) (err error) {
	text, ok := path.(string)
	if !ok {
		return fault.New(fault.Input, "", "path %s: expected a text", show(path))
	}
	if o.Path, err = nix.ParseStorePath(text); err != nil || deriver == nil {
		return err
	}
	if text, ok = deriver.(string); !ok {
		return fault.New(fault.Input, "", "store path %s: deriver %s: expected a text or NULL", o.Path, show(deriver))
	}
	o.Deriver, err = nix.ParseStorePath(text)
	return err
}

func (o *Object) decodeHash(hash any) error {
	text, ok := hash.(string)
	digits, prefixed := strings.CutPrefix(text, hashPrefix)
	if !ok || !prefixed || len(digits) != hex.EncodedLen(len(o.NarHash)) || digits != strings.ToLower(digits) {
		return fault.New(fault.Input, "", "hash %s: expected %s and 64 lower case digits of base 16", show(hash), hashPrefix)
	}
	if _, err := hex.Decode(o.NarHash[:], []byte(digits)); err != nil {
		return fault.New(fault.Input, "", "hash %.100q: %w", text, err)
	}
	return nil
}
