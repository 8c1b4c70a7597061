package storedb

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// open returns a connection that may write to a database.
func open(t testing.TB, name string, statements ...string) *sql.Conn {
	t.Helper()
	address, err := uri(name, "mode=rw")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := execute(context.Background(), conn, statements); err != nil {
		t.Fatal(err)
	}
	return conn
}

// one returns the only value that a query gives.
func one[T any](t testing.TB, name, text string) (v T) {
	t.Helper()
	if err := open(t, name).QueryRowContext(t.Context(), text).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestReadDamaged changes a good database by one statement. The rows of few are
// 1 to 3 by path.
func TestReadDamaged(t *testing.T) {
	first := byPath(few())[0].Path.String()
	text := strings.Repeat
	drvRow := fmt.Sprint(1 + slices.IndexFunc(byPath(few()), func(o Object) bool { return o.Outputs != nil }))
	tests := []struct{ name, sql, want string }{ // want: in the error; empty: none
		{"path", "update ValidPaths set path = '/nix/store/x' where id = 2", "ValidPaths row 2: store path \"/nix/store/x\""},
		{"path a number", "update ValidPaths set path = x'00' where id = 2", "ValidPaths row 2: path of 1 bytes without type"},
		{"id 0", "pragma foreign_keys = off; update ValidPaths set id = 0 where id = 2", "id 0: expected a number from 1"},
		{"id -1", "pragma foreign_keys = off; update ValidPaths set id = -1 where id = 2", "id -1: expected a number from 1"},
		{"hash of base 32", "update ValidPaths set hash = 'sha256:" + text("0", 52) + "'", "row 1: store path " + first + ": hash"},
		{"hash without prefix", "update ValidPaths set hash = '" + text("0", 71) + "'", "expected sha256: and 64"},
		{"hash one digit short", "update ValidPaths set hash = 'sha256:" + text("0", 63) + "'", "expected sha256: and 64"},
		{"hash of 64 digits", "update ValidPaths set hash = 'sha256:" + text("0", 64) + "'", ""},
		{"hash one digit long", "update ValidPaths set hash = 'sha256:" + text("0", 65) + "'", "expected sha256: and 64"},
		{"hash in capitals", "update ValidPaths set hash = 'sha256:" + text("A", 64) + "'", "expected sha256: and 64"},
		{"hash of other letters", "update ValidPaths set hash = 'sha256:" + text("g", 64) + "'", "row 1: store path " + first + ": hash"},
		{"hash a blob", "update ValidPaths set hash = cast(hash as blob)", "expected sha256: and 64"},
		{"deriver", "update ValidPaths set deriver = '' where id = 3", "ValidPaths row 3: store path \"\""},
		{"deriver a blob", "update ValidPaths set deriver = x'41' where id = 3", "deriver of 1 bytes without type"},
		{"size unknown", "update ValidPaths set narSize = NULL where id = 3", "narSize NULL: expected a number"},
		{"size a text", "update ValidPaths set narSize = 'much' where id = 3", "narSize \"much\": expected a number"},
		{"size 0", "update ValidPaths set narSize = 0 where id = 3", "ValidPaths row 3: store path " + byPath(few())[2].Path.String() + ": NAR of 0 bytes"},
		{"size 1", "update ValidPaths set narSize = 1 where id = 3", ""},
		{"ultimate -1", "update ValidPaths set ultimate = -1", "ultimate -1: expected NULL, 0 or 1"},
		{"ultimate 0", "update ValidPaths set ultimate = 0", ""},
		{"ultimate 2", "update ValidPaths set ultimate = 2", "ultimate 2: expected NULL, 0 or 1"},
		{"ultimate a text", "update ValidPaths set ultimate = 'yes'", "ultimate \"yes\": expected NULL, 0 or 1"},
		{"no signatures", "update ValidPaths set sigs = ''", ""},
		{"two spaces", "update ValidPaths set sigs = 'a:b  c:d'", "signature \"\": expected NAME:BASE64"},
		{"signatures a blob", "update ValidPaths set sigs = x'41'", "sigs of 1 bytes without type"},
		{"no content address", "update ValidPaths set ca = ''", ""},
		{"content address", "update ValidPaths set ca = 'text'", "content address \"text\""},
		{"content address a blob", "update ValidPaths set ca = x'41'", "ca of 1 bytes without type"},
		{"referrer", "pragma foreign_keys = off; insert into Refs values (4, 1)", "Refs row (4, 1)"},
		{"reference", "pragma foreign_keys = off; insert into Refs values (1, 4)", "Refs row (1, 4)"},
		{"reference a text", "pragma foreign_keys = off; insert into Refs values (1, 'x')", "Refs row (1, \"x\")"},
		{"output of nothing", "pragma foreign_keys = off; update DerivationOutputs set drv = 4", "DerivationOutputs row (4, \"dev\")"},
		{"output of another", "update DerivationOutputs set drv = drv % 3 + 1", "expected that of derivations only"},
		{"output a blob", "update DerivationOutputs set id = x'41' where id = 'out'", "row (" + drvRow + ", of 1 bytes without type)"},
		{"output without name", "update DerivationOutputs set id = '' where id = 'out'", "output \"\": expected"},
		{"path of an output", "update DerivationOutputs set path = 'x' where id = 'out'", "DerivationOutputs row (" + drvRow + ", \"out\"): store path"},
		{"path of an output a blob", "update DerivationOutputs set path = x'41' where id = 'out'", "path of 1 bytes without type"},
		{"output twice", "create table d as select * from DerivationOutputs; insert into d select * from d; drop table DerivationOutputs; alter table d rename to DerivationOutputs", "is there twice, expected once"},
		{"no outputs", "delete from DerivationOutputs", ""},
		{"no table", "pragma foreign_keys = off; drop table Refs", "found 2 of the tables"},
		{"view", "alter table Refs rename to r; create view Refs as select * from r", "found 2 of the tables"},
		{"other columns", "alter table ValidPaths rename column narSize to size", "no such column: narSize"},
		{"newer migration", "create table SchemaMigrations(migration text primary key not null); drop index IndexReferrer", ""},
		{"looser table", "create table v as select * from ValidPaths; insert into v select * from v; pragma foreign_keys = off; drop table ValidPaths; alter table v rename to ValidPaths", "row 1: store path " + first + ": this id is there twice"},
		{"path twice", "create table v as select * from ValidPaths; insert into v select 9, path, hash, 1, null, 1, null, null, null from v where id = 1; pragma foreign_keys = off; drop table ValidPaths; alter table v rename to ValidPaths", first + ": is there twice"},
		{"reference twice", "create table r as select * from Refs; insert into r select * from r; drop table Refs; alter table r rename to Refs", "twice, expected once"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := written(t, few())
			open(t, name, "pragma legacy_alter_table = on; "+tt.sql)
			got, err := Read(t.Context(), name)
			if tt.want == "" {
				if err != nil || len(got) != 3 {
					t.Errorf("Read = %d objects, %v; want 3", len(got), err)
				}
				return
			}
			if got != nil || fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), name) {
				t.Errorf("Read = %d objects, %v; want class input, %q and %s", len(got), err, tt.want, name)
			}
		})
	}
}

// TestReadCircle has a tree of pages whose last branch is its first one again:
// the rows of that come twice. With more of such branches they would have no end.
func TestReadCircle(t *testing.T) {
	for table, want := range map[string]string{"ValidPaths": "this id is there twice", "Refs": "follows row"} {
		name := written(t, many(300, 12))
		at := 4096 * (one[int](t, name, "select rootpage from sqlite_master where name = '"+table+"'") - 1)
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		page := data[at : at+4096]
		if page[0] != 5 {
			t.Fatalf("root page of %s: type %d; want 5, the inner page of a table", table, page[0])
		}
		first := page[binary.BigEndian.Uint16(page[12:]):] // the cell of the first branch
		copy(page[8:12], first[:4])                        // the last branch
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(t.Context(), name); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want class input and %q", table, err, want)
		}
	}
}

func TestReadSchemaFile(t *testing.T) {
	for _, content := range []string{"10", "", "9", "11", "10\n", " 10", "010", strings.Repeat("1", maxSchema+1)} {
		name := written(t, few())
		if err := os.WriteFile(filepath.Join(filepath.Dir(name), "schema"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Read(t.Context(), name)
		switch {
		case content == Schema && err != nil:
			t.Error(err)
		case content != Schema && (fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), `expected "10"`)):
			t.Errorf("schema %q: %v; want class input and what is expected", content, err)
		}
	}
	name := written(t, few())
	if err := os.Remove(filepath.Join(filepath.Dir(name), "schema")); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(t.Context(), name); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "expected one that says 10") {
		t.Errorf("no schema file: %v", err)
	}
}

func TestReadNoDatabase(t *testing.T) {
	name := inStore(t)
	if _, err := Read(t.Context(), name); fault.ClassOf(err) != fault.Input || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v; want class input", err)
	}
	alone(t, name, "schema")
	for _, content := range []string{"", "x", strings.Repeat("no database ", 1000)} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(t.Context(), name); fault.ClassOf(err) != fault.Input {
			t.Errorf("%.20q: %v; want class input", content, err)
		}
	}
	name = inStore(t)
	if err := os.Mkdir(name, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(t.Context(), name); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "expected a regular file") {
		t.Errorf("folder: %v; want class input", err)
	}
}

func TestReadCancelled(t *testing.T) {
	name := written(t, many(50, 3))
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if _, err := Read(ctx, name); !errors.Is(err, why) {
		t.Errorf("Read = %v; want %v", err, why)
	}
	if _, err := Closure(ctx, name, pathOf(1, "a")); !errors.Is(err, why) {
		t.Errorf("Closure = %v; want %v", err, why)
	}
}

func TestClosure(t *testing.T) {
	objects := many(400, 3)
	name := written(t, objects)
	for _, i := range []int{0, 10, 399} {
		want := map[nix.StorePath]bool{}
		for queue := []nix.StorePath{objects[i].Path}; len(queue) > 0; queue = queue[1:] {
			for _, o := range objects {
				if o.Path == queue[0] && !want[o.Path] {
					want[o.Path] = true
					queue = append(queue, o.References...)
				}
			}
		}
		var all []Object
		for _, o := range objects {
			if want[o.Path] {
				all = append(all, o)
			}
		}
		got, err := Closure(t.Context(), name, objects[i].Path)
		if diff := cmp.Diff(byPath(all), got); err != nil || diff != "" {
			t.Errorf("closure of %d: %v (-want +got):\n%s", i, err, diff)
		}
	}
}

// TestClosureOfSeveral: what two roots refer to, one of which may refer to the other, is
// there once.
func TestClosureOfSeveral(t *testing.T) {
	objects := []Object{{Path: pathOf(1, "a"), NarSize: 1}, {Path: pathOf(2, "b"), NarSize: 1}, {Path: pathOf(3, "c"), NarSize: 1}, {Path: pathOf(4, "d"), NarSize: 1}}
	objects[0].References = []nix.StorePath{objects[1].Path}
	objects[1].References = []nix.StorePath{objects[2].Path}
	name := written(t, objects)
	for _, roots := range [][]nix.StorePath{{objects[0].Path, objects[1].Path}, {objects[1].Path, objects[0].Path}} {
		got, err := Closure(t.Context(), name, roots...)
		if diff := cmp.Diff(byPath(objects[:3]), got); err != nil || diff != "" {
			t.Errorf("closure of %v: %v (-want +got):\n%s", roots, err, diff)
		}
	}
}

func TestClosureDamaged(t *testing.T) {
	objects := []Object{{Path: pathOf(1, "a"), NarSize: 1}, {Path: pathOf(2, "b"), NarSize: 1}, {Path: pathOf(3, "c"), NarSize: 1}}
	objects[0].References = []nix.StorePath{objects[1].Path}
	root := objects[0].Path
	name := written(t, objects)
	where := func(i int) string { return " where path = '" + objects[i].Path.String() + "'" }

	missing := pathOf(7, "missing")
	_, err := Closure(t.Context(), name, missing)
	if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), missing.String()+" is not valid in the store") ||
		!strings.Contains(err.Error(), name) || !strings.Contains(fault.HintOf(err), "nix-store -r "+missing.String()) {
		t.Errorf("missing root: %v, hint %q", err, fault.HintOf(err))
	}
	all := written(t, few())
	want, err := Read(t.Context(), all)
	if got, err2 := Closure(t.Context(), all, few()[0].Path); err != nil || err2 != nil || !cmp.Equal(got, want) {
		t.Errorf("closure with a derivation: %v, %v, %v; want %v", got, err, err2, want)
	}
	open(t, all, "update DerivationOutputs set path = 'x' where id = 'out'")
	if _, err := Closure(t.Context(), all, few()[0].Path); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "DerivationOutputs row (") {
		t.Errorf("damaged output: %v; want class input", err)
	}
	// A row that the closure does not have may be damaged.
	open(t, name, "update ValidPaths set hash = 'x'"+where(2))
	if got, err := Closure(t.Context(), name, root); err != nil || len(got) != 2 {
		t.Errorf("damage elsewhere: %d objects, %v; want 2", len(got), err)
	}
	for _, tt := range []struct{ sql, want string }{
		{"update ValidPaths set hash = 'x'" + where(1), objects[1].Path.String() + ": hash"},
		{"pragma foreign_keys = off; delete from ValidPaths" + where(1), "Refs row ("},
		{"pragma foreign_keys = off; update Refs set reference = 'x'", "Refs row "},
		{"create table r as select * from Refs; insert into r select * from r; drop table Refs; alter table r rename to Refs", "refers to row "},
	} {
		name := written(t, objects)
		open(t, name, "pragma legacy_alter_table = on; "+tt.sql)
		if got, err := Closure(t.Context(), name, root); got != nil || fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %d objects, %v; want class input and %q", tt.sql, len(got), err, tt.want)
		}
	}
}
