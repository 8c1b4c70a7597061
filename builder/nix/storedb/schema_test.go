package storedb

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// registered is the time of a registration in the output of nix path-info.
var registered = regexp.MustCompile(`"registrationTime":\d+,`)

// listing returns the rows of a query, a line each.
func listing(t *testing.T, name, query string) (lines []string) {
	t.Helper()
	rows, err := open(t, name).QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprint(values...))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// meaning is what the schema of a database says, whatever its wording.
func meaning(t *testing.T, name string) map[string][]string {
	t.Helper()
	const tables = "(select name as tab from sqlite_master where type = 'table') "
	const index = "(select m.tab, l.* from (select name as tab from sqlite_master where type = 'table') m, pragma_index_list(m.tab) l) i "
	got := map[string][]string{
		"names":        listing(t, name, "select type, name, tbl_name from sqlite_master order by 1, 2"),
		"columns":      listing(t, name, "select tab, c.* from "+tables+", pragma_table_xinfo(tab) c order by 1, cid"),
		"tables":       listing(t, name, "select schema, name, type, ncol, wr, strict from pragma_table_list where name not like 'sqlite_%schema' order by 2"),
		"indexes":      listing(t, name, `select tab, name, "unique", origin, partial from `+index+"order by 1, 2"),
		"index keys":   listing(t, name, "select i.name, k.* from "+index+", pragma_index_xinfo(i.name) k order by 1, k.seqno"),
		"foreign keys": listing(t, name, "select tab, f.* from "+tables+", pragma_foreign_key_list(tab) f order by 1, f.id, f.seq"),
		"numbers":      listing(t, name, "select * from pragma_user_version, pragma_application_id, pragma_encoding, pragma_auto_vacuum, pragma_page_size"),
	}
	for _, text := range listing(t, name, "select name || ': ' || sql from sqlite_master where type = 'trigger' or sql like '%autoincrement%' order by 1") {
		if strings.HasPrefix(text, "ValidPaths") {
			text = "ValidPaths counts ids" // the only thing that no pragma says
		}
		got["triggers"] = append(got["triggers"], strings.ToLower(strings.Join(strings.Fields(text), " ")))
	}
	return got
}

// TestSchema compares the tables of an empty database of Nix with ours.
func TestSchema(t *testing.T) {
	s := newStore(t)
	s.run("nix-store", "--init")
	want := meaning(t, s.db())
	for what, lines := range want {
		if len(lines) == 0 {
			t.Errorf("%s: nothing to compare", what)
		}
	}
	if diff := cmp.Diff(want, meaning(t, written(t, nil))); diff != "" {
		t.Errorf("schema (-nix +ours):\n%s", diff)
	}
}
