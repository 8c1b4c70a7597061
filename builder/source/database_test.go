package source

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/nix"
	"github.com/6FaNcY9/mkimage/builder/nix/storedb"
)

// TestMakeDatabase leaves nothing in the cache but a lock, whatever a killed build or an
// error has left there.
func TestMakeDatabase(t *testing.T) {
	dir := t.TempDir()
	slots := filepath.Join(dir, slotsDir)
	left := filepath.Join(slots, "database.1.partial")
	if err := errors.Join(os.MkdirAll(left, 0o755), os.WriteFile(filepath.Join(left, "db.sqlite"), []byte("half"), 0o644)); err != nil {
		t.Fatal(err)
	}
	path, err := nix.ParseBase("00000000000000000000000000000000-a")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{CacheDir: dir, Log: io.Discard}
	data, err := makeDatabase(t.Context(), o, []storedb.Object{{Path: path, NarSize: 1}})
	if err != nil || len(data) == 0 {
		t.Errorf("%d bytes, error %v", len(data), err)
	}
	checkNames(t, slots, "database.lock")
	other := path
	other.Name = "b"
	if _, err := makeDatabase(t.Context(), o, []storedb.Object{{Path: path, NarSize: 1, References: []nix.StorePath{other}}}); err == nil {
		t.Error("an object that refers to one that is not there is taken")
	}
	checkNames(t, slots, "database.lock")
}

// TestCacheShared: in a cache that all may write to, but for the files of others, another
// user takes a slot that was used before.
func TestCacheShared(t *testing.T) {
	imgtest.NeedRoot(t)
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o777|os.ModeSticky),
		lockSlot(t, dir, "key", io.Discard).close(), os.Mkdir(filepath.Join(dir, "key.1.partial"), 0o700)); err != nil {
		t.Fatal(err)
	}
	imgtest.AsAnotherUser(t, func() {
		s, err := openSlot(t.Context(), dir, "key", io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	checkNames(t, dir, "key.1.partial", "key.lock")
}
