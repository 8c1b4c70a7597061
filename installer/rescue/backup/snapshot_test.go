package backup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// snapshotOf makes a home on a btrfs of its own with a read-only snapshot, and
// returns the directories of both.
func snapshotOf(t testing.TB) (home, snapshot string) {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs", "btrfs")
	image := filepath.Join(t.TempDir(), "home.img")
	must(t, os.WriteFile(image, nil, 0o600), os.Truncate(image, 512<<20))
	command(t, "mkfs.btrfs", "-q", image)
	top := imgtest.Mount(t, image)
	home, snapshot = filepath.Join(top, "@home"), filepath.Join(top, "@home-2026-11-20")
	command(t, "btrfs", "subvolume", "create", home)
	must(t, makeHome(home))
	command(t, "btrfs", "subvolume", "snapshot", "-r", home, snapshot)
	return home, snapshot
}

// On the file system of the snapshot, which shares data, and on another.
func TestCopyFromSnapshot(t *testing.T) {
	home, snapshot := snapshotOf(t)
	must(t, os.RemoveAll(filepath.Join(home, "alice/photos")))
	for name, parent := range map[string]string{"same": home, "other": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			to := filepath.Join(parent, "restored")
			var done, total int64
			c := SnapshotCopying{From: snapshot, Paths: []string{"alice/photos", "/bob/notes", "alice/photos/big"}, To: to, Progress: func(d, t int64) { done, total = d, t }}
			got, err := CopyFromSnapshot(context.Background(), c)
			must(t, err)
			if got.Dir != to || got.Bytes < 9<<20 || done != total || total != got.Bytes {
				t.Errorf("CopyFromSnapshot: %+v, progress %d of %d", got, done, total)
			}
			if diff := cmp.Diff(list(t, filepath.Join(snapshot, "alice/photos")), list(t, filepath.Join(to, "alice/photos"))); diff != "" {
				t.Errorf("photos (-snapshot +copied):\n%s", diff)
			}
			if got := names(t, to) + ": " + names(t, filepath.Join(to, "alice")) + ": " + names(t, filepath.Join(to, "bob")); got != "alice bob: photos: notes" {
				t.Errorf("has %s, expected photos and notes alone", got)
			}
			info, err := os.Stat(filepath.Join(to, "alice"))
			if err != nil || info.Mode().Perm() != 0o710 {
				t.Errorf("alice: %v, %v; expected mode 0710", info.Mode(), err)
			}
			if _, err = CopyFromSnapshot(context.Background(), c); fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "is not empty, it has ") {
				t.Errorf("a second time: %v", err)
			}
		})
	}
}

func TestCopyFromSnapshotAll(t *testing.T) {
	_, snapshot := snapshotOf(t)
	to := filepath.Join(t.TempDir(), "out")
	_, err := CopyFromSnapshot(context.Background(), SnapshotCopying{From: snapshot, Paths: []string{"/"}, To: to})
	must(t, err)
	for _, name := range []string{"alice", "bob"} {
		if diff := cmp.Diff(list(t, filepath.Join(snapshot, name)), list(t, filepath.Join(to, name))); diff != "" {
			t.Errorf("(-snapshot +copied):\n%s", diff)
		}
	}
}

func TestCopyFromSnapshotRefused(t *testing.T) {
	from := t.TempDir()
	must(t, makeHome(from), os.Symlink("alice", filepath.Join(from, "alias")))
	tests := []struct {
		name, from, path string
		want             string
	}{
		{"no such file", from, "alice/fotos", "/alice/fotos: is not in snapshot " + from + ", where /alice has what is near it: photos"},
		{"no such directory", from, "alise/photos", "where / has what is near it: "},
		{"below a file", from, "bob/notes/x", "where /bob/notes is no directory"},
		{"below a symlink", from, "alias/photos", "where /alias is no directory"},
		{"no snapshot", from + "/gone", "/", "gone: no such file or directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parent := t.TempDir()
			_, err := CopyFromSnapshot(context.Background(), SnapshotCopying{From: tt.from, Paths: []string{"bob", tt.path}, To: filepath.Join(parent, "out")})
			if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("CopyFromSnapshot: class %d, %v; expected %s", fault.ClassOf(err), err, tt.want)
			}
			if got := names(t, parent); got != "" {
				t.Errorf("%s: is there, expected nothing", got)
			}
		})
	}
}

// What was cut short has no name, and is made anew.
func TestCopyFromSnapshotCancelled(t *testing.T) {
	imgtest.NeedRoot(t)
	from, parent := filepath.Join(t.TempDir(), "home"), t.TempDir()
	must(t, makeHome(from))
	ctx, cancel := context.WithCancel(context.Background())
	c := SnapshotCopying{From: from, Paths: []string{"alice"}, To: filepath.Join(parent, "out"), Progress: func(int64, int64) { cancel() }}
	if _, err := CopyFromSnapshot(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("CopyFromSnapshot: %v, expected %v", err, context.Canceled)
	}
	write(t, filepath.Join(incomplete(t, c.To), "alice/photos/half"), "half")
	c.Progress = nil
	_, err := CopyFromSnapshot(context.Background(), c)
	must(t, err)
	if diff := cmp.Diff(list(t, filepath.Join(from, "alice")), list(t, filepath.Join(c.To, "alice"))); diff != "" {
		t.Errorf("(-snapshot +copied):\n%s", diff)
	}
	if got := names(t, parent); got != "out" {
		t.Errorf("%s: is left, expected out alone", got)
	}
}
