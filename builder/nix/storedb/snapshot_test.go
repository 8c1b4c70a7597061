package storedb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// asNix are the settings of Nix for a connection, but that nothing is carried
// over to the database by itself.
const asNix = "pragma journal_mode = wal; pragma wal_autocheckpoint = 0; pragma foreign_keys = on"

// register adds n rows without references.
func register(first, n int) string {
	var b strings.Builder
	for i := first; i < first+n; i++ {
		fmt.Fprintf(&b, "insert into ValidPaths (path, hash, registrationTime, narSize) values ('%s', 'sha256:%064d', 1, 112);", pathOf(1000+i, "new"), i)
	}
	return "begin;" + b.String() + "commit"
}

// folder describes a database's folder and all files in it: none may come, go or
// change while it is read, not even for a moment.
func folder(t *testing.T, name string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Stat(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{".": dir.ModTime().String()}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(filepath.Dir(name), e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = fmt.Sprintf("%s %s %d %x", info.Mode(), info.ModTime(), info.Size(), sha256.Sum256(data))
	}
	return files
}

// TestReadUncheckpointed reads what is in the -wal file only: of a database
// that is open, and of one whose user was killed, with and without its -shm file.
func TestReadUncheckpointed(t *testing.T) {
	name := written(t, few())
	open(t, name, asNix, register(0, 5))
	killed := func(files ...string) string {
		to := inStore(t)
		for _, suffix := range files {
			data, err := os.ReadFile(name + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to+suffix, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return to
	}
	tests := []struct {
		name, file string
		want       int
	}{
		{"open", name, 8},
		{"killed", killed("", "-wal", "-shm"), 8},
		{"without shm", killed("", "-wal"), 8},
		{"without wal", killed(""), 3}, // what immutable=1 would see of all these
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := folder(t, tt.file)
			got, err := Read(t.Context(), tt.file)
			if err != nil || len(got) != tt.want {
				t.Errorf("Read = %d objects, %v; want %d", len(got), err, tt.want)
			}
			part, err := Closure(t.Context(), tt.file, few()[0].Path)
			if err != nil || len(part) != 3 {
				t.Errorf("Closure = %d objects, %v; want 3", len(part), err)
			}
			if diff := cmp.Diff(before, folder(t, tt.file)); diff != "" {
				t.Errorf("reading changed the folder (-before +after):\n%s", diff)
			}
		})
	}
	link := inStore(t)
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(t.Context(), link); err != nil || len(got) != 8 {
		t.Errorf("by a symlink: %d objects, %v; want 8", len(got), err)
	}
}

// TestReadWhileWritten has a writer that registers three paths at a time, and
// carries the -wal file over in all ways. Each reading must see one state: a
// multiple of three, never less than the reading before.
func TestReadWhileWritten(t *testing.T) {
	name := written(t, many(300, 3))
	conn := open(t, name, asNix)
	var writer sync.WaitGroup
	defer writer.Wait()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	writer.Go(func() {
		for i := 0; i < 600 && ctx.Err() == nil; i++ {
			how := []string{"passive", "restart", "truncate"}[i%3]
			if err := execute(context.Background(), conn, []string{register(3*i, 3), "pragma wal_checkpoint(" + how + ")"}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	last, good := 300, 0
	for i := 0; i < 40 && good < 12; i++ {
		got, err := Read(t.Context(), name)
		switch {
		case errors.Is(err, errChanged) && fault.ClassOf(err) == fault.Input:
		case err != nil:
			t.Fatal(err)
		case len(got) < last || len(got)%3 != 0:
			t.Fatalf("Read = %d objects after %d; want a multiple of 3, and not less", len(got), last)
		default:
			last, good = len(got), good+1
		}
	}
	stop()
	writer.Wait()
	t.Logf("%d readings of one state, %d objects in the last", good, last)
	if _, err := Read(t.Context(), name); err != nil {
		t.Errorf("at rest: %v", err)
	}
}

// changing is a visitor that changes the folder before its first n visits.
func changing(t *testing.T, name string, n int, change func(visit int)) error {
	visits := 0
	return visit(t.Context(), name, func(*sql.Conn) error {
		if visits++; visits <= n {
			change(visits)
		}
		return nil
	})
}

// TestVisitAnew changes a quiet database while it is visited.
func TestVisitAnew(t *testing.T) {
	for n := range attempts + 2 {
		name := written(t, few())
		err := changing(t, name, n, func(i int) { open(t, name, register(i, 1)) })
		if n < attempts && err != nil {
			t.Errorf("%d changes: %v", n, err)
		}
		if n >= attempts && (fault.ClassOf(err) != fault.Input || !errors.Is(err, errChanged)) {
			t.Errorf("%d changes: %v; want class input", n, err)
		}
	}
	name := written(t, few())
	err := changing(t, name, 1, func(int) { open(t, name, asNix, register(0, 1)) })
	if err != nil {
		t.Errorf("a -wal file that comes: %v", err)
	}
}

// TestCopyPair changes the files between two steps of the copy.
func TestCopyPair(t *testing.T) {
	header := func(b byte) []byte { return append([]byte{b}, make([]byte, walHeader)...) }
	write := func(name string, data []byte) {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(name, []byte("database"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func()
		want   error
	}{
		{"nothing", func() {}, nil},
		{"appended", func() { write(name+"-wal", append(header(1), "frame"...)) }, nil},
		{"begun anew", func() { write(name+"-wal", header(2)) }, errChanged},
		{"truncated", func() { write(name+"-wal", nil) }, errChanged},
		{"removed", func() { os.Remove(name + "-wal") }, errChanged},
		{"replaced by its like", func() { os.Remove(name + "-wal"); write(name+"-wal", header(1)) }, errChanged},
	} {
		write(name+"-wal", header(1))
		db, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		wal, err := os.Open(name + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		// A file held open keeps its inode, so that "replaced" is another one.
		tt.change()
		if err := unreplaced(db, wal, header(1)[:walHeader]); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v; want %v", tt.name, err, tt.want)
		}
		db.Close()
		wal.Close()
	}
	for _, tt := range []struct {
		file, twin string
		want       error
	}{
		{"", "", nil}, {"same", "same", nil}, {"samf", "same", errChanged}, {"sam", "same", errChanged}, {"same!", "same", errChanged},
		{strings.Repeat("x", copyPiece), strings.Repeat("x", copyPiece), nil},
		{strings.Repeat("x", copyPiece+1), strings.Repeat("x", copyPiece), errChanged},
		{strings.Repeat("x", copyPiece), strings.Repeat("x", copyPiece+1), errChanged},
		{strings.Repeat("x", copyPiece+1), strings.Repeat("x", copyPiece+1), nil},
	} {
		write(name, []byte(tt.file))
		write(name+".twin", []byte(tt.twin))
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := same(t.Context(), f, name+".twin"); !errors.Is(err, tt.want) {
			t.Errorf("same(%d bytes, %d bytes) = %v; want %v", len(tt.file), len(tt.twin), err, tt.want)
		}
		f.Close()
	}
}

// TestReadJournal: a database in the middle of a change of the older kind is
// refused, and an empty journal says nothing.
func TestReadJournal(t *testing.T) {
	for content, want := range map[string]fault.Class{"": 0, "x": fault.Input} {
		name := written(t, few())
		if err := os.WriteFile(name+"-journal", []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(t.Context(), name); err != nil && fault.ClassOf(err) != want || err == nil && want != 0 {
			t.Errorf("journal of %d bytes: %v; want class %d", len(content), err, want)
		}
		alone(t, name, "db.sqlite", "db.sqlite-journal", "schema")
	}
}
