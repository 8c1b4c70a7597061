package backup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/repository"
)

func TestOpenRefused(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, resticProgram)
	_, err := testMade()
	must(t, err)
	good := Place{Dir: filepath.Join(testDir, "disk"), Repository: "restic/fox", Disk: "LABEL=back up"}
	tests := []struct {
		name     string
		change   func(p *Place)
		password string
		code     firstboot.Code
		want     string
	}{
		{"wrong password", func(*Place) {}, "hunter2", firstboot.CodePassword, "repository restic/fox: what was typed is not its password"},
		{"empty password", func(*Place) {}, " \n", firstboot.CodePassword, "the password is empty"},
		{"no repository", func(p *Place) { p.Repository = "restic" }, testPassword, firstboot.CodeNoRepository, "backup disk LABEL=back up has no repository of restic in restic"},
		{"above the disk", func(p *Place) { p.Dir, p.Repository = p.Dir+"/restic/fox/data", ".." }, testPassword, firstboot.CodeNoRepository, "has no repository"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := good
			tt.change(&p)
			b, err := Open(context.Background(), p, []byte(tt.password))
			if b != nil || firstboot.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Open: %v, code %d, %v; expected code %d, %s", b, firstboot.CodeOf(err), err, tt.code, tt.want)
			}
			if strings.Contains(err.Error()+firstboot.HintOf(err), "hunter2") {
				t.Errorf("%v: tells the password", err)
			}
		})
	}
}

func TestSnapshots(t *testing.T) {
	o := open(t)
	got, err := o.Snapshots(context.Background(), repository.Filter{})
	must(t, err)
	var ids []string
	for _, s := range got {
		ids = append(ids, s.ID)
		if s.Bytes < 9<<20 || s.Files < 5 || !s.Counted || !s.Touches(o.in("alice")) {
			t.Errorf("snapshot %+v: expected its size and paths", s)
		}
	}
	if diff := cmp.Diff([]string{o.ids["other"], o.ids["new"], o.ids["old"]}, ids); diff != "" {
		t.Errorf("Snapshots (-want +got):\n%s", diff)
	}
	if got, err = o.Snapshots(context.Background(), repository.Filter{Host: "wolf", Path: o.home}); err != nil || len(got) != 1 || got[0].ID != o.ids["other"] {
		t.Errorf("Snapshots of wolf: %v, %v; expected one", got, err)
	}
}

// A snapshot that is damaged is left out, and told once; where there is no other the
// repository cannot be used.
func TestSnapshotDamaged(t *testing.T) {
	names := func(repo string) []string {
		list, err := filepath.Glob(filepath.Join(repo, "snapshots/*"))
		must(t, err)
		return list
	}
	var id string
	o := openWith(t, func(repo string) {
		m, err := testMade()
		must(t, err)
		id = m.ids["old"]
		damage(t, filepath.Join(repo, "snapshots", id))
	})
	for range 2 {
		got, err := o.Snapshots(context.Background(), repository.Filter{})
		if err != nil || len(got) != 2 || got[0].ID != o.ids["other"] || got[1].ID != o.ids["new"] {
			t.Errorf("Snapshots: %v, %v; expected two", got, err)
		}
	}
	if len(o.unreadable) != 1 || !strings.Contains(o.unreadable[0], "repository restic/fox: a snapshot is left out: ") || !strings.Contains(o.unreadable[0], id[:8]) {
		t.Errorf("told %q, expected one line of %.8s", o.unreadable, id)
	}
	if _, err := o.CopyOut(context.Background(), Copying{Snapshot: id, Paths: []string{"/"}, To: filepath.Join(o.dir, "out")}); firstboot.CodeOf(err) != firstboot.CodeDamaged {
		t.Errorf("CopyOut of it: code %d, %v; expected %d", firstboot.CodeOf(err), err, firstboot.CodeDamaged)
	}
	dir := filepath.Join(o.dir, "disk")
	for _, name := range names(filepath.Join(dir, "restic/fox")) {
		if filepath.Base(name) != id {
			damage(t, name)
		}
	}
	if _, err := Open(context.Background(), Place{Dir: dir, Repository: "restic/fox"}, []byte(testPassword)); firstboot.CodeOf(err) != firstboot.CodeDamaged {
		t.Errorf("Open of damaged ones alone: code %d, %v; expected %d", firstboot.CodeOf(err), err, firstboot.CodeDamaged)
	}
}

func TestBrowse(t *testing.T) {
	o := open(t)
	browse := func(dir string) (list []string, err error) {
		err = o.Browse(context.Background(), o.ids["new"], dir, func(e Entry) error {
			list = append(list, e.Type+" "+e.Name)
			if e.Name == "notes" && dir == o.in("alice/") && (e.Size != 10 || e.Mode != 0o640 || e.MTime.IsZero()) {
				t.Errorf("entry %+v", e)
			}
			return nil
		})
		return list, err
	}
	got, err := browse(o.in("alice/"))
	must(t, err)
	want := []string{"file [x]?", `file a\b`, "file ab", "file empty", "symlink link", "file notes", "dir photos", "file xy"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Browse (-want +got):\n%s", diff)
	}
	if got, err = browse(o.in("bob")); err != nil || !slices.Equal(got, []string{"dir caf\xe9", "file notes", "file \xff"}) {
		t.Errorf("Browse of bob: %q, %v; expected names as they are", got, err)
	}
	if got, err = browse(o.in("bob/caf\xe9")); err != nil || !slices.Equal(got, []string{"file menu"}) {
		t.Errorf("Browse of a name that is not UTF-8: %q, %v; expected a menu", got, err)
	}
	if got, err = browse("/"); err != nil || len(got) != 1 || !strings.HasPrefix(got[0], "dir ") {
		t.Errorf("Browse of the top: %q, %v; expected a directory", got, err)
	}
	for dir, want := range map[string]string{o.in("bob/notes"): "of the type file, expected a directory", o.in("alise/photos"): "has what is near it: alice", o.in("bob/caf\xe8"): "bob/caf\uFFFD: is not in snapshot"} {
		if got, err = browse(dir); len(got) != 0 || fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), want) {
			t.Errorf("Browse of %s: %q, %v; expected %s", dir, got, err, want)
		}
	}
}

func TestBrowseEnds(t *testing.T) {
	o := openWith(t, func(repo string) {
		m, err := testMade()
		must(t, err)
		must(t, os.Remove(filepath.Join(repo, "snapshots", m.ids["old"])))
	})
	enough := errors.New("enough")
	seen := 0
	err := o.Browse(context.Background(), o.ids["new"], o.in("alice"), func(Entry) error { seen++; return enough })
	if seen != 1 || !errors.Is(err, enough) {
		t.Errorf("Browse: %d entries, %v; expected one", seen, err)
	}
	for id, want := range map[string]string{o.ids["old"]: "is no longer there", "abcd": "expected an ID of 64 hex digits"} {
		err = o.Browse(context.Background(), id, "/", func(Entry) error { return nil })
		if firstboot.CodeOf(err) != firstboot.CodeNoSnapshot || !strings.Contains(err.Error(), want) {
			t.Errorf("Browse of %.8s: %v, expected %s", id, err, want)
		}
	}
}
